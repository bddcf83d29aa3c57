"""torchao and bitsandbytes in the place of linear layers, against their arithmetic by hand."""

import copy
from functools import partial

import pytest
import torch

from src.benchmarks.base import Skipped
from src.compression import library as extras
from src.compression.bnb import BitsAndBytesConfig
from src.compression.casting import CastConfig
from src.compression.half_quadratic import HqqConfig
from src.compression.library import library_versions
from src.compression.linears import dense_weight
from src.compression.pretrained import QuantizedConfig
from src.compression.registry import compress
from src.compression.stack import StackConfig
from src.compression.storage import disk_bytes, memory_bytes, tensors
from src.compression.torchao import TorchaoConfig
from src.errors import InputError, Unsupported
from src.scoring.scorer import load_scorers
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

load_scorers()
intx = partial(TorchaoConfig, scheme="intx")
METHODS = {
    "torchao int8": TorchaoConfig(),
    "torchao int8_dynamic": TorchaoConfig(scheme="int8_dynamic"),
    "torchao intx": intx(weight_bits=3, group_size=16, symmetric=False),
    "bitsandbytes int8": BitsAndBytesConfig(threshold=1.0),
    "bitsandbytes nf4": BitsAndBytesConfig(scheme="nf4"),
    "bitsandbytes fp4": BitsAndBytesConfig(scheme="fp4", double_quant=True),
}


def rounded(weight, low, high, scale, zero=0.0):
    return (torch.round(weight * (1.0 / scale)) + zero).clamp(low, high).sub(zero).mul(scale)


def test_torchao_int8_is_rounding_to_a_scale_a_channel(layer):
    new, weight, bias = layer(TorchaoConfig())
    wanted = rounded(weight, -128, 127, weight.abs().amax(1, keepdim=True) / 127.5)
    torch.testing.assert_close(dense_weight(new), wanted)
    x = torch.randn(2, 5, 64)
    torch.testing.assert_close(new(x), x @ wanted.t() + bias)


def test_torchao_int8_dynamic_rounds_each_token_too(layer):
    new, weight, bias = layer(TorchaoConfig(scheme="int8_dynamic"))
    wanted = rounded(weight, -128, 127, weight.abs().amax(1, keepdim=True) / 127.5)
    x = torch.randn(2, 5, 64) * torch.tensor([1.0, 30.0]).view(2, 1, 1)
    seen = rounded(x, -128, 127, x.abs().amax(-1, keepdim=True) / 127.5)
    torch.testing.assert_close(new(x), seen @ wanted.t() + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("size", [None, 32])
def test_torchao_intx_is_rounding_to_a_scale_a_group(layer, bits, size):
    new, weight, _ = layer(intx(weight_bits=bits, group_size=size))
    groups = weight.reshape(48, -1, size or 64)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True) / ((high - low) / 2)
    wanted = rounded(groups, low, high, scale).reshape(48, 64)
    torch.testing.assert_close(dense_weight(new), wanted)


def test_torchao_intx_with_zero_points_spans_smallest_to_largest(layer):
    new, weight, _ = layer(intx(weight_bits=4, group_size=32, symmetric=False))
    groups = weight.reshape(48, 2, 32)
    smallest, largest = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = (largest - smallest) / 15
    zero = (-8 - torch.round(smallest / scale)).clamp(-8, 7)
    torch.testing.assert_close(
        dense_weight(new), rounded(groups, -8, 7, scale, zero).reshape(48, 64)
    )


def test_torchao_one_bit_needs_the_search(layer):
    with pytest.raises(InputError, match=r"weight_bits=1 .*add compression\.scales=search"):
        intx(weight_bits=1)
    new, weight, _ = layer(intx(weight_bits=1, group_size=32, scales="search"))
    assert 0.5 < float((dense_weight(new) - weight).norm() / weight.norm()) < 0.9


