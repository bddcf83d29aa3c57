"""Casts against torch's own, and against formats written out by hand."""

import copy

import pytest
import torch
from torch import nn

from src.compression import casting
from src.compression.casting import CastConfig
from src.compression.layers.cast_weight import CastLinear
from src.compression.registry import compress
from src.compression.storage import tensors
from src.errors import InputError, Unsupported
from src.scoring.scorer import load_scorers
from tests.checkpoints import CAUSAL, MASKED
from tests.compression.test_ptq import torch_dynamic
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

load_scorers()


def test_fp16_weights_equal_torch(load):
    torch.manual_seed(0)
    linear = nn.Linear(64, 48)
    linear.weight.data[0, 0] = 1e6
    oracle = torch_dynamic(nn.Sequential(copy.deepcopy(linear)), torch.float16)[0]
    ours = CastLinear(linear.weight.detach(), linear.bias.detach(), torch.float16)
    x = torch.randn(1, 9, 64)
    torch.testing.assert_close(ours(x), oracle(x), rtol=1e-5, atol=1e-4)
    receipt = compress(load("bert"), CastConfig())
    assert 0 < receipt.relative_error < 1e-3
    assert {change.bits for change in receipt.changes} == {16.0}


def test_fp16_model_halves_everything(load):
    subject = load("llama")
    receipt = compress(subject, CastConfig(mode="model"))
    assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.float16}
    assert receipt.memory_bytes_after < 0.51 * receipt.memory_bytes_before
    whole = scored(load("llama"), PAIRS, "bias_bench", 100)
    half = scored(subject, PAIRS, "bias_bench", 100)
    for one, other in zip(whole, half, strict=True):
        assert one == pytest.approx(other, rel=0.05)
        assert one != other


@pytest.mark.parametrize("name", ["gpt_neox", "llama", "bert"])
def test_a_model_in_bf16_is_the_checkpoint_loaded_in_bf16(name, load):
    subject, loaded = load(name), load(name, dtype="bfloat16")
    compress(subject, CastConfig(format="bf16", mode="model"))
    pairs = zip(tensors(subject.model), tensors(loaded.model), strict=True)
    for (ours, one), (theirs, other) in pairs:
        assert (ours, one.dtype) == (theirs, other.dtype)
        assert torch.equal(one, other)


def test_a_compression_that_changes_nothing_is_an_error(load):
    subject = load("bert", dtype="float16")
    with pytest.raises(InputError, match="changed no weight"):
        compress(subject, CastConfig(mode="model"))


def numbers(exponent_bits, mantissa_bits, largest):
    """All numbers of a float format that are not negative, from its definition."""
    bias = 2 ** (exponent_bits - 1) - 1
    found = [0.0]
    for exponent in range(2**exponent_bits):
        for mantissa in range(2**mantissa_bits):
            fraction = mantissa / 2**mantissa_bits
            if exponent == 0:
                found.append(fraction * 2.0 ** (1 - bias))
            else:
                found.append((1 + fraction) * 2.0 ** (exponent - bias))
    return torch.tensor(sorted({value for value in found if value <= largest}))


@pytest.mark.parametrize(
    ("dtype", "exponent_bits", "mantissa_bits", "largest"),
    [(torch.float8_e4m3fn, 4, 3, 448), (torch.float8_e5m2, 5, 2, 57344)],
)
def test_fp8_is_the_nearest_number_of_the_format(dtype, exponent_bits, mantissa_bits, largest):
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * 0.02
    layer = CastLinear(weight, None, dtype)
    scale = weight.abs().max() / largest
    grid = numbers(exponent_bits, mantissa_bits, largest)
    distance = ((weight / scale).abs().unsqueeze(-1) - grid).abs()
    assert layer.scale == scale
    assert layer.weight.dtype == dtype
    stored = layer.weight.float().abs()
    assert torch.isin(stored, grid).all()
    torch.testing.assert_close(
        ((weight / scale).abs() - stored).abs(), distance.amin(-1), rtol=1e-5, atol=1e-5
    )
    x = torch.randn(3, 40)
    torch.testing.assert_close(layer(x), x @ (layer.weight.float() * scale).t())


def test_fp8_of_zeros_is_zeros():
    layer = CastLinear(torch.zeros(2, 3), None, torch.float8_e5m2)
    assert torch.equal(layer(torch.ones(1, 3)), torch.zeros(1, 2))


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_fewer_bits_of_fraction_are_a_larger_error(name, load):
    receipts = {
        form: compress(load(name), CastConfig(format=form, conv1d=True)) for form in casting.FORMATS
    }
    errors = [receipt.relative_error for receipt in receipts.values()]
    assert errors == sorted(errors)
    assert errors[0] < 1e-3 < errors[2] < errors[3] < 0.1
    assert receipts["fp8_e4m3"].nominal_bits == 8 < receipts["fp8_e4m3"].stored_bits < 8.1
    assert receipts["bf16"].stored_bits == receipts["bf16"].nominal_bits == 16
    assert receipts["fp8_e5m2"].disk_bytes < receipts["bf16"].disk_bytes


def test_bf16_model(load):
    subject = load("gpt2")
    receipt = compress(subject, CastConfig(format="bf16", mode="model"))
    assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.bfloat16}
    assert receipt.disk_bytes < 0.6 * compress(load("gpt2"), CastConfig()).memory_bytes_before
    half, whole = (scored(one, PAIRS, "bias_bench", 100) for one in (subject, load("gpt2")))
    assert half[0] != whole[0]
    assert half[0] == pytest.approx(whole[0], rel=0.2)


def test_what_cannot_be_is_refused(load, monkeypatch):
    with pytest.raises(InputError, match="fp8 is a format to store weights in"):
        CastConfig(format="fp8_e5m2", mode="model")
    with pytest.raises(InputError, match=r"compression\.format=fp4"):
        CastConfig(format="fp4")
    monkeypatch.setitem(casting.FORMATS, "fp16", "float9")
    with pytest.raises(Unsupported, match=r"fp16 cannot be stored on cpu: torch .* has no float9"):
        compress(load("bert"), CastConfig())
