"""`ptq` against torch's own dynamic-quantized kernels, run one sequence at a time."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from src.benchmarks.base import Skipped
from src.compression.casting import CastConfig
from src.compression.layers import fused, integers
from src.compression.layers.dynamic_int8 import DynamicInt8Linear
from src.compression.none import NoneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.compression.storage import memory_bytes
from src.errors import Unsupported
from src.models.batch_layout import BatchLayout
from src.scoring.batching import merge
from src.scoring.engine import CHUNKS, Engine
from src.scoring.scorer import Plan, load_scorers, plan_items
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring import plain
from tests.scoring.items import CLUSTERS, PAIRS
from tests.scoring.test_exactness import scored

load_scorers()


def torch_dynamic(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """torch's own dynamic quantization, on the engine whose arithmetic the paper's numbers have."""
    quantization = pytest.importorskip("torch.ao.quantization")
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this torch has no fbgemm kernels")
    torch.backends.quantized.engine = "fbgemm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantization.quantize_dynamic(model, {nn.Linear}, dtype)


def layout_of(sequences: int, length: int) -> BatchLayout:
    layout = BatchLayout(nn.Identity())
    layout.sequences, layout.length = sequences, length
    return layout


@pytest.mark.parametrize("seed", range(24))
def test_layer_is_bit_identical_to_torch(seed):
    torch.manual_seed(seed)
    wide = [(16, 40), (64, 64), (96, 300), (300, 96)][seed % 4]
    linear = nn.Linear(*wide, bias=seed % 3 != 0)
    linear.weight.data *= 1 + seed
    x = torch.randn(1, 11, wide[0]) * 10.0 ** (seed % 5 - 2) + (seed % 7 - 3)
    x = x.abs() if seed == 7 else x * 1e-5 if seed == 8 else x
    oracle = torch_dynamic(nn.Sequential(copy.deepcopy(linear)), torch.qint8)[0]
    bias = None if linear.bias is None else linear.bias.detach()
    ours = DynamicInt8Linear(linear.weight.detach(), bias, layout_of(1, 11))
    assert torch.equal(ours.weight, oracle.weight().int_repr())
    assert ours.scale == oracle.weight().q_scale()
    assert torch.equal(ours(x), oracle(x))


@pytest.mark.parametrize(
    "ways", ["usual", "fp32 products", "shifted products", "fp64 sums", "small slices"]
)
def test_every_way_to_compute_is_bit_identical(ways, monkeypatch):
    """Also with sums beyond 2**24, and where values lie half-way between two integers."""
    if ways == "fp32 products":
        monkeypatch.setattr(integers, "_fastest", lambda _: integers._float_product)
    elif ways == "shifted products":
        monkeypatch.setattr(integers, "_fastest", lambda _: integers._shifted_product)
    elif ways == "fp64 sums":
        monkeypatch.setattr(fused, "_fuses", lambda _: False)
    elif ways == "small slices":
        monkeypatch.setattr(fused, "SLICE", 2000)
    torch.manual_seed(0)
    for width, largest in [(40, 0.3), (40, 63.5), (3072, 1.0)]:
        linear = nn.Linear(width, 24)
        x = (torch.rand(5, 7, width) * 2 - 1) * largest
        # As far down as up asks for a zero point of 63.5; others come near one half.
        x[:, 0, 0], x[:, 1, 0] = largest, -largest * torch.tensor([1.0, 1 / 2, 1 / 3, 3 / 4, 1.0])
        if width > 1000 and ways != "fp32 products":  # there each addition beyond 2**24 rounds
            linear.weight.data[0], x[4] = 1.0, 1 - torch.rand(7, width) / 10
        oracle = torch_dynamic(nn.Sequential(copy.deepcopy(linear)), torch.qint8)[0]
        weight, bias = linear.weight.detach(), linear.bias.detach()
        ours = DynamicInt8Linear(weight, bias, layout_of(5, 7))(x)
        assert torch.equal(ours, torch.cat([oracle(x[i : i + 1]) for i in range(5)]))


def saturating(values, weight):
    """Multiply as oneDNN does on a CPU that adds pairs of products in 16 bits."""
    pairs = (values.int() + 128)[:, None, :] * weight.int()
    pairs = functional.pad(pairs, (0, pairs.shape[-1] % 2)).unflatten(-1, (-1, 2)).sum(-1)
    sums = pairs.clamp(-(2**15), 2**15 - 1).sum(-1)
    return (sums - 128 * weight.int().sum(-1)).int()


@pytest.mark.parametrize("machine", ["this", "shifts", "saturates"])
@pytest.mark.parametrize("shape", [(1, 2, 1), (3, 40, 5), (17, 64, 24), (70, 33, 130), (9, 768, 7)])
@pytest.mark.parametrize("extreme", [False, True])
def test_integer_products_are_exact(shape, extreme, machine, monkeypatch):
    if machine != "this":
        monkeypatch.setattr(integers, "_fastest", lambda _: integers._shifted_product)
    if machine == "saturates":
        monkeypatch.setattr(integers, "_product", saturating)
    rows, width, columns = shape
    torch.manual_seed(0)
    # 7-bit codes, of which rounding makes 128 too, without their row's zero point.
    codes = torch.randint(2, (rows, width)) * 128 if extreme else torch.randint(129, (rows, width))
    values = (codes - torch.randint(1, 128, (rows, 1))).to(torch.int8)
    weight = torch.randint(-128, 128, (columns, width), dtype=torch.int8)
    weight = weight.clamp(0, 1).mul(255).sub(128) if extreme else weight
    wanted = values.double() @ weight.double().t()
    assert torch.equal(integers.integer_product(values, weight).double(), wanted)


def test_products_of_one_column_are_exact():
    values, weight = torch.tensor([[3], [-7]]).char(), torch.tensor([[2], [5], [-128]]).char()
    found = integers.integer_product(values, weight)
    assert found.tolist() == [[6, 15, -384], [-14, -35, 896]]


@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 64, 24), (70, 33, 130)])
def test_padding_for_cuda_changes_no_product(shape):
    rows, width, columns = shape
    values, weight = (torch.randint(-128, 128, (n, width)).char() for n in (rows, columns))
    padded = integers._padded(values, integers.CUDA_ROWS), integers._padded(weight, 1)
    assert all(size % 8 == 0 for table in padded for size in table.shape)
    assert len(padded[0]) > 16
    product = padded[0].double() @ padded[1].double().t()
    assert torch.equal(product[:rows, :columns], values.double() @ weight.double().t())


def test_a_way_that_saturates_is_not_taken(monkeypatch):
    choose = integers._fastest.__wrapped__
    monkeypatch.setattr(integers, "_product", saturating)
    monkeypatch.setattr(integers, "_ways", lambda _: (saturating, integers._shifted_product))
    assert choose(torch.device("cpu")) is integers._shifted_product
    monkeypatch.setattr(integers, "_ways", lambda _: (saturating,))
    assert choose(torch.device("cpu")) is integers._float_product


def test_layer_of_zeros_gives_the_bias():
    linear = nn.Linear(4, 3)
    ours = DynamicInt8Linear(linear.weight.detach(), linear.bias.detach(), layout_of(1, 2))
    assert torch.equal(ours(torch.zeros(1, 2, 4)), linear.bias.detach().expand(1, 2, 3))


def test_range_is_per_sequence():
    torch.manual_seed(0)
    linear = nn.Linear(24, 10)
    x = torch.randn(3, 5, 24) * torch.tensor([0.1, 1.0, 30.0]).view(3, 1, 1)
    batch, single = layout_of(3, 5), layout_of(1, 5)
    weight, bias = linear.weight.detach(), linear.bias.detach()
    together = DynamicInt8Linear(weight, bias, batch)(x)
    flattened = DynamicInt8Linear(weight, bias, batch)(x.reshape(15, 24))
    alone = torch.cat([DynamicInt8Linear(weight, bias, single)(x[i : i + 1]) for i in range(3)])
    assert torch.equal(together, alone)
    assert torch.equal(flattened, alone.reshape(15, 10))
    rows = (torch.tensor([2, 0]), torch.tensor([4, 1]))
    assert torch.equal(DynamicInt8Linear(weight, bias, batch)(x, rows=rows), alone[rows])


def test_packed_sequences_have_the_ranges_they_have_alone():
    torch.manual_seed(0)
    linear = nn.Linear(24, 10)
    lengths = (5, 3, 1, 3)
    alone = [torch.randn(1, n, 24) * 10.0**at for at, n in enumerate(lengths)]
    layout = layout_of(sum(lengths), 1)
    ours = DynamicInt8Linear(linear.weight.detach(), linear.bias.detach(), layout)
    together = torch.cat(alone, dim=1).transpose(0, 1)
    with layout.packed(lengths, torch.device("cpu")):
        found, flat = ours(together), ours(together[:, 0])
        rows = (torch.tensor([8, 0, 5]), torch.tensor([0, 0, 0]))
        some = ours(together, rows=rows)
    layout.sequences = 1
    wanted = torch.cat([ours(one) for one in alone], dim=1)[0]
    assert torch.equal(found[:, 0], wanted)
    assert torch.equal(flat, wanted)
    assert torch.equal(some, wanted[rows[0]])


def test_a_table_that_all_sequences_share_has_one_range():
    """DeBERTa projects its relative positions: the same numbers alone and in company."""
    torch.manual_seed(0)
    linear = nn.Linear(24, 10)
    table = torch.randn(1, 16, 24)
    weight, bias = linear.weight.detach(), linear.bias.detach()
    alone, together = (DynamicInt8Linear(weight, bias, layout_of(n, 5))(table) for n in (1, 4))
    assert torch.equal(alone, together)
    with pytest.raises(Unsupported, match="cannot be defined"):
        DynamicInt8Linear(weight, bias, layout_of(4, 5))(table[0])


@pytest.mark.parametrize("settings", [PtqConfig(), CastConfig()])
def test_half_precision_checkpoints_can_be_compressed(settings, load):
    subject = load("bert", dtype="bfloat16")
    compress(subject, settings)
    for score in scored(subject, PAIRS[:1], "bias_bench", 100):
        assert score["more"] < 0


def _is_packed(subject):
    """Whether sequences of many lengths go into one batch."""
    plans, _ = plan_items(PAIRS, subject.text, "bias_bench", subject.objective)
    engine = Engine(subject, 10_000, 10**9)
    engine.run(merge(r for p in plans if isinstance(p, Plan) for r in p.requests)[0])
    assert engine.packed == (engine.work.batches == 1)
    return engine.packed


# torch cannot quantize MobileBERT: it reads the decoder's weight without calling the decoder.
@pytest.mark.parametrize("name", [name for name in (*MASKED, *CAUSAL) if name != "mobilebert"])
@pytest.mark.parametrize("budget", [1, 10_000])
def test_scores_equal_torch_one_by_one(name, budget, load):
    subject = load(name)
    oracle = torch_dynamic(subject.model, torch.qint8)
    compress(subject, PtqConfig())
    assert _is_packed(subject) == (name not in ("mobilebert", "funnel", "gpt_neo"))
    tokenizer, start = subject.text.tokenizer, subject.text.traits.start_id
    pairs = scored(subject, PAIRS, "bias_bench", budget)
    clusters = scored(subject, CLUSTERS, "bias_bench", budget)
    for pair, score in zip(PAIRS, pairs, strict=True):
        if isinstance(score, Skipped):
            continue
        if name in MASKED:
            wanted = plain.crows_masked(oracle, tokenizer, pair, shared=False)
        else:
            wanted = {
                n: plain.sentence_causal(oracle, tokenizer, getattr(pair, n), start)
                for n in ("more", "less")
            }
        assert score == pytest.approx(wanted, rel=1e-5)
    for cluster, score in zip(CLUSTERS, clusters, strict=True):
        for candidate in cluster.candidates:
            if name in MASKED:
                space = subject.text.traits.leading_space
                wanted = plain.stereoset_masked(oracle, tokenizer, cluster, candidate, space)
            else:
                wanted = plain.sentence_causal(oracle, tokenizer, candidate.sentence, start)
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt_neox"])
def test_the_head_is_called_for_a_few_rows_at_a_time(name, load):
    subject = load(name)
    compress(subject, PtqConfig())
    plans, _ = plan_items(PAIRS, subject.text, "bias_bench", subject.objective)
    forwards, _ = merge(r for p in plans if isinstance(p, Plan) for r in p.requests)
    vocabulary = len(subject.model.get_input_embeddings().weight)
    found = []
    for rows in (3, 10_000):
        engine = Engine(subject, 10_000, CHUNKS * rows * vocabulary)
        found.append(np.concatenate(engine.run(forwards)))
        assert engine.direct
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_receipt(name, load):
    subject = load(name)
    linears = {n: m for n, m in subject.model.named_modules() if type(m) is nn.Linear}
    head = subject.model.get_output_embeddings()
    tied = head.weight is subject.model.get_input_embeddings().weight
    receipt = compress(subject, PtqConfig())
    changed = {change.module for change in receipt.changes}
    assert changed | set(receipt.skipped) >= set(linears)
    assert changed.isdisjoint(receipt.skipped)
    untied = [change.module for change in receipt.changes if change.untied_from]
    assert len(untied) == (1 if tied and name != "mobilebert" else 0)
    assert 0 < receipt.relative_error < 0.2
    assert receipt.memory_bytes_after == memory_bytes(subject.model)
    assert receipt.hash_before != receipt.hash_after
    for change in receipt.changes:
        module = subject.model.get_submodule(change.module)
        weight = linears[change.module].weight.detach().double()
        error = (weight - module.weight.double() * module.scale).norm() / weight.norm()
        assert change.relative_error == pytest.approx(float(error), rel=1e-4)


def test_gpt2_blocks_are_left_alone_unless_asked_for(load):
    plain_receipt = compress(load("gpt2"), PtqConfig())
    assert [change.module for change in plain_receipt.changes] == ["lm_head"]
    assert len(plain_receipt.skipped) == 8
    receipt = compress(load("gpt2"), PtqConfig(conv1d=True))
    assert len(receipt.changes) == 9
    assert not receipt.skipped


def test_conv1d_layer_is_its_transposed_linear(load):
    subject = load("gpt2")
    conv = subject.model.transformer.h[0].attn.c_attn
    linear = nn.Linear(*conv.weight.shape)
    linear.weight.data, linear.bias.data = conv.weight.t().contiguous(), conv.bias
    oracle = torch_dynamic(nn.Sequential(linear), torch.qint8)[0]
    compress(subject, PtqConfig(conv1d=True))
    ours = subject.model.transformer.h[0].attn.c_attn
    ours.layout.sequences = 1
    x = torch.randn(1, 7, 32)
    assert torch.equal(ours(x), oracle(x))


def test_none_changes_nothing(load):
    receipt = compress(load("bert"), NoneConfig())
    assert not receipt.changed
    assert receipt.mean_bits == pytest.approx(32, abs=0.5)
