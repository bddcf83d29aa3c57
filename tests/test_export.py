"""An exported folder gives the scores that were measured, or there is none."""

import json
import re
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from hydra import compose, initialize_config_dir

from src import export, schema, sweep
from src.benchmarks.base import Skipped
from src.compression.registry import compress
from src.errors import InputError, Unsupported
from src.schema import ROOT, typed
from src.scoring.scorer import load_scorers
from tests.models.folders import open_folder
from tests.scoring.items import CLUSTERS, PAIRS
from tests.scoring.test_exactness import scored

schema.register()
sweep.register()
load_scorers()


def settings(folder, *overrides):
    base = ["model=hf", f"model.id={folder}", "tracker=none", "system.device=cpu"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return typed(compose("config", overrides=[*base, *overrides]))


def scores(subject):
    found = scored(subject, [*PAIRS], "bias_bench", 100)
    found += scored(subject, [*CLUSTERS], "bias_bench", 100)
    return [score for score in found if not isinstance(score, Skipped)]


UNIFORM = ("compression=uniform", "compression.weight_bits=4")
CASES = [
    ("bert", "prune", ("compression=prune",)),
    ("gpt2", "sparsity of a stack", ("compression=[prune,low_rank]",)),
    ("gpt2", "layers", ("compression=drop_layers", "compression.which=first")),
    ("albert", "layers", ("compression=drop_layers",)),
    ("gpt2", "factors", ("compression=low_rank", "compression.modules=linears")),
    ("gpt2", "packed, head untied", UNIFORM),
    ("roberta", "packed, head untied", UNIFORM),
    ("gpt2", "packed, head tied", (*UNIFORM, "compression.modules=with_embeddings")),
    ("bert", "packed, head tied", (*UNIFORM, "compression.modules=with_embeddings")),
    ("llama", "cast", ("compression=fp16",)),
    ("opt", "cast", ("compression=fp16_model",)),
]


@pytest.mark.parametrize(("name", "what", "overrides"), CASES)
def test_the_folder_gives_the_scores_that_were_measured(
    name, what, overrides, checkpoint, load, tmp_path
):
    config = settings(checkpoint(name), *overrides)
    export.export(config, tmp_path / "out")
    measured = load(name)
    receipt = compress(measured, config.compression)
    dtype = str(measured.model.dtype).removeprefix("torch.")
    again = open_folder(tmp_path / "out", dtype=dtype)
    for old, new in zip(scores(measured), scores(again), strict=True):
        assert new == pytest.approx(old, rel=1e-4, abs=1e-5), what
    assert type(again.model) is type(measured.model)
    kept = json.loads((tmp_path / "out" / export.RECEIPT).read_text())
    assert kept["hash_after"] == receipt.hash_after
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_student_is_written_as_what_it_is(checkpoint, tmp_path):
    table = f"{checkpoint('bert')}: {{id: {checkpoint('distilbert')}}}"
    config = settings(
        checkpoint("bert"), "compression=distilled", f"+compression.students={{{table}}}"
    )
    assert export.export(config, tmp_path / "out") == []
    again = open_folder(tmp_path / "out")
    assert type(again.model).__name__ == "DistilBertForMaskedLM"
    assert scores(again) == scores(open_folder(checkpoint("distilbert")))


@pytest.mark.parametrize(
    "overrides", [("compression=ptq",), (*UNIFORM, "compression.activation_bits=8")]
)
def test_dynamic_activations_are_refused(overrides, checkpoint, tmp_path):
    with pytest.raises(Unsupported, match="quantizes its input at each call"):
        export.export(settings(checkpoint("bert"), *overrides), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_loaded_as_it_was_is_not_left_behind(checkpoint, tmp_path, monkeypatch):
    config = settings(checkpoint("bert"), "compression=prune")
    real = export._predictions
    calls = []

    def second_differs(subject):
        calls.append(subject)
        return [values + (len(calls) == 2) for values in real(subject)]

    monkeypatch.setattr(export, "_predictions", second_differs)
    with pytest.raises(Unsupported, match="predicts something else"):
        export.export(config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(export, "_check", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.export(config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(checkpoint, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export.export(settings(checkpoint("bert"), "compression=prune"), tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        export.export(settings(checkpoint("bert"), "compression=prune"), tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_a_missing_library_is_named_before_a_model_is_loaded(checkpoint, tmp_path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("src.compression.library.version", missing)
    monkeypatch.setattr("src.cell.load", lambda *_: 1 / 0)
    with pytest.raises(
        Unsupported, match=re.escape("pip install -c requirements.lock -e '.[hqq]'")
    ):
        export.export(settings(checkpoint("llama"), "compression=hqq"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(checkpoint, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        base = ["export", "model=hf", f"model.id={checkpoint('llama')}", "tracker=none"]
        monkeypatch.setattr("sys.argv", [*base, *arguments])
        export.main()
        return capsys.readouterr().out

    assert "compression=uniform" in run(*UNIFORM, f"out={tmp_path / 'out'}")
    assert torch.isfinite(open_folder(tmp_path / "out").model.lm_head.weight).all()
    for wrong, message in (
        (("compression=prune",), "as out=FOLDER"),
        (("compression=prune", "compression.sparsity=2", "out=x"), r"compression\.sparsity=2"),
        (("compression=ptq", f"out={tmp_path / 'other'}"), "unsupported: "),
        (("compression=nothing", "out=x"), "nothing"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(*wrong)
