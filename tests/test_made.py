"""What cells leave to be trained: once, under all that decides it, and paired with its twin."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.cell import run_cell
from src.errors import InputError, Unsupported
from src.made import settle
from src.report.cells import collect, labels, twin
from src.report.comparisons import compare_sweep
from src.schema import ROOT, typed
from src.tracking.read import Cell
from src.training.kept import trained

schema.register()
sweep.register()
LOOP = ("training.steps=2", "training.batch_tokens=200", "training.eval_every=null")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compression-bias" / "trained"


@pytest.fixture
def text(tmp_path):
    """Documents about men and women, some of them about a religion."""
    lines = ["He told the women that she was late.", "The church and the mosque were open."]
    documents = [f"{lines[n % 2]} It was the year {n}, and nobody came. " * 3 for n in range(60)]
    path = tmp_path / "it's text.txt"
    path.write_text("\n\n".join(documents))
    return path


@pytest.fixture
def config(tmp_path, checkpoint):
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    rows = [
        f"{'the ' * n}{word} people\t{label}"
        for n in range(8)
        for label, word in enumerate(("cold", "kind"))
    ]
    (folder / "train.tsv").write_text("\n".join(rows))
    (folder / "dev.tsv").write_text("\n".join(rows[:10]))
    base = (
        *("system.device=cpu", "tracker=none", "debug.limit=3", "system.progress=false"),
        *("statistics.resamples=100", "drift.requests=8"),
        f"data.root={tmp_path / 'data'}",
    )

    def build(*overrides):
        with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            return compose("config", overrides=[*base, *overrides])

    return build


@pytest.fixture
def finetuned(config, checkpoint):
    def build(*overrides):
        return config(
            *("model=finetuned", f"model.id={checkpoint('bert')}", "model.training.steps=2"),
            *("model.step=2", "model.training.batch_tokens=64", "benchmark=[sst2,sample]"),
            *("model.training.lr=0.01", *overrides),
        )

    return build


def cell(composed, folder):
    resolved = OmegaConf.to_container(composed, resolve=True)
    state = run_cell(typed(composed), resolved, folder)
    return state, json.loads((folder / "environment.json").read_text())


def test_a_run_is_trained_once_and_found_again_by_all_that_decides_it(finetuned, cache, tmp_path):
    with pytest.raises(Unsupported, match="was not trained yet"):
        settle(typed(finetuned()), now=False)
    first = settle(typed(finetuned()))
    (folder,) = cache.glob("finetuned-*[!k]")
    assert first.config.model.id == str(folder / "step2")
    assert first.config.benchmark["sst2"].head == str(folder / "step2" / "task/head.safetensors")
    assert not (folder / "states").exists()
    # Another step of the same run, other threads and benchmarks: nothing is trained.
    for same in ("model.step=0", "system.threads=1", "benchmark=sample", "compression=prune"):
        found = settle(typed(finetuned(same)), now=False)
        assert found.made == first.made
        assert not found.held
    assert settle(typed(finetuned("model.step=0"))).config.model.id.endswith("step0")
    others = ("model.seed=1", "model.training.lr=0.02", "model.tuning.pooling=mean")
    for other in others:
        with pytest.raises(Unsupported, match="was not trained yet"):
            settle(typed(finetuned(other)), now=False)
    file = tmp_path / "data" / "sst2" / "train.tsv"
    file.write_text(file.read_text() + "\nanother line\t1")
    with pytest.raises(Unsupported, match="was not trained yet"):
        settle(typed(finetuned()), now=False)


def test_compressing_first_and_last_are_cells_with_one_dense_twin(finetuned, tmp_path):
    sweep_folder = tmp_path / "sweep"
    settings = ("compression=prune", "compression.sparsity=0.75")
    held = ("model.order=compress_first",)
    for name, overrides in (
        ("dense", ()),
        ("tuned first", settings),
        ("compressed first", (*settings, *held)),
    ):
        state, environment = cell(finetuned(*overrides), sweep_folder / name)
        assert state == "done"
        assert environment["made"]["model"]["run"]["tuning"]["task"] == "sst2"
    with pytest.raises(Unsupported, match="nothing to compress first"):
        settle(typed(finetuned(*held)))
    composed = finetuned(*held)
    resolved = OmegaConf.to_container(composed, resolve=True)
    assert run_cell(typed(composed), resolved, sweep_folder / "none first") == "unsupported"
    cells = {one.directory.name: one for one in collect(sweep_folder)}
    everyone = list(cells.values())
    for name in ("tuned first", "compressed first"):
        receipt = cells[name].receipt
        assert receipt["sparsity"] == pytest.approx(0.75, abs=0.01)
        assert twin(cells[name], everyone) is cells["dense"]
    # Masks that were held leave the method nothing to change.
    assert cells["tuned first"].receipt["relative_error"] > 0.1
    assert cells["compressed first"].receipt["relative_error"] == 0
    assert cells["none first"].state == "unsupported"
    assert twin(cells["none first"], everyone) is None
    assert len({label.text for label in labels(everyone)}) == 4
    rows = compare_sweep(sweep_folder, everyone).rows
    assert {row["cell_b"] for row in rows} == {"tuned first", "compressed first"}
    assert {row["cell_a"] for row in rows} == {"dense"}
    assert any(row["metric"] == "accuracy" for row in rows)


TWIN = ("model=twin", "benchmark=sample", "model.recipe=tiny_pythia_0.4m")


def twins(config, text, *overrides):
    given = [
        *LOOP,
        "tokenizer.vocab_size=300",
        "training.checkpoints=[1]",
        "corpus.length=32",
        "corpus.held_out=0.2",
    ]
    listed = ",".join(f'"{one}"' for one in given)
    path = str(text).replace("'", "\\'")
    return config(*TWIN, f"model.corpus='{path}'", f"model.settings=[{listed}]", *overrides)


def plain(name, compression="none", **model):
    """A finished cell that is known by its settings alone."""
    config = {"model": {"name": "m", **model}, "compression": {"name": compression}}
    return Cell(Path(name), "done", {}, config, [], {}, {}, {})


def test_a_compressed_cell_s_twin_is_uncompressed_and_a_changed_one_s_unchanged():
    base, seed = (
        plain("base", intervention="none", seed=0),
        plain("seed", intervention="none", seed=1),
    )
    changed = plain("changed", intervention="counterfactual", seed=0)
    small = plain("small", "ptq", intervention="counterfactual", seed=0)
    cells = [seed, base, changed, small]
    assert [twin(cell, cells) for cell in cells] == [None, None, base, changed]
    assert twin(changed, [seed, changed, small]) is None
    held = plain("held", "prune", order="compress_first", step=5)
    dense = plain("dense", order="tune_first", step=5)
    assert twin(held, [plain("early", order="tune_first", step=0), dense]) is dense
    assert twin(plain("other", step=5), [dense]) is None


@pytest.mark.slow
def test_twins_differ_in_their_data_only_and_are_compared_with_the_unchanged_one(
    config, text, tmp_path
):
    made = {}
    for name in ("none", "counterfactual", "drop_religion"):
        composed = twins(config, text, f"model.intervention={name}")
        state, environment = cell(composed, tmp_path / "sweep" / name)
        assert state == "done"
        made[name] = environment["made"]["model"]["run"]
    for name in ("counterfactual", "drop_religion"):
        one, other = ({**made[each]} for each in ("none", name))
        data = one.pop("data"), other.pop("data")
        corpus = [each["corpus"] for each in data]
        assert one == other
        assert data[0]["held_out"] == data[1]["held_out"]
        assert data[0]["seen"] != data[1]["seen"]
        assert data[0]["tokenizer"] == data[1]["tokenizer"]
        assert corpus[0]["transform"] == []
        assert [each["name"] for each in corpus[1]["transform"]] == [name]
    cells = {one.directory.name: one for one in collect(tmp_path / "sweep")}
    everyone = list(cells.values())
    assert twin(cells["none"], everyone) is None
    for name in ("counterfactual", "drop_religion"):
        assert twin(cells[name], everyone) is cells["none"]
    rows = compare_sweep(tmp_path / "sweep", everyone).rows
    assert {(row["cell_a"], row["cell_b"]) for row in rows} == {
        ("none", "counterfactual"),
        ("none", "drop_religion"),
    }
    other_seed = replace(
        cells["none"],
        config=cells["none"].config | {"model": {**cells["none"].config["model"], "seed": 1}},
    )
    assert twin(cells["counterfactual"], [other_seed]) is None


def test_a_twin_s_checkpoints_and_settings_are_those_of_its_training(config, text):
    assert settle(typed(twins(config, text, "model.step=1"))).config.model.id.endswith("step1")
    with pytest.raises(Unsupported, match=r"model\.step=3 is none of training\.checkpoints=\[1\]"):
        settle(typed(twins(config, text, "model.step=3")))
    with pytest.raises(InputError, match=r"model\.corpus=FILE"):
        settle(typed(config(*TWIN)))
    with pytest.raises(InputError, match=r"src\.pretrain .*training\.stepz"):
        settle(typed(twins(config, text, 'model.settings=["training.stepz=1"]')))
    with pytest.raises(InputError, match=r"model\.intervention=swap.*none, counterfactual"):
        typed(config(*TWIN, "model.intervention=swap"))


def student(config, text, *overrides):
    listed = ",".join(f'"{one}"' for one in (*LOOP, "corpus.length=32", "corpus.held_out=0.2"))
    path = str(text).replace("'", "\\'")
    return config(
        *("model=tiny", "benchmark=sample", "compression=distill"),
        *(f"compression.corpus='{path}'", f"compression.settings=[{listed}]", *overrides),
    )


@pytest.mark.slow
def test_a_student_is_trained_once_and_the_cell_says_so(config, text, cache, tmp_path):
    state, environment = cell(student(config, text), tmp_path / "cell")
    assert state == "done"
    receipt = json.loads((tmp_path / "cell" / "receipt.json").read_text())
    (folder,) = cache.glob("distilled-*[!k]")
    assert receipt["details"]["student"]["id"] == str(folder / "final")
    made = receipt["details"]["made"]
    assert made["trained"] == "for this sweep or one before"
    assert made["run"]["distillation"]["layers"] == 0.5
    assert environment["made"]["distill"] == made
    assert receipt["memory_bytes_after"] < receipt["memory_bytes_before"]
    assert cell(student(config, text), tmp_path / "cell")[0] == "skipped"
    given = config(
        *("model=tiny", "benchmark=sample", "compression=distill"),
        f"compression.student={folder / 'final'}",
    )
    state, environment = cell(given, tmp_path / "given")
    assert environment["made"]["distill"]["trained"] == "before"
    # The same student has the same numbers, however the cell came by it.
    one, other = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("cell", "given")
    )
    assert one == other


def test_without_a_text_or_a_student_distillation_is_unsupported(config, tmp_path):
    distilled = ("model=tiny", "benchmark=sample", "compression=distill")
    with pytest.raises(Unsupported, match=r"compression\.corpus=FILE"):
        settle(typed(config(*distilled)))
    with pytest.raises(InputError, match="there is no such folder"):
        settle(typed(config(*distilled, f"compression.student={tmp_path / 'none'}")))


def test_what_was_interrupted_is_trained_on(cache):
    tries = []

    def train(out):
        tries.append(sorted(path.name for path in out.glob("*")))
        (out / f"part{len(tries)}").mkdir(parents=True)
        if len(tries) == 1:
            raise KeyboardInterrupt
        (out / "final").mkdir()

    parts = {"seed": 0}
    with pytest.raises(KeyboardInterrupt):
        trained("made", "a model", parts, train)
    folder = trained("made", "a model", parts, train)
    assert tries == [[], ["part1"]]
    assert trained("made", "a model", parts, train) == folder
    assert len(tries) == 2
    assert trained("made", "a model", parts, None) == folder


def test_a_twin_is_trained_again_where_words_or_tokenizer_changed(
    config, text, checkpoint, tmp_path, monkeypatch
):
    """A list of words and a tokenizer are files whose content decides a model, not their name."""
    from src.training.transforms import counterfactual

    lists, folder = tmp_path / "lists", tmp_path / "tokenizer"
    shutil.copytree(counterfactual.HERE, lists)
    shutil.copytree(checkpoint("gpt2"), folder)
    monkeypatch.setattr(counterfactual, "HERE", lists)

    def settled(now):
        given = twins(config, text, "model.intervention=counterfactual")
        given.model.settings = [*given.model.settings, f"tokenizer.path={folder}"]
        return settle(typed(given), now=now).config.model.id

    first = settled(now=True)
    renamed = text.rename(text.with_name("renamed.txt"))
    text.symlink_to(renamed)
    assert settled(now=False) == first
    pairs = lists / "gender_pairs.csv"
    pairs.write_text(pairs.read_text() + "tailor,seamstress\n")
    with pytest.raises(Unsupported, match="was not trained yet"):
        settled(now=False)
    second = settled(now=True)
    assert second != first
    file = folder / "tokenizer.json"
    core = json.loads(file.read_text())
    core["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(core))
    with pytest.raises(Unsupported, match="was not trained yet"):
        settled(now=False)
