"""The precision ladder against its arithmetic written out, torch's own, and `ptq`."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from src.compression.layers import integers as products
from src.compression.layers.activations import activation_range
from src.compression.layers.grid import Grid, dequantize, integers, quantize
from src.compression.layers.packing import pack, unpack
from src.compression.layers.uniform import UniformEmbedding, UniformLinear
from src.compression.linears import dense_weight
from src.compression.low_rank import LowRankConfig
from src.compression.prune import PruneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.compression.stack import StackConfig
from src.compression.storage import memory_bytes, tensors
from src.compression.uniform import WEIGHT_BITS, UniformConfig
from src.errors import InputError
from src.models.batch_layout import BatchLayout
from src.scoring.scorer import load_scorers
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring.items import CLUSTERS, PAIRS, TESTS
from tests.scoring.test_exactness import scored

load_scorers()
LADDER = [bits for bits in WEIGHT_BITS if bits != 1.58]


def weights(rows=6, columns=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    # An odd distribution: an outlier, a row of one sign, a row of zeros.
    weight = torch.randn(rows, columns, generator=generator)
    weight[0, 0], weight[1], weight[2] = 9.0, weight[1].abs(), 0.0
    return weight


def layout_of(sequences, length):
    layout = BatchLayout(nn.Identity())
    layout.sequences, layout.length = sequences, length
    return layout


@pytest.mark.parametrize("bits", [1.58, *range(1, 9)])
@pytest.mark.parametrize("columns", [1, 4, 5, 7, 8, 9, 64, 129])
def test_packing_loses_nothing_and_takes_the_bytes_it_says(bits, columns):
    generator = torch.Generator().manual_seed(columns)
    most = 3 if bits == 1.58 else 2**bits
    codes = torch.randint(most, (3, columns), generator=generator, dtype=torch.uint8)
    codes[0], codes[1] = 0, most - 1
    packed = pack(codes, bits)
    assert torch.equal(unpack(packed, bits, columns), codes)
    assert torch.equal(unpack(packed[1:2], bits, columns), codes[1:2])  # a row by itself
    unit, size = (5, 1) if bits == 1.58 else (1, 1) if bits == 8 else (8, bits)
    assert packed.shape == (3, math.ceil(columns / unit) * size)
    assert packed.dtype == torch.uint8


def rounded(weight, grid):
    """What the grids' description says, element by element, in fp32 as the tensors are."""
    weight = weight.numpy()
    rows, columns = weight.shape
    found = np.zeros_like(weight)
    for row in range(rows):
        for column in range(columns):
            part = weight
            if grid.granularity != "tensor":
                part = weight[row]
            if grid.granularity == "group":
                start = column // grid.group * grid.group
                part = part[start : start + grid.group]
            value = weight[row, column]
            if grid.bits == 1.58:
                scale = max(np.abs(part).mean(dtype=np.float32), np.float32(1e-5))
                found[row, column] = min(max(np.round(value * (1 / scale)), -1), 1) * scale
                continue
            steps, eps = np.float32(2**grid.bits - 1), np.finfo(np.float32).eps
            eps = eps if grid.bits <= 8 else np.float32(1e-38)
            if grid.symmetric:
                scale = max(np.abs(part).max() / (steps / 2), eps)
                lowest, highest = -(2 ** (grid.bits - 1)), 2 ** (grid.bits - 1) - 1
                code = min(max(np.round(value * (1 / scale)), lowest), highest)
                found[row, column] = code * scale
            else:
                low, high = min(part.min(), 0), max(part.max(), 0)
                scale = max((high - low) / steps, eps)
                zero = np.round(-low / scale)
                code = min(max(np.round(value * (1 / scale)) + zero, 0), steps)
                found[row, column] = (code - zero) * scale
    return torch.tensor(found)


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_grids_are_as_described(bits, symmetric, granularity):
    if bits == 1.58 and not symmetric:
        return
    grid, weight = Grid(bits, granularity, 8, symmetric), weights()
    packed = quantize(weight, grid)
    assert packed.scale.shape == {"tensor": (1, 1), "channel": (6, 1), "group": (6, 3)}[granularity]
    assert (packed.zero_point is None) == symmetric
    found = dequantize(packed, grid, 20)
    torch.testing.assert_close(found, rounded(weight, grid), rtol=1e-5, atol=1e-7)
    assert (found[2] == 0).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_grids_are_those_of_torch(bits):
    weight = weights(seed=1)
    lowest = -(2 ** (bits - 1))
    for grid in (Grid(bits, "tensor", 8, True), Grid(bits, "tensor", 8, False)):
        packed = quantize(weight, grid)
        scale = float(packed.scale)
        zero = 0 if grid.symmetric else int(packed.zero_point) + lowest
        oracle = torch.fake_quantize_per_tensor_affine(weight, scale, zero, lowest, -lowest - 1)
        assert torch.equal(dequantize(packed, grid, 20), oracle)
    grid = Grid(bits, "channel", 8, False)
    packed = quantize(weight, grid)
    oracle = torch.fake_quantize_per_channel_affine(
        weight, packed.scale[:, 0], packed.zero_point[:, 0].int() + lowest, 0, lowest, -lowest - 1
    )
    assert torch.equal(dequantize(packed, grid, 20), oracle)


