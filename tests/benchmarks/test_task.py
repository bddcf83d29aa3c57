"""GLUE tasks: files, scores against scipy, and what resampling makes of them."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.stats import pearsonr, spearmanr

from src.benchmarks.base import Skipped
from src.benchmarks.task import TaskBenchmark, TaskConfig
from src.benchmarks.task_files import TASKS, read_examples
from src.benchmarks.task_head import read_head
from src.benchmarks.task_units import task_estimand
from src.errors import InputError, Unsupported
from src.statistics.cell import estimates
from src.statistics.config import StatisticsConfig
from src.statistics.paired import compare

FILES = {
    "sst2 original": ("sst2", 'a "fine" film\t1\nso , so\t0\n'),
    "sst2 GLUE": ("sst2", 'sentence\tlabel\na "fine" film\t1\nso , so\t0\n'),
    "cola": ("cola", "gj04\t1\t\tThey left.\nbc01\t0\t*\tThem left.\n"),
    "rte original": (
        "rte",
        'premise,hypothesis,label\n"A, ""b"".",It is.,entailment\nC.\u2028D.,No.,not_entailment\n',
    ),
    "rte GLUE": (
        "rte",
        'index\tsentence1\tsentence2\tlabel\n0\tA "b.\tIt is.\tentailment\n'
        "1\tC.\tNo.\tnot_entailment\n",
    ),
    "stsb original": (
        "stsb",
        'news\tf\t2012\t1\t5.000\tA "plane.\tA jet.\n'
        "news\tf\t2012\t2\t0.25\tOne.\tTwo.\tlicence\tsource\n",
    ),
    "stsb GLUE": (
        "stsb",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        '0\tnews\tf\t2012\t1\tnone\tnone\tA "plane.\tA jet.\t5.000\n'
        "1\tnews\tf\t2012\t2\tnone\tnone\tOne.\tTwo.\t0.25\n",
    ),
}
READ = {
    "sst2": [('a "fine" film', None, 1.0), ("so , so", None, 0.0)],
    "cola": [("They left.", None, 1.0), ("Them left.", None, 0.0)],
    "stsb": [('A "plane.', "A jet.", 5.0), ("One.", "Two.", 0.25)],
}


@pytest.mark.parametrize("name", FILES)
def test_original_files_and_those_of_glue_are_read_alike(name, tmp_path):
    task, text = FILES[name]
    path = tmp_path / "file"
    path.write_bytes(text.replace("\n", "\r\n" if "GLUE" in name else "\n").encode())
    found = [(one.first, one.second, one.label) for one in read_examples(TASKS[task], path)]
    if task == "rte":
        assert [row[1:] for row in found] == [("It is.", 0.0), ("No.", 1.0)]
        assert found[0][0] == ('A "b.' if "GLUE" in name else 'A, "b".')
    else:
        assert found == READ[task]
    assert len({one.id for one in read_examples(TASKS[task], path)}) == 2


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("sst2", "fine\t1\nbad\n", "line 2: 1 columns, expected at least 2"),
        ("sst2", "fine\t1\nbad\t2\n", "line 2: the label of sst2 is 0 or 1, not '2'"),
        ("sst2", "fine\t1\n \t0\n", "line 2, column 1: the text is empty"),
        ("sst2", "sentence\tlabel\n", "header and no rows"),
        ("sst2", "", "is empty"),
        ("stsb", "a\tb\tc\td\t5.5\te\tf\n", "line 1: the score is a number from 0 to 5"),
        ("stsb", "a\tb\tc\td\tnan\te\tf\n", "from 0 to 5, not 'nan'"),
        ("rte", 'premise,hypothesis,label\n"a,b,entailment\n', "line 2: the row is broken"),
        ("rte", "premise,hypothesis,label\na,b,maybe\n", "entailment or not_entailment"),
    ],
)
def test_malformed_files_are_refused_by_line(task, text, message, tmp_path):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_examples(TASKS[task], path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"a\tb\n\xff\t1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_examples(TASKS["sst2"], tmp_path / "file")


def rows(truth, found):
    decisions = ["skipped" if value != value else "value" for value in found]
    ids = [str(at) for at in range(len(truth))]
    return pd.DataFrame(
        {"item_id": ids, "label": truth, "prediction": found, "decision": decisions}
    )


def numbers(seed, n=60):
    """Scores in steps of 0.2 (so with ties) and predictions that follow them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 26, n) / 5
    return truth, np.round(0.6 * truth + rng.normal(1, 0.8, n), 1)


def classes(seed, n=60):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n).astype(float)
    return truth, np.where(rng.random(n) < 0.75, truth, 1 - truth)


PLAIN = {
    "accuracy": (classes, lambda a, b: 100 * np.mean(a == b)),
    # Matthews' correlation is Pearson's of the two columns of zeros and ones.
    "matthews": (classes, lambda a, b: 100 * pearsonr(a, b).statistic),
    "pearson": (numbers, lambda a, b: 100 * pearsonr(a, b).statistic),
    "spearman": (numbers, lambda a, b: 100 * spearmanr(a, b).statistic),
}


@pytest.mark.parametrize("metric", PLAIN)
def test_scores_are_those_of_scipy_under_any_resampling(metric):
    draw, plain = PLAIN[metric]
    truth, found = draw(1)
    estimand = task_estimand(metric, rows(truth, found))
    assert estimand.value == pytest.approx(plain(truth, found), abs=1e-9)
    rng = np.random.default_rng(0)
    weights = np.array([np.bincount(rng.integers(0, 60, 60), minlength=60) for _ in range(20)])
    wanted = [plain(np.repeat(truth, w), np.repeat(found, w)) for w in weights]
    np.testing.assert_allclose(estimand.evaluate(weights.astype(float)), wanted, atol=1e-9)


