"""What has to hold on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from src.compression.casting import CastConfig
from src.compression.layers.activations import quantize_activations
from src.compression.layers.cast_weight import CastLinear
from src.compression.layers.dynamic_int8 import quantize_weight
from src.compression.layers.grid import Grid, dequantize, quantize
from src.compression.layers.integers import integer_product
from src.compression.none import NoneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.compression.uniform import UniformConfig
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.scoring.scorer import load_scorers
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
load_scorers()


def half_weights(rows=96, columns=80):
    """16-bit weights, which fall on the middle between two codes again and again."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, columns, generator=generator).mul_(0.02).half().float()


@pytest.mark.parametrize("bits", [1.58, 2, 3, 4, 5, 6, 7, 8, 16])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_weights_become_the_same_codes_as_on_the_cpu(bits, symmetric, granularity):
    grid = Grid(bits, granularity, 32, symmetric)
    here, there = (quantize(half_weights().to(device), grid) for device in ("cpu", "cuda"))
    if bits == 1.58:  # a mean is a sum, and its order is the device's
        torch.testing.assert_close(there.scale.cpu(), here.scale, rtol=1e-6, atol=0)
        return
    assert torch.equal(there.codes.cpu(), here.codes)
    assert torch.equal(there.scale.cpu(), here.scale)
    assert torch.equal(dequantize(there, grid, 80).cpu(), dequantize(here, grid, 80))


def test_int8_weights_and_activations_are_the_same_as_on_the_cpu():
    weight = half_weights()
    for here, there in zip(quantize_weight(weight), quantize_weight(weight.cuda()), strict=True):
        assert torch.equal(there.cpu(), here)
    flat = torch.randn(7, 11, 64, generator=torch.Generator().manual_seed(1))
    here, there = quantize_activations(flat, None), quantize_activations(flat.cuda(), None)
    assert torch.equal(there[0].cpu(), here[0])
    assert torch.equal(there[1].cpu(), here[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_cast_weights_are_the_same_as_on_the_cpu(dtype):
    here, there = (
        CastLinear(half_weights().to(device), None, dtype).dense_weight()
        for device in ("cpu", "cuda")
    )
    assert torch.equal(there.cpu(), here)


@pytest.mark.parametrize("rows", [1, 16, 17, 100])
def test_integer_products_are_exact(rows):
    generator = torch.Generator().manual_seed(rows)
    values, weight = (
        torch.randint(-128, 128, (n, 61), generator=generator, dtype=torch.int8) for n in (rows, 45)
    )
    found = integer_product(values.cuda(), weight.cuda())
    assert torch.equal(found.cpu().double(), values.double() @ weight.double().t())


@pytest.mark.parametrize("settings", [NoneConfig(), CastConfig(format="fp16"), UniformConfig()])
@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_item_scores_are_those_of_the_cpu_one_at_a_time(checkpoint, name, settings):
    found = {}
    for device, tokens in (("cpu", 1), ("cuda", 10_000), ("cuda", 1)):
        config = ModelConfig(name=name, id=str(checkpoint(name)))
        subject = load_subject(config, torch.device(device), "auto")
        if settings.kind != "none":
            compress(subject, settings)
        scores = scored(subject, PAIRS, "bias_bench", tokens)
        found[device, tokens] = [score["more"] for score in scores if isinstance(score, dict)]
    for other in (("cuda", 10_000), ("cuda", 1)):
        np.testing.assert_allclose(found[other], found["cpu", 1], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_int8_does_not_depend_on_the_batch(checkpoint, name):
    config = ModelConfig(name=name, id=str(checkpoint(name)))
    subject = load_subject(config, torch.device("cuda"), "auto")
    compress(subject, PtqConfig())
    one, many = (scored(subject, PAIRS, "bias_bench", tokens) for tokens in (1, 10_000))
    ours, theirs = ([s["more"] for s in side if isinstance(s, dict)] for side in (one, many))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