def test_two_bits_by_hand():
    weight = torch.tensor([[-3.0, -1.0, 0.4, 3.0]])
    symmetric = quantize(weight, Grid(2, "tensor", 8, True))
    assert symmetric.scale.item() == 2  # 3 / 1.5
    assert integers(symmetric, Grid(2, "tensor", 8, True), 4).tolist() == [[-2, 0, 0, 1]]
    affine = quantize(weight, Grid(2, "tensor", 8, False))
    assert (affine.scale.item(), affine.zero_point.item()) == (2, 2)
    ternary = quantize(weight, Grid(1.58, "tensor", 8, True))
    assert ternary.scale.item() == pytest.approx(1.85)
    assert dequantize(ternary, Grid(1.58, "tensor", 8, True), 4).tolist() == [
        pytest.approx([-1.85, -1.85, 0, 1.85])
    ]


@pytest.mark.parametrize("bits", [2, 4, 7, 8, 16])
def test_activation_ranges_hold_what_they_are_for(bits):
    generator = torch.Generator().manual_seed(bits)
    low, high = -torch.rand(50, generator=generator) * 3, torch.rand(50, generator=generator) * 5
    scale, zero_point = activation_range(low, high, bits)
    torch.testing.assert_close(scale, (high - low) / (2**bits - 1))
    assert (zero_point == zero_point.round()).all()
    ends = torch.stack([-zero_point * scale, (2**bits - 1 - zero_point) * scale])
    torch.testing.assert_close(ends, torch.stack([low, high]), rtol=0, atol=float(scale.max()))


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("activation_bits", [None, 4, 8, 16])
def test_layer_multiplies_what_it_stands_for(granularity, symmetric, activation_bits):
    grid, bias = Grid(5, granularity, 8, symmetric), torch.linspace(-1, 1, 6)
    layer = UniformLinear(
        quantize(weights(), grid), grid, 20, bias, activation_bits, layout_of(3, 4)
    )
    x = torch.randn(3, 4, 20, generator=torch.Generator().manual_seed(2))
    x *= torch.tensor([0.1, 1, 30]).view(3, 1, 1)
    rounded_x = x.double()
    if activation_bits is not None:
        scale, zero = activation_range(x.amin((1, 2)), x.amax((1, 2)), activation_bits)
        scale, zero = scale.view(3, 1, 1).double(), zero.view(3, 1, 1).double()
        codes = (x.double() / scale + zero).round().clamp(0, 2**activation_bits - 1)
        rounded_x = (codes - zero) * scale
    wanted = rounded_x @ layer.dense_weight().double().t() + bias.double()
    torch.testing.assert_close(layer(x).double(), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer(x.reshape(12, 20)), layer(x).reshape(12, 6))
    assert layer.takes_rows == (activation_bits is not None)
    if layer.takes_rows:
        rows = (torch.tensor([2, 0]), torch.tensor([3, 1]))
        torch.testing.assert_close(layer(x, rows=rows), layer(x)[rows])


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_embedding_looks_rows_up(granularity):
    grid = Grid(3, granularity, 8, False)
    packed = quantize(weights(), grid)
    table = UniformEmbedding(packed, grid, 20, torch.bfloat16)
    ids = torch.tensor([[5, 0, 1], [1, 1, 4]])
    assert torch.equal(table(ids), dequantize(packed, grid, 20)[ids].bfloat16())


