"""Pruning, layers, rank and drift on a trained checkpoint: what should harm more does."""

from pathlib import Path

import pytest
import torch

from src.compression.calibration import Calibration, CalibrationConfig
from src.compression.drop_layers import DropLayersConfig
from src.compression.low_rank import LowRankConfig
from src.compression.prune import PruneConfig
from src.compression.registry import compress
from src.compression.sparsegpt import SparseGptConfig
from src.compression.wanda import WandaConfig
from src.scoring.batching import merge
from src.scoring.config import DriftConfig
from src.scoring.drift import compare, remember
from src.scoring.requests import LogProbs
from tests.models.folders import open_folder

SHARED = Path(__file__).parents[3] / "shared"
MODEL = SHARED / "models" / "stories260K"
BUDGET = (2048, 2**24)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    if not MODEL.is_dir():
        pytest.skip("the shared checkpoints are not here")
    settings = CalibrationConfig(samples=16, length=64)
    whole = (SHARED / "data" / settings.text).read_text(encoding="utf-8")
    part = tmp_path_factory.mktemp("text") / "part.txt"  # all of it takes long to tokenize
    part.write_text(whole[:40_000], encoding="utf-8")
    return Calibration(settings, part)


def mean_kl(settings, calibration):
    subject = open_folder(MODEL)
    held_out = Calibration(CalibrationConfig(samples=24, length=32, seed=7), calibration.path)
    texts = [tuple(ids) for ids in held_out.samples(subject).tolist()]
    requests = [LogProbs(ids, (len(ids) - 1,), (0,)) for ids in texts]
    assert len(merge(requests)[0]) == 24
    before = remember(subject, requests, DriftConfig(), BUDGET)
    receipt = compress(subject, settings, calibration)
    return compare(subject, before, BUDGET)["mean_kl"], receipt


@pytest.mark.parametrize("method", [PruneConfig, WandaConfig, SparseGptConfig])
def test_more_zeros_are_more_drift(method, calibration):
    found = [mean_kl(method(sparsity=at), calibration)[0] for at in (0.05, 0.6)]
    assert 0 < found[0] < found[1]


def test_making_up_for_what_is_gone_helps(calibration):
    plain, _ = mean_kl(PruneConfig(sparsity=0.5), calibration)
    made_up, receipt = mean_kl(SparseGptConfig(sparsity=0.5), calibration)
    assert made_up < plain
    assert receipt.sparsity == pytest.approx(0.5, abs=0.01)


def test_less_rank_and_fewer_layers_are_more_drift(calibration):
    ranks = [mean_kl(LowRankConfig(rank=at), calibration) for at in (0.9, 0.6, 0.3)]
    assert ranks[0][0] < ranks[1][0] < ranks[2][0]
    assert ranks[2][1].disk_bytes < ranks[0][1].disk_bytes
    layers = [mean_kl(DropLayersConfig(layers=at), calibration) for at in (1, 2, 3)]
    assert all(torch.isfinite(torch.tensor(kl)) and kl > 0 for kl, _ in layers)
    sizes = [receipt.disk_bytes for _, receipt in layers]
    assert sizes == sorted(sizes, reverse=True)
