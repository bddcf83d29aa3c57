"""Operations counted by hand, by torch's own counter, and what a cell's records say of them."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.scoring.batching import Budget, Forward, batches, merge
from src.scoring.packed_attention import padding
from src.scoring.packing import packs
from src.scoring.requests import Attention, Embedding, LogProbs
from src.system.flops import PROBE, Cost, Need, find_need, model_cost, need_of_batches
from src.system.peak import calibrated_peak, matrix_peak, product_dtype
from tests.checkpoints import CAUSAL, MASKED


def plan(*requests):
    return merge(requests)[0]


def test_needs_of_a_masked_plan_by_hand():
    forwards = plan(
        LogProbs((1, 2, 3), (1, 1), (7, 8)), LogProbs((1, 2, 3), (2,), (7,)), Embedding((1, 2))
    )
    assert find_need(forwards, causal=False, whole=False) == Need(5, 9 + 4, 2)


def test_needs_of_a_causal_plan_by_hand():
    """1 2 is shared, 4 follows the last position asked for, row 0 is asked by both."""
    forwards = plan(
        LogProbs((1, 2, 3, 4), (0, 2), (2, 4)),
        LogProbs((1, 2, 5), (0, 1, 2), (2, 5, 6)),
        LogProbs((1, 2, 3, 9), (2,), (4,)),
    )
    assert find_need(forwards, causal=True, whole=False) == Need(4, 1 + 2 + 3 + 3, 4)
    assert find_need(forwards, causal=True, whole=True) == Need(11, 10 + 6 + 10, 6)
    embeddings = plan(Embedding((1, 2)), Embedding((1, 3), "first"), Attention((1,)))
    assert find_need(embeddings, causal=True, whole=True) == Need(5, 3 + 3 + 1, 0)


def test_a_cost_is_a_sum():
    assert Cost(10, 3, 7).of(Need(2, 5, 1)) == 20 + 15 + 7


def test_cost_of_a_model_by_hand(subject):
    """BERT of 2 layers: width 32, inner width 48, the head's transform and 160 words at most."""
    model = subject("bert").model
    cost = model_cost(model)
    vocabulary = model.config.vocab_size
    assert cost == Cost(
        token=2 * 2 * (4 * 32 * 32 + 2 * 32 * 48),
        pair=4 * 2 * 32,
        row=2 * (32 * 32 + 32 * vocabulary),
    )


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_torch_counts_the_same(name, load):
    model = load(name).model
    model.set_attn_implementation("eager")
    counter = FlopCounterMode(display=False)
    ids = torch.arange(5, 5 + PROBE)[None]
    with counter, torch.inference_mode():
        model(input_ids=ids)
    # Rotary angles are a product of matrices for torch, and are none of the model's layers.
    rotary = 2 * PROBE * 4 if name in ("llama", "gpt_neox") else 0
    counted = counter.get_total_flops()
    ours = model_cost(model).of(Need(PROBE, PROBE**2, PROBE))
    assert ours == pytest.approx(counted, abs=rotary)


def test_the_meta_device_counts_the_same(subject):
    from transformers import AutoConfig, AutoModelForCausalLM

    real = subject("llama").model
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(real.name_or_path))
    assert model_cost(empty) == model_cost(real)


def test_a_layer_of_low_rank_counts_as_its_factors(load):
    from src.compression.low_rank import LowRankConfig
    from src.compression.registry import compress
    from src.compression.uniform import UniformConfig

    dense, thin, packed = load("bert"), load("bert"), load("bert")
    compress(thin, LowRankConfig(rank=0.25))
    compress(packed, UniformConfig())
    assert model_cost(thin.model).token < 0.7 * model_cost(dense.model).token
    assert model_cost(packed.model) == model_cost(dense.model)


def test_padding_is_that_of_attentions_tables():
    trees = [range(6), range(5), range(4), range(3), range(3)]
    # 6, 5 and 4 share a table (6 <= 1.5 * 4), and so do both of 3.
    assert padding(trees) == 1 + 2
    assert padding(()) == 0


def test_the_peak_is_measured_once():
    first = calibrated_peak("cpu", torch.float32, 1)
    assert first > 1e8
    assert calibrated_peak("cpu", torch.float32, 1) == first


def test_int8_layers_are_compared_with_int8_products(load):
    model = load("bert").model
    assert product_dtype(model, model.dtype) == torch.float32
    subject = load("bert")
    compress(subject, PtqConfig())
    assert product_dtype(subject.model, subject.model.dtype) == torch.int8
    assert matrix_peak("cpu", torch.int8, 0.01) > 1e8


def test_a_cell_says_what_it_did(tmp_path, subject):
    from accelerate import Accelerator

    from src.evaluate import _run
    from src.system.accounting import account
    from src.system.config import SystemConfig

    one = subject("gpt2")
    requests = [LogProbs((1, 2, 3), (1,), (4,)), LogProbs((1, 2, 3), (1,), (4,)), Embedding((5, 6))]
    forwards: list[Forward] = plan(*requests)
    _, work = _run(one, forwards, SystemConfig(progress=False), Accelerator(cpu=True))
    told = account(one, requests, forwards, work)
    assert told["tokens_asked"] == 8
    assert told["tokens_needed"] == work["tokens_run"] == 4
    assert told["deduplication"] == 1.5
    assert told["token_deduplication"] == 2
    assert told["padding_share"] == 0
    cost = model_cost(one.model)
    assert told["useful_flops"] == 4 * cost.token + (3 + 3) * cost.pair + cost.row
    assert 0 < told["share_of_peak"] < 1
    assert json.dumps(told)


@pytest.mark.parametrize("causal", [False, True])
def test_batches_need_what_their_plan_needs_where_nothing_more_is_shared(causal):
    """One tree holds all that is shared here; rows of equal length share nothing."""
    forwards = plan(
        LogProbs((1, 2, 3, 4), (0, 2), (2, 4)),
        LogProbs((1, 2, 5), (0, 1, 2), (2, 5, 6)),
        Embedding((1, 2)),
    )
    cut = packs(forwards, Budget(100, 1), causal, width=1000)
    assert need_of_batches(cut, causal) == find_need(forwards, causal, whole=False)
    alone = batches(forwards, Budget(100, 1))
    assert need_of_batches(alone, causal) == find_need(forwards, causal, whole=True)
