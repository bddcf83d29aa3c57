"""Drift in a cell: recorded, off at will, and of no consequence for the scores."""

import json
import shutil

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.cell import run_cell
from src.prepare import prepare
from src.schema import ROOT, typed
from src.tracking.fingerprint import fingerprint
from src.tracking.keys import scalars

schema.register()
sweep.register()


@pytest.fixture
def measured(checkpoint, tmp_path):
    """Run a small cell; give its receipt and its items."""

    def run(model, *overrides):
        composed = settings(checkpoint(model), *overrides)
        folder = tmp_path / sweep.slug(" ".join([model, *overrides]))
        plain = OmegaConf.to_container(composed, resolve=True)
        assert run_cell(typed(composed), plain, folder) == "done"
        receipt = json.loads((folder / "receipt.json").read_text())
        return receipt, pd.read_parquet(folder / "items.parquet")

    return run


def settings(folder, *overrides):
    base = [
        *("model=hf", f"model.id={folder}", "benchmark=sample", "tracker=none"),
        *("debug.limit=3", "system.progress=false", "drift.requests=12"),
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return compose("config", overrides=[*base, *overrides])


@pytest.mark.parametrize("model", ["bert", "gpt2"])
@pytest.mark.parametrize("method", ["ptq_conv1d", "drop_layers", "low_rank"])
def test_scores_are_the_same_to_the_bit_with_drift_and_without(model, method, measured):
    with_drift, scores = measured(model, f"compression={method}", "drift.layers=true")
    without, expected = measured(model, f"compression={method}", "drift.requests=0")
    pd.testing.assert_frame_equal(scores, expected, check_exact=True)
    assert with_drift["hash_after"] == without["hash_after"]
    found = with_drift["drift"]
    assert 0 < found["mean_kl"] <= found["max_kl"]
    assert 0 <= found["top1_agreement"] <= 1
    assert found["requests"] == 12
    if method == "drop_layers":
        assert found["layers"] is None
        assert "do not correspond" in found["reason"]
    else:
        assert len(found["layers"]) == 2
        assert all(error > 0 for error in found["layers"].values())
    assert without["drift"]["mean_kl"] is None
    assert without["drift"]["reason"] == "drift.requests=0"
    assert scalars("receipt", with_drift)["receipt/drift/mean_kl"] == found["mean_kl"]


def test_the_dense_model_has_none(measured):
    receipt, _ = measured("bert")
    assert receipt["drift"]["reason"] == "this is the dense model"


def test_only_compressed_cells_depend_on_its_settings(checkpoint):
    def hashed(*overrides):
        return fingerprint(prepare(typed(settings(checkpoint("bert"), *overrides))).parts)

    assert hashed() == hashed("drift.seed=1")
    assert hashed("compression=ptq") != hashed("compression=ptq", "drift.seed=1")


def test_a_students_checkpoint_is_part_of_the_fingerprint(checkpoint, measured, tmp_path):
    def table(student):
        teacher = f"{checkpoint('bert')}: {{id: {student}}}"
        return ["compression=distilled", f"+compression.students={{{teacher}}}"]

    # With its teacher's tokenizer, as students have.
    student = shutil.copytree(checkpoint("distilbert"), tmp_path / "student")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint("bert") / name, student / name)
    parts = prepare(typed(settings(checkpoint("bert"), *table(student)))).parts
    assert len(parts["other_checkpoints"]["distilled"]) == 64
    receipt, _ = measured("bert", *table(student))
    assert receipt["drift"]["mean_kl"] > 0
    receipt, _ = measured("bert", *table(checkpoint("roberta")))
    assert receipt["drift"]["reason"] == "the compressed model has another vocabulary"


def test_of_the_table_of_students_only_the_one_that_is_used_counts(checkpoint):
    def parts(*students):
        pairs = ", ".join(f"{checkpoint(a)}: {{id: {checkpoint(b)}}}" for a, b in students)
        table = f"+compression.students={{{pairs}}}"
        return prepare(typed(settings(checkpoint("bert"), "compression=distilled", table)))

    one, more, other = (
        fingerprint(parts(*students).parts)
        for students in (
            [("bert", "distilbert")],
            [("bert", "distilbert"), ("gpt2", "gpt_neox")],
            [("bert", "roberta")],
        )
    )
    assert one == more != other


def test_a_checkpoint_that_noise_is_matched_to_is_part_of_the_fingerprint(checkpoint):
    parts = prepare(
        typed(
            settings(
                checkpoint("bert"),
                *("compression=noise", "compression@compression.like=pretrained"),
                f"compression.like.id={checkpoint('roberta')}",
            )
        )
    ).parts
    assert len(parts["other_checkpoints"]["noise.pretrained"]) == 64
