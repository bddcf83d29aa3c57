"""Twins that start from kept weights are the twins that start from the disk, bit for bit."""

import json

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import cell, schema, sweep
from src.models import kept, load
from src.models.config import ModelConfig
from src.models.kept import KEPT, load_kept
from src.models.load import load_subject
from src.schema import ROOT, typed

schema.register()
sweep.register()
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def keeping():
    KEPT.clear(on=True)
    yield
    KEPT.clear()


def run(folder, *overrides):
    base = ["benchmark=sample", "tracker=none", "debug.limit=2", "system.progress=false"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        composed = compose("config", overrides=[*base, *overrides])
    assert cell.run_cell(typed(composed), OmegaConf.to_container(composed), folder) == "done"
    system = json.loads((folder / "system.json").read_text())
    receipt = json.loads((folder / "receipt.json").read_text())
    return pd.read_parquet(folder / "items.parquet"), receipt, system


@pytest.mark.parametrize("name", ["gpt2", pytest.param("roberta", marks=pytest.mark.slow)])
def test_results_are_bit_identical(name, checkpoint, tmp_path, monkeypatch):
    loads = []
    monkeypatch.setattr(cell, "load_subject", lambda *a: loads.append(a) or load_subject(*a))
    model = ["model=hf", f"model.id={checkpoint(name)}"]
    for compression in ("none", "ptq", "uniform"):
        overrides = [*model, f"compression={compression}"]
        KEPT.on = True
        items, receipt, system = run(tmp_path / f"{compression}-kept", *overrides)
        assert system["weights_reused"] is (compression != "none")
        assert system["kept_weights_bytes"] > 0
        held = KEPT.subject
        KEPT.on = False
        others, receipt_alone, alone = run(tmp_path / compression, *overrides)
        assert alone["weights_reused"] is False
        pd.testing.assert_frame_equal(items, others, check_exact=True)
        for key in ("hash_before", "hash_after", "disk_bytes", "memory_bytes_before"):
            assert receipt[key] == receipt_alone[key]
        assert KEPT.subject is held
    assert len(loads) == 1 + 3


def test_a_copy_keeps_tied_weights_tied_and_is_its_own(checkpoint):
    config = ModelConfig(name="m", id=str(checkpoint("gpt2")))
    first = load_kept(config, CPU, "auto", load_subject)
    second = load_kept(config, CPU, "auto", load_subject)
    assert KEPT.reused
    head = second.model.get_output_embeddings().weight
    assert head is second.model.get_input_embeddings().weight
    with torch.no_grad():
        head.zero_()
        first.model.get_input_embeddings().weight.zero_()
    third = load_kept(config, CPU, "auto", load_subject)
    assert third.model.get_input_embeddings().weight.abs().max() > 0
    assert third.text is first.text


def test_another_checkpoint_dtype_or_start_token_is_loaded(checkpoint):
    config = ModelConfig(name="m", id=str(checkpoint("gpt2")))
    load_kept(config, CPU, "auto", load_subject)
    for other, start in (
        (ModelConfig(name="m", id=config.id, dtype="bfloat16"), "auto"),
        (config, "none"),
        (ModelConfig(name="m", id=str(checkpoint("opt"))), "auto"),
    ):
        found = load_kept(other, CPU, start, load_subject)
        assert not KEPT.reused
        assert found.model.dtype == getattr(torch, other.dtype)


def test_what_is_too_large_is_not_kept(checkpoint, monkeypatch):
    monkeypatch.setattr(kept, "SHARE", 0)
    config = ModelConfig(name="m", id=str(checkpoint("gpt2")))
    for _ in range(2):
        load_kept(config, CPU, "auto", load_subject)
        assert not KEPT.reused
        assert KEPT.subject is None


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_weights_read_straight_to_a_device_are_the_same(name, checkpoint, monkeypatch):
    """As on a GPU, with the CPU in its place; and such a model is kept and copied as any other."""
    config = ModelConfig(name="m", id=str(checkpoint(name)))
    usual = load_subject(config, CPU, "auto").model
    asked = []
    monkeypatch.setattr(
        load, "placement", lambda *to: asked.append(to) or {"device_map": {"": CPU}}
    )
    load_kept(config, CPU, "auto", load_subject)
    straight = load_kept(config, CPU, "auto", load_subject).model
    assert KEPT.reused
    assert asked == [(CPU, False, "")]
    ids = torch.arange(5, 13)[None]
    with torch.inference_mode():
        assert torch.equal(usual(input_ids=ids).logits, straight(input_ids=ids).logits)


def test_who_is_read_straight_to_a_device():
    gpu = torch.device("cuda", 1)
    assert load.placement(gpu, False, "") == {"device_map": {"": gpu}}
    assert load.placement(gpu, False, "model.gguf") == {}
    assert load.placement(CPU, False, "") == {}
    assert load.placement(CPU, True, "") == {"device_map": {"": CPU}}
