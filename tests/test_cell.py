"""A cell in this process: what it raises, what it leaves, and that it lets go of its model."""

import gc
import json
import re
import shutil
import weakref

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from src import cell, schema, sweep
from src import prepare as prepared
from src.cell import run_cell
from src.data.locate import DataFiles
from src.errors import CellFailed, InputError
from src.prepare import prepare
from src.questions import limited
from src.report.agreement import agreement_lines, write_agreement
from src.report.cells import Headline, collect, labels
from src.report.comparisons import compare_sweep
from src.report.endings import endings
from src.report.main_table import Row
from src.schema import ROOT, typed
from src.scoring.sentences import sentences
from src.tracking.fingerprint import fingerprint
from src.tracking.read import read_cell
from tests.models.folders import swapped
from tests.scoring.items import PAIRS, TESTS

schema.register()
sweep.register()


@pytest.fixture
def config(checkpoint):
    """Settings of a small cell, with overrides on top."""

    def build(*overrides):
        base = [
            *("model=hf", f"model.id={checkpoint('gpt_neox')}", "benchmark=sample"),
            *("tracker=none", "debug.limit=3", "system.progress=false"),
        ]
        with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            return compose("config", overrides=[*base, *overrides])

    return build


def run(composed, folder):
    return run_cell(typed(composed), OmegaConf.to_container(composed, resolve=True), folder)


def status(folder):
    return json.loads((folder / "status.json").read_text())


def test_models_are_let_go_of(config, tmp_path, monkeypatch):
    seen = []
    real = cell.load_subject

    def load(*arguments):
        subject = real(*arguments)
        seen.append(weakref.ref(subject.model))
        return subject

    monkeypatch.setattr(cell, "load_subject", load)
    assert run(config("compression=ptq"), tmp_path / "done") == "done"
    monkeypatch.setattr(cell, "evaluate", lambda *_: 1 / 0)
    with pytest.raises(CellFailed) as kept:
        run(config(), tmp_path / "failed")
    gc.collect()
    assert [model() for model in seen] == [None, None]
    assert "division by zero" in str(kept.value)
    assert "ZeroDivisionError" in status(tmp_path / "failed")["error"]["traceback"]


def test_a_cell_that_cannot_begin_says_why(config, tmp_path):
    with pytest.raises(CellFailed, match=r"data\.root"):
        run(config("benchmark=crows_pairs", f"data.root={tmp_path}"), tmp_path / "out")
    assert status(tmp_path / "out")["state"] == "failed"