@pytest.mark.parametrize("metric", PLAIN)
def test_answers_exchanged_between_two_cells_are_scored_as_if_they_were_one_cells(metric):
    draw, plain = PLAIN[metric]
    truth, found = draw(1)
    other = draw(2)[1] if draw is numbers else np.where(np.arange(60) % 3, found, 1 - found)
    one, two = (task_estimand(metric, rows(truth, each)) for each in (found, other))
    swap = (np.random.default_rng(3).random((10, 60)) < 0.5).astype(float)
    wanted = [plain(truth, np.where(each > 0, other, found)) for each in swap]
    np.testing.assert_allclose(one.model.mixed(two.model, swap), wanted, atol=1e-9)
    np.testing.assert_array_equal(one.model.differs(two.model), found != other)


def test_a_better_model_is_found_better_on_the_same_examples():
    truth, found = numbers(1, 300)
    worse = found + np.random.default_rng(5).normal(0, 2, 300)
    settings = StatisticsConfig(resamples=500)
    for metric in ("pearson", "spearman"):
        pair = tuple(task_estimand(metric, rows(truth, each)) for each in (found, worse))
        change = compare([pair], settings)[0]
        assert change.difference < -10
        assert change.ci_high < 0
        assert change.p < 0.05
        interval = estimates([pair[0]], settings)[pair[0].key].interval
        assert interval.low < pair[0].value < interval.high


@pytest.mark.parametrize("metric", ["matthews", "pearson", "spearman"])
def test_where_all_predictions_are_the_same_a_correlation_is_undefined(metric):
    estimand = task_estimand(metric, rows(np.array([0.0, 1.0, 1.0]), np.ones(3)))
    assert np.isnan(estimand.value)
    assert estimand.reason == "the model says the same of all examples"
    assert estimates([estimand], StatisticsConfig())[estimand.key].interval.method.startswith(
        "none: the model says the same"
    )


def head_file(path, task="sst2", width=4, outputs=2, **changed):
    rng = np.random.default_rng(0)
    tensors = {
        "dense.weight": rng.normal(size=(width, width)),
        "dense.bias": rng.normal(size=width),
        "out.weight": rng.normal(size=(outputs, width)),
        "out.bias": rng.normal(size=outputs),
    } | changed
    told = {"task": task, "pooling": "first", "longest": "32"}
    save_file({k: v.astype(np.float32) for k, v in tensors.items()}, path, told)
    return path


def test_a_head_computes_what_torch_layers_do(tmp_path):
    import torch

    head = read_head(head_file(tmp_path / "head"))
    states = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    dense, out = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    tensors = {name: torch.from_numpy(value) for name, value in head.tensors.items()}
    dense.load_state_dict({"weight": tensors["dense.weight"], "bias": tensors["dense.bias"]})
    out.load_state_dict({"weight": tensors["out.weight"], "bias": tensors["out.bias"]})
    with torch.no_grad():
        wanted = out(torch.tanh(dense(torch.from_numpy(states)))).numpy()
    np.testing.assert_allclose(head(states), wanted, atol=1e-6)
    np.testing.assert_array_equal(head.predict(states), wanted.argmax(axis=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": 3}, "do not fit sst2"),
        ({"task": "mnli"}, "choose one of: sst2"),
        ({"more": np.zeros(1)}, "is no task head"),
    ],
)
def test_a_head_that_fits_nothing_is_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_head(head_file(tmp_path / "head", **changes))
    (tmp_path / "text").write_text("not a head")
    with pytest.raises(InputError, match="cannot be read as a task head"):
        read_head(tmp_path / "text")


@pytest.fixture
def benchmark(tmp_path):
    head_file(tmp_path / "head")
    (tmp_path / "dev.tsv").write_text("fine\t1\nbad\t0\nodd\t1\n")
    settings = TaskConfig(task="sst2", file="dev.tsv", head=str(tmp_path / "head"))
    return TaskBenchmark(settings)


def test_a_cell_s_table_gives_its_metrics_again(benchmark, tmp_path):
    items = benchmark.load(lambda path: tmp_path / path)
    assert {(item.pooling, item.longest) for item in items} == {("first", 32)}
    states = np.random.default_rng(2).normal(size=(3, 4))
    scores = [{"state": states[0]}, Skipped("too odd"), {"state": states[2]}]
    table = benchmark.tabulate(items, scores, None)
    predictions = benchmark.head.predict(states[[0, 2]].astype(np.float32))
    right = predictions == [1, 1]
    assert list(table["decision"]) == [
        "right" if right[0] else "wrong",
        "skipped",
        "right" if right[1] else "wrong",
    ]
    accuracy, skipped = TaskBenchmark(benchmark.settings).metrics(table)
    assert (accuracy.metric, accuracy.n, accuracy.kind) == ("accuracy", 2, "task")
    assert accuracy.value == 100 * right.mean()
    assert skipped.value == 1


def test_a_head_of_another_model_or_task_and_no_head_at_all_are_told(benchmark, tmp_path):
    items = benchmark.load(lambda path: tmp_path / path)
    with pytest.raises(Unsupported, match="reads 4 numbers and the model gives 5"):
        benchmark.tabulate(items, [{"state": np.zeros(5)}] * 3, None)
    other = TaskBenchmark(TaskConfig(task="cola", head=str(tmp_path / "head")))
    with pytest.raises(InputError, match="a head for sst2, not for cola"):
        other.load(lambda path: tmp_path / path)
    with pytest.raises(Unsupported, match=r"src\.finetune tuning.task=sst2"):
        TaskBenchmark(TaskConfig(task="sst2")).load(lambda path: tmp_path / path)