@pytest.mark.parametrize("way", ["_product", "_shifted_product", "_float_product"])
@pytest.mark.parametrize("name", ["bert", "albert", "mobilebert", "gpt2", "opt"])
def test_eight_and_seven_bits_per_tensor_are_ptq(name, way, load, monkeypatch):
    monkeypatch.setattr(products, "_fastest", lambda _: getattr(products, way))
    ours, paper = load(name), load(name)
    settings = UniformConfig(weight_bits=8, activation_bits=7, granularity="tensor", conv1d=False)
    receipt, theirs = compress(ours, settings), compress(paper, PtqConfig())
    assert [c.relative_error for c in receipt.changes] == [c.relative_error for c in theirs.changes]
    assert receipt.disk_bytes == pytest.approx(theirs.disk_bytes, abs=200)
    for items in (PAIRS, CLUSTERS):
        assert scored(ours, items, "bias_bench", 100) == scored(paper, items, "bias_bench", 100)


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_sixteen_bits_leave_scores_as_they_are(name, load, subject):
    settings = UniformConfig(weight_bits=16, modules="with_embeddings", granularity="tensor")
    compressed = load(name)
    receipt = compress(compressed, settings)
    assert 0 < receipt.relative_error < 1e-4
    before, after = (scored(one, PAIRS, "bias_bench", 100) for one in (subject(name), compressed))
    for old, new in zip(before, after, strict=True):
        if isinstance(old, dict):
            assert new == pytest.approx(old, abs=1e-3)


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_errors_grow_as_bits_fall(symmetric, granularity, subject):
    weight = dense_weight(subject("gpt2").model.transformer.h[1].mlp.c_fc)
    errors = []
    for bits in LADDER:
        grid = Grid(bits, granularity, 16, symmetric)
        error = weight - dequantize(quantize(weight, grid), grid, weight.shape[1])
        errors.append(float(error.norm() / weight.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 < errors[-2] < 0.1 < errors[0]


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
@pytest.mark.parametrize("modules", ["with_head", "with_embeddings"])
def test_receipt_is_true_of_the_model(name, modules, load, subject):
    compressed, original = load(name), subject(name).model
    settings = UniformConfig(
        weight_bits=3, modules=modules, granularity="group", group_size=16, scheme="affine"
    )
    receipt = compress(compressed, settings)
    head, embedding = original.get_output_embeddings(), original.get_input_embeddings()
    tied = head.weight is embedding.weight
    changed = {change.module: change for change in receipt.changes}
    assert changed.keys().isdisjoint(receipt.skipped)
    assert receipt.nominal_bits == 3
    for module, change in changed.items():
        old = dense_weight(original.get_submodule(module)).double()
        new = dense_weight(compressed.model.get_submodule(module)).double()
        assert change.relative_error == pytest.approx(float((old - new).norm() / old.norm()))
        assert change.bits >= 3 + 40 / 16
    stored = sum(change.elements * change.bits / 8 for change in receipt.changes)
    gone = sum(change.elements * 4 for change in receipt.changes if not change.untied_from)
    expected = receipt.memory_bytes_before - gone + stored
    assert receipt.memory_bytes_after == memory_bytes(compressed.model)
    assert receipt.memory_bytes_after == pytest.approx(expected, abs=1e-6)
    assert abs(receipt.disk_bytes - receipt.memory_bytes_after) < 200 * len(
        list(tensors(compressed.model))
    )
    untied = [change for change in receipt.changes if change.untied_from]
    ours = compressed.model.get_output_embeddings()
    if modules == "with_head":
        assert len(untied) == (tied and name != "mobilebert")
    elif modules == "with_embeddings" and tied and name != "mobilebert":
        assert not untied
        assert len(receipt.details["tied"]) == 1
        assert ours.weight is compressed.model.get_input_embeddings().weight
        assert isinstance(ours, UniformLinear)
    elif modules == "with_embeddings":
        assert len(untied) == (name == "mobilebert")


def test_conv1d_and_other_scopes(load):
    receipt = compress(load("gpt2"), UniformConfig(modules="blocks"))
    assert len(receipt.changes) == 8
    assert list(receipt.skipped) == ["lm_head"]
    receipt = compress(load("bert"), UniformConfig(modules="blocks"))
    assert all(".encoder.layer." in change.module for change in receipt.changes)
    outside = ["cls.predictions.decoder", "cls.predictions.transform.dense"]
    assert sorted(receipt.skipped) == outside
    receipt = compress(load("bert"), UniformConfig(modules="with_head"))
    assert set(outside) < {change.module for change in receipt.changes}
    receipt = compress(load("opt"), UniformConfig(modules="with_embeddings"))
    assert "arithmetic of its own" in receipt.skipped["model.decoder.embed_positions"]
    receipt = compress(load("gpt2"), UniformConfig(modules="with_embeddings"))
    assert {"transformer.wte", "transformer.wpe"} <= {c.module for c in receipt.changes}


@pytest.mark.parametrize("name", ["bert", "gpt2", "opt"])
def test_scores_do_not_depend_on_the_batch(name, load):
    settings = UniformConfig(
        weight_bits=4, activation_bits=4, modules="with_embeddings", granularity="group"
    )
    compressed = load(name)
    compress(compressed, settings)
    for items in (PAIRS, TESTS):
        alone, together = (scored(compressed, items, "bias_bench", n) for n in (1, 10_000))
        for one, other in zip(alone, together, strict=True):
            if isinstance(one, dict):
                for key, value in one.items():
                    np.testing.assert_allclose(other[key], value, rtol=1e-5, atol=1e-6)


def test_a_model_that_takes_no_short_input(load):
    assert compress(load("funnel"), UniformConfig()).elements_changed


def test_a_layer_with_arithmetic_of_its_own_is_named(load):
    class OwnLinear(nn.Linear):
        pass

    subject = load("llama")
    subject.model.model.layers[0].mlp.up_proj.__class__ = OwnLinear
    receipt = compress(subject, UniformConfig())
    assert list(receipt.skipped) == ["model.layers.0.mlp.up_proj"]
    assert "a OwnLinear has arithmetic" in receipt.skipped["model.layers.0.mlp.up_proj"]


def test_factors_of_low_rank_are_rounded_and_not_said_to_be_left_alone(load):
    steps = {"low_rank": LowRankConfig(), "uniform": UniformConfig(weight_bits=4, modules="blocks")}
    receipt = compress(load("gpt2"), StackConfig(steps))
    assert list(receipt.skipped) == ["lm_head"]
    assert receipt.stored_bits < 4
    assert {change.module for change in receipt.steps[1].changes} >= {
        "transformer.h.0.attn.c_attn.0",
        "transformer.h.0.attn.c_attn.1",
    }


def test_a_weight_that_stays_tied_through_a_stack_counts_once(load):
    steps = {
        "prune": PruneConfig(modules="linears"),
        "uniform": UniformConfig(modules="with_embeddings"),
    }
    whole = compress(load("gpt2"), steps["uniform"])
    receipt = compress(load("gpt2"), StackConfig(steps))
    assert receipt.elements_changed == whole.elements_changed
    assert [change.module for change in receipt.changes].count("transformer.wte") == 1
    assert receipt.stored_bits == pytest.approx(whole.stored_bits)


def test_impossible_combinations_are_refused():
    with pytest.raises(InputError, match=r"1\.58: ternary weights are symmetric"):
        UniformConfig(weight_bits=1.58, scheme="affine")
    with pytest.raises(InputError, match="group_size=1"):
        UniformConfig(group_size=1)
