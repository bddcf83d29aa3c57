"""Models larger than their memory: what does not fit stays on disk, and nothing else changes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from src.compression.none import NoneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.compression.storage import digest, disk_bytes, memory_bytes
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.models.kept import _can_keep
from src.models.load import load_subject
from src.models.spread import Spread, entry_device, is_spread
from src.scoring.batching import merge
from src.scoring.engine import Engine
from src.scoring.requests import Attention, Embedding, LogProbs
from src.system.config import SystemConfig
from src.system.flops import model_cost
from tests.test_cell import config, run, status  # noqa: F401

CPU = torch.device("cpu")
IDS = (7, 8, 9, 10, 11)


@pytest.fixture(scope="module")
def spread(checkpoint, subject):
    """The same checkpoint with memory for a share of its weights; the rest stays on disk."""

    def load(name, share=0.9):
        most = int(share * memory_bytes(subject(name).model))
        wanted = ModelConfig(name=name, id=str(checkpoint(name)))
        return load_subject(wanted, CPU, "auto", Spread(True, cpu_memory=str(most)))

    return load


def asked(name):
    requests = [
        LogProbs(IDS, (1, 2), (8, 9)),
        LogProbs(IDS[:3], (0, 1), (8, 9)),
        Embedding(IDS, "mean"),
        Embedding(IDS[1:], "first"),
    ]
    return merge([*requests, Attention(IDS)] if name == "bert" else requests)[0]


@pytest.mark.parametrize("name", ["bert", "roberta", "albert", "gpt2", "gpt_neox", "llama", "opt"])
@pytest.mark.parametrize("share", [0.9, 0.05])
def test_numbers_are_those_of_the_undivided_model(name, share, subject, spread):
    whole, parts = subject(name), spread(name, share)
    assert is_spread(parts.model)
    assert not is_spread(whole.model)
    assert any(one.device.type == "meta" for one in parts.model.parameters())
    assert entry_device(parts.model) == CPU
    engines = [Engine(one, 100, 10**6) for one in (whole, parts)]
    wanted, found = (np.concatenate([np.ravel(a) for a in e.run(asked(name))]) for e in engines)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert engines[0].packed == engines[1].packed
    assert any(one.device.type == "meta" for one in parts.model.parameters())


@pytest.mark.parametrize("name", ["bert", "gpt_neox", "gpt2"])
def test_the_receipt_is_that_of_the_undivided_model(name, subject, spread):
    whole, parts = subject(name).model, spread(name)
    receipt = compress(parts, NoneConfig())
    assert receipt.hash_after == digest(whole)
    assert receipt.memory_bytes_after == memory_bytes(whole)
    assert receipt.disk_bytes == disk_bytes(whole)
    assert model_cost(parts.model) == model_cost(whole)
    assert not _can_keep(parts.model)


def test_compression_is_refused(spread):
    with pytest.raises(Unsupported, match="spread over cpu, disk"):
        compress(spread("bert", 0.9), PtqConfig())


def test_enough_memory_leaves_a_model_whole(spread):
    parts = spread("bert", 2.0)
    assert not is_spread(parts.model)
    compress(parts, PtqConfig())


def test_a_cell_runs_on_a_spread_model(config, tmp_path):  # noqa: F811
    run(config(), tmp_path / "whole")
    overrides = ("system.device_map=auto", "system.cpu_memory=40KB")
    run(config(*overrides), tmp_path / "parts")
    tables = [pd.read_parquet(tmp_path / name / "items.parquet") for name in ("whole", "parts")]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    system = json.loads((tmp_path / "parts" / "system.json").read_text())
    assert system["useful_flops"] > 0
    assert run(config(*overrides, "compression=ptq"), tmp_path / "ptq") == "unsupported"
    assert "system.device_map=auto" in status(tmp_path / "ptq")["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device_map": "balanced"}, "device_map"),
        ({"cpu_memory": "1GB"}, "is for system.device_map=auto"),
        ({"device_map": "auto", "gpu_memory": "much"}, "is no size"),
    ],
)
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        SystemConfig(**settings)