def test_torchao_int4_has_no_cpu_layout(load):
    with pytest.raises(Unsupported, match="no int4 layout for cpu"):
        compress(load("llama"), TorchaoConfig(scheme="int4"))


def llm_int8(x, weight, bias, threshold):
    """LLM.int8 as its paper has it: outlier features apart, each token and channel with a scale."""
    scale = weight.half().float().abs().amax(1, keepdim=True) / 127
    values = torch.round(weight.half().float() / scale)
    outliers = (x.half().float().abs() >= threshold).flatten(0, -2).any(0)
    rest = x.half().float().masked_fill(outliers, 0)
    spread = rest.abs().amax(-1, keepdim=True) / 127
    small = torch.round(rest / spread) @ values.t() * spread * scale.squeeze(1)
    return small + x.half().float()[..., outliers] @ (values * scale)[:, outliers].t() + bias


@pytest.mark.parametrize("threshold", [0.0, 6.0])
def test_llm_int8_is_the_papers_arithmetic_a_sequence(layer, threshold):
    new, weight, bias = layer(BitsAndBytesConfig(threshold=threshold))
    x = torch.randn(3, 5, 64)
    x[1, 2, 7], x[2, 0, 40] = 20.0, -9.0
    new.layout.sequences, new.layout.length = 3, 5
    cut = threshold or torch.inf
    alone = torch.stack([llm_int8(one, weight, bias, cut) for one in x])
    torch.testing.assert_close(new(x), alone, rtol=0, atol=4e-3)  # the library's own is in float16
    assert torch.equal(new(x.reshape(15, 64)), new(x).reshape(15, 48))
    rows = (torch.tensor([2, 0, 2]), torch.tensor([4, 1, 0]))
    assert torch.equal(new(x, rows=rows), new(x)[rows])
    if threshold:
        batch = llm_int8(x, weight, bias, cut)
        assert (batch - new(x)).abs().max() > 0.02  # outlier features of the whole batch differ


NF4 = torch.distributions.Normal(0, 1).icdf(
    torch.cat([torch.linspace(1 - 0.9677083, 0.5, 8)[:-1], torch.linspace(0.5, 0.9677083, 9)])
)
NF4 = NF4 / NF4.max()
FP4 = torch.tensor([0, 0.0625 / 12, 2 / 12, 3 / 12, 4 / 12, 6 / 12, 8 / 12, 12 / 12])
FP4 = torch.cat([-FP4, FP4]).unique()


@pytest.mark.parametrize("width", [64, 96, 32])
@pytest.mark.parametrize(("scheme", "code"), [("nf4", NF4), ("fp4", FP4)])
def test_four_bits_are_the_nearest_code_times_the_blocks_largest(layer, scheme, code, width):
    """Blocks may go over the ends of rows, where a kernel of the library's is wrong."""
    new, weight, bias = layer(BitsAndBytesConfig(scheme=scheme), width)
    blocks = weight.reshape(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    nearest = (blocks.div(largest).unsqueeze(-1) - code).abs().argmin(-1)
    wanted = (code[nearest] * largest).reshape(48, width)
    torch.testing.assert_close(dense_weight(new), wanted, rtol=1e-3, atol=1e-3)
    x = torch.randn(2, 5, width)
    torch.testing.assert_close(new(x), x @ dense_weight(new).t() + bias)


def test_errors_grow_as_bits_fall(load):
    ladder = [intx(weight_bits=bits, group_size=16, scales="search") for bits in range(8, 0, -1)]
    errors = [compress(load("llama"), settings).relative_error for settings in ladder]
    assert errors == sorted(errors)
    assert errors[0] < 0.01
    assert errors[-1] > 0.3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["bert", "mobilebert", "gpt2", "llama", "opt"])