def test_results_outlive_a_run_whose_data_are_out_of_reach(config, tmp_path, monkeypatch):
    assert run(config(), tmp_path) == "done"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as broken:
        broken.setattr(prepared, "find_source", lambda _: (_ for _ in ()).throw(InputError("gone")))
        with pytest.raises(CellFailed, match="gone"):
            run(config(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run(config(), tmp_path) == "skipped"


def test_files_of_others_are_not_overwritten(config, tmp_path):
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(CellFailed, match=r"holds metrics\.json but no status\.json"):
        run(config(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert (tmp_path / "metrics.json").read_text() == "mine"


def test_an_unsupported_cell_is_not_tried_again(config, tmp_path):
    settings = config("scorer=original", "~benchmark.sample_seat", "~benchmark.sample_stereoset")
    assert run(settings, tmp_path) == "unsupported"
    assert run(settings, tmp_path) == "skipped"


def test_a_device_that_is_not_there_fails_its_cell_only(config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(CellFailed, match="torch sees no GPU"):
        run(config("system.device=cuda"), tmp_path)
    assert status(tmp_path)["state"] == "failed"


@pytest.mark.parametrize(
    "override",
    [
        "compression=ptq",
        "scorer=original",
        "scorer.start_token=none",
        "scorer.also=[mean]",
        "model.dtype=bfloat16",
        "debug.limit=2",
        "benchmark.sample_crows_pairs.categories=[gender]",
        "benchmark.sample_seat.seed=3",
        "benchmark.sample_stereoset.task=intersentence",
    ],
)
def test_what_changes_numbers_changes_the_fingerprint(override, config):
    before, after = (fingerprint(prepare(typed(one)).parts) for one in (config(), config(override)))
    assert before != after


@pytest.mark.parametrize(
    "override", ["resume=false", "sweep=other", "tracker.kind=none", "system.batch_tokens=7"]
)
def test_what_changes_no_number_does_not(override, config):
    before, after = (fingerprint(prepare(typed(one)).parts) for one in (config(), config(override)))
    assert before == after


def test_data_are_part_of_the_fingerprint(config, monkeypatch):
    before = prepare(typed(config())).parts
    monkeypatch.setattr(DataFiles, "checksums", lambda self: {"file": "other"})
    after = prepare(typed(config())).parts
    assert fingerprint(before) != fingerprint(after)


def test_start_token_none_leaves_the_first_token_out(config, tmp_path):
    assert run(config("scorer.start_token=none"), tmp_path / "none") == "done"
    assert run(config(), tmp_path / "auto") == "done"
    none, auto = (pd.read_parquet(tmp_path / n / "items.parquet") for n in ("none", "auto"))
    pairs = none.benchmark == "sample_crows_pairs"
    assert (none.score_more[pairs] != auto.score_more[pairs]).all()


@pytest.fixture
def short(checkpoint, tmp_path):
    """A checkpoint that takes fewer tokens than some of the sample texts have."""
    folder = shutil.copytree(checkpoint("gpt_neox"), tmp_path / "short")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 24}))
    return folder


def test_a_text_that_is_too_long(config, short, tmp_path):
    """It ends the cell, or its item is left out of this cell and of what is compared with it."""
    given = [f"model.id={short}", "~benchmark.sample_seat"]
    with pytest.raises(CellFailed, match=r"item \w+: a text of .*scorer\.too_long=skip"):
        run(config(*given), tmp_path / "error")
    given.append("scorer.too_long=skip")
    assert run(config(*given), tmp_path / "sweep/none") == "done"
    assert run(config("compression=fp16", *given), tmp_path / "sweep/fp16") == "done"
    items = pd.read_parquet(tmp_path / "sweep/none/items.parquet")
    tokens = AutoTokenizer.from_pretrained(short)
    long = [
        any(len(tokens.encode(text)) > 24 for text in sentences(item).values())
        for question in prepare(typed(config(*given))).questions.values()
        for item in question.items
    ]
    assert 0 < sum(long) < len(long)
    assert list(items.skip_reason.str.contains("longer than the 24 this model takes")) == long
    assert list(items.decision == "skipped") == long
    (counted,) = (
        row
        for row in json.loads((tmp_path / "sweep/none/metrics.json").read_text())
        if (row["benchmark"], row["category"], row["metric"])
        == ("sample_crows_pairs", "overall", "n_skipped")
    )
    pairs = items.benchmark == "sample_crows_pairs"
    assert counted["value"] == sum(items.decision[pairs] == "skipped")
    (row,) = (
        row
        for row in compare_sweep(tmp_path / "sweep", collect(tmp_path / "sweep")).rows
        if (row["benchmark"], row["category"], row["metric"])
        == ("sample_crows_pairs", "overall", "stereotype_score")
    )
    assert row["n"] == sum(pairs) - counted["value"]


def test_a_model_that_is_too_short_for_all_texts_is_unsupported(config, short, tmp_path):
    settings = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 3}))
    given = [f"model.id={short}", "~benchmark.sample_seat", "scorer.too_long=skip"]
    assert run(config("compression=fp16", *given), tmp_path) == "unsupported"
    message = status(tmp_path)["error"]["message"]
    assert re.match(r"none of the \d+ items can be scored: .* longer than the 3 this", message)


def test_items_are_limited_by_category():
    kept = limited(PAIRS, 1)
    assert [pair.category for pair in kept] == ["gender", "age", "race"]
    assert limited(PAIRS, None) == PAIRS
    short = limited(TESTS, 1)[0]
    assert [len(part) for part in (short.x, short.y, short.a, short.b)] == [1, 1, 1, 1]
    with pytest.raises(InputError, match="no items"):
        limited([], None)


def test_other_statistics_run_no_model_again(config, tmp_path, monkeypatch):
    """Intervals are made anew from the items; values stay, to the last digit."""
    assert run(config(), tmp_path) == "done"
    before = json.loads((tmp_path / "metrics.json").read_text())
    monkeypatch.setattr(cell, "load_subject", lambda *_: 1 / 0)
    assert run(config(), tmp_path) == "skipped"
    assert json.loads((tmp_path / "metrics.json").read_text()) == before
    assert run(config("statistics.level=0.8"), tmp_path) == "skipped"
    after = json.loads((tmp_path / "metrics.json").read_text())
    assert json.loads((tmp_path / "statistics.json").read_text())["settings"]["level"] == 0.8
    assert [row | {"ci_low": 0, "ci_high": 0} for row in after] == [
        row | {"ci_low": 0, "ci_high": 0} for row in before
    ]
    widths = [
        (old["ci_high"] - old["ci_low"], new["ci_high"] - new["ci_low"])
        for old, new in zip(before, after, strict=True)
        if old["ci_low"] is not None
    ]
    assert widths
    assert all(new < old for old, new in widths if old)
    assert run(config(), tmp_path) == "skipped"
    assert json.loads((tmp_path / "metrics.json").read_text()) == before


