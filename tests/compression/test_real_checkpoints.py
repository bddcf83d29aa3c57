"""The ladder on trained checkpoints: those that ship, and a real one where it is there."""

import copy
from pathlib import Path

import pytest
import torch

from src.compression.noise import NoiseConfig
from src.compression.prune import PruneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.compression.stack import StackConfig
from src.compression.uniform import UniformConfig
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.schema import ROOT
from src.scoring.scorer import load_scorers
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

load_scorers()
TINY = ROOT / "src" / "models" / "tiny"
STORIES = Path(__file__).parents[3] / "shared" / "models" / "stories260K"


CHECKPOINTS = [TINY / "pythia-1.3m" / "step5100", TINY / "bert", STORIES]


@pytest.fixture(scope="module", params=CHECKPOINTS, ids=lambda path: path.name)
def trained(request):
    if not request.param.is_dir():
        pytest.skip("the shared models are not here")
    config = ModelConfig(name="trained", id=str(request.param))
    original = load_subject(config, torch.device("cpu"), "auto")

    def fresh():
        subject = copy.copy(original)
        subject.model = copy.deepcopy(original.model)
        return subject

    return fresh


def compressed(trained, settings):
    subject = trained()
    receipt = compress(subject, settings)
    return receipt, scored(subject, PAIRS, "bias_bench", 10_000)


def distance(scores, others):
    pairs = [(a, b) for a, b in zip(scores, others, strict=True) if isinstance(a, dict)]
    return max(abs(a[key] - b[key]) for a, b in pairs for key in a)


def test_the_ladder(trained):
    dense = scored(trained(), PAIRS, "bias_bench", 10_000)
    rungs = {
        bits: compressed(trained, UniformConfig(weight_bits=bits, modules="with_embeddings"))
        for bits in (2, 4, 8, 16)
    }
    receipts = [receipt for receipt, _ in rungs.values()]
    errors = [receipt.relative_error for receipt in receipts]
    sizes = [receipt.disk_bytes for receipt in receipts]
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)
    # A causal score is a perplexity, so its distance is a share.
    scale = max(1.0, max(abs(v) for s in dense if isinstance(s, dict) for v in s.values()))
    assert distance(rungs[16][1], dense) < 1e-3 * scale
    assert distance(rungs[16][1], dense) < distance(rungs[4][1], dense)


def test_the_point_of_the_paper(trained):
    settings = UniformConfig(weight_bits=8, activation_bits=7, granularity="tensor", conv1d=False)
    ours, paper = compressed(trained, settings), compressed(trained, PtqConfig())
    assert ours[1] == paper[1]
    assert ours[0].relative_error == paper[0].relative_error


def test_a_stack_and_its_control(trained):
    steps = {"prune": PruneConfig(sparsity=0.3), "uniform": UniformConfig(weight_bits=4)}
    receipt, _ = compressed(trained, StackConfig(steps))
    alone = compress(trained(), steps["uniform"])
    assert receipt.relative_error > receipt.steps[1].relative_error
    assert receipt.relative_error > alone.relative_error
    assert receipt.disk_bytes == alone.disk_bytes
    noise = compress(trained(), NoiseConfig(like=steps["uniform"]))
    assert noise.relative_error == pytest.approx(alone.relative_error, rel=1e-4)