def test_receipt_and_batches_for_every_architecture(name, method, load):
    settings = copy.copy(METHODS[method])
    settings.modules = "with_head"
    subject = load(name)
    head = subject.model.get_output_embeddings()
    tied = head.weight is subject.model.get_input_embeddings().weight
    receipt = compress(subject, settings)
    untied = [change.module for change in receipt.changes if change.untied_from]
    assert len(untied) == (1 if tied and name != "mobilebert" else 0)
    assert 0 < receipt.relative_error < 0.4
    assert receipt.memory_bytes_after == memory_bytes(subject.model) < receipt.memory_bytes_before
    assert receipt.disk_bytes == disk_bytes(subject.model)
    assert receipt.nominal_bits == (3 if "intx" in method else 8 if "int8" in method else 4)
    for change in receipt.changes:
        stored = dict(tensors(subject.model.get_submodule(change.module)))
        size = sum(one.nbytes for key, one in stored.items() if not key.endswith("bias"))
        assert change.bits == pytest.approx(8 * size / change.elements)
    # What differs in the last bit of fp32 can be rounded to another of 256 numbers of a token.
    close = 1e-2 if "dynamic" in method else 1e-5
    one_by_one, together = (scored(subject, PAIRS, "bias_bench", budget) for budget in (1, 10_000))
    for alone, company in zip(one_by_one, together, strict=True):
        if not isinstance(alone, Skipped):
            assert alone == pytest.approx(company, rel=close)


def test_gpt2_blocks_are_converted_and_heads_left_alone_unless_asked_for(load):
    receipt = compress(load("gpt2"), TorchaoConfig())
    assert len(receipt.changes) == 8
    assert {change.kind for change in receipt.changes} == {"Conv1D"}
    assert list(receipt.skipped) == ["lm_head"]


def test_a_group_that_does_not_divide_the_inputs_leaves_the_layer_alone(load):
    receipt = compress(load("llama"), intx(group_size=32))
    left = [name for name, why in receipt.skipped.items() if "no multiple" in why]
    assert left == [f"model.layers.{layer}.mlp.down_proj" for layer in (0, 1)]


def test_a_second_step_does_not_compress_what_is_compressed(load):
    stack = StackConfig({"nf4": BitsAndBytesConfig(scheme="nf4"), "fp16": CastConfig()})
    receipt = compress(load("llama"), stack)
    assert [change.module for change in receipt.steps[1].changes] == ["lm_head"]
    assert "compressed already" in receipt.steps[1].skipped["model.layers.0.mlp.up_proj"]
    assert receipt.steps[0].relative_error == pytest.approx(
        (
            sum((c.relative_error * c.norm) ** 2 for c in receipt.changes if c.module != "lm_head")
            / sum(c.norm**2 for c in receipt.changes if c.module != "lm_head")
        )
        ** 0.5
    )


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    stack = StackConfig({"a": TorchaoConfig(), "b": CastConfig()})
    assert library_versions(stack).keys() == {"torchao"}

    def missing(name):
        raise extras.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "version", missing)
    with pytest.raises(Unsupported, match=r"pip install .* -e '\.\[torchao\]'"):
        library_versions(TorchaoConfig())
    assert library_versions(QuantizedConfig()) == {}
    monkeypatch.setattr(extras, "version", "{} 1.0".format)
    # Which of them reads a quantized checkpoint is not known before it is loaded.
    assert library_versions(QuantizedConfig())["gguf"] == "gguf 1.0"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (partial(TorchaoConfig, scheme="int5"), r"compression\.scheme=int5"),
        (partial(TorchaoConfig, weight_bits=9), r"compression\.weight_bits=9"),
        (partial(TorchaoConfig, scheme="int4", group_size=48), r"compression\.group_size=48"),
        (partial(BitsAndBytesConfig, block_size=65), r"compression\.block_size=65"),
        (partial(BitsAndBytesConfig, threshold=-1.0), "at least 0"),
        (partial(HqqConfig, weight_bits=7), r"compression\.weight_bits=7"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        settings()