def test_several_scorers_in_a_cell(config, tmp_path):
    one = ["~benchmark.sample_seat", "model.id=" + str(schema.ROOT / "src/models/tiny/bert")]
    assert run(config("scorer.also=[pll,aul,sum]", *one), tmp_path / "both") == "done"
    assert run(config("scorer=pll", *one), tmp_path / "pll") == "done"
    both, alone = (pd.read_parquet(tmp_path / n / "items.parquet") for n in ("both", "pll"))
    assert list(both.scorer.unique()) == ["bias_bench", "pll", "aul"]
    shared = both[both.scorer == "pll"].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, alone)
    system, alone_system = (
        json.loads((tmp_path / n / "system.json").read_text()) for n in ("both", "pll")
    )
    # bias_bench masks single tokens of CrowS-Pairs too, and aul adds one input a sentence.
    assert system["distinct_forwards"] < system["requests"]
    assert system["distinct_forwards"] > alone_system["distinct_forwards"]
    environment = json.loads((tmp_path / "both" / "environment.json").read_text())
    assert set(environment["also_unsupported"]) == {
        "sample_crows_pairs, sum",
        "sample_stereoset, sum",
    }
    metrics = json.loads((tmp_path / "both" / "metrics.json").read_text())
    assert [row["scorer"] for row in metrics[:3]] == ["bias_bench"] * 3
    headline = Headline("sample_crows_pairs", "gender", "stereotype_score")
    assert headline.record(read_cell(tmp_path / "both"))["scorer"] == "bias_bench"
    assert headline.record(read_cell(tmp_path / "pll"))["scorer"] == "pll"


def test_scorers_named_twice_or_unknown_are_refused(config, tmp_path):
    with pytest.raises(InputError, match="names pll a second time"):
        typed(config("scorer.also=[pll,pll]"))
    with pytest.raises(CellFailed, match=r"scorer\.also=plll is not possible.*Did you mean 'pll'"):
        run(config("scorer.also=[plll]"), tmp_path)


def test_scorers_of_a_cell_or_of_several_are_compared(config, tmp_path):
    masked = "model.id=" + str(schema.ROOT / "src/models/tiny/bert")
    one = [masked, "~benchmark.sample_seat", "~benchmark.sample_stereoset"]
    run(config("scorer.also=[pll]", *one), tmp_path / "both")
    run(config("scorer=aul", *one), tmp_path / "apart")
    cells = collect(tmp_path)
    write_agreement(tmp_path, cells)
    (group,) = json.loads((tmp_path / "agreement.json").read_text())
    assert sorted(group["cells"]) == ["apart", "both"]
    overall = next(row for row in group["agreement"] if row["category"] == "overall")
    assert set(overall["scores"]) == {"bias_bench", "pll", "aul"}
    assert len(overall["pairs"]) == 3
    (line,) = agreement_lines(tmp_path)
    assert "sample_crows_pairs by 3 scorers" in line
    write_agreement(tmp_path, [cell for cell in cells if cell.directory.name == "apart"])
    assert not (tmp_path / "agreement.json").exists()


def test_a_sweep_too_small_for_a_spread_still_has_its_comparisons(config, tmp_path):
    """StereoSet's terms of a trial are so few that a joint region is undefined."""
    one = ["debug.limit=1", "~benchmark.sample_seat", "drift.requests=0"]
    run(config(*one), tmp_path / "none")
    run(config("compression=fp16", *one), tmp_path / "fp16")
    sweep_ = compare_sweep(tmp_path, collect(tmp_path))
    assert json.loads((tmp_path / "comparisons.json").read_text())["comparisons"] == sweep_.rows


def test_doubts_stand_below_the_table(config, tmp_path):
    folder = swapped("bert", "roberta", tmp_path / "model")
    composed = config(f"model.id={folder}", "~benchmark.sample_seat", "debug.limit=2")
    resolved = OmegaConf.to_container(composed, resolve=True)
    run_cell(typed(composed), resolved, tmp_path / "sweep" / "cell")
    (cell,) = cells = collect(tmp_path / "sweep")
    assert cell.state == "done"
    (doubt,) = json.loads((cell.directory / "environment.json").read_text())["doubts"]
    (line,) = endings([Row(cell, labels(cells)[0], None, {})])
    assert line.plain.startswith("in doubt: model none: ")
    assert doubt in line.plain
