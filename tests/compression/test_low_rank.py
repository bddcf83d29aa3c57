"""Truncated decompositions against numpy's, and what is stored of them."""

import numpy as np
import pytest
import torch
from torch import nn

from src.compression.layers.low_rank import LowRankLinear, build, factors
from src.compression.linears import dense_weight, find_linears, linear_weight
from src.compression.low_rank import LowRankConfig
from src.compression.registry import compress
from src.errors import InputError
from src.models.blocks import block_names
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored


def truncated(weight, rank):
    u, s, v = np.linalg.svd(weight.double().numpy(), full_matrices=False)
    return torch.tensor((u[:, :rank] * s[:rank]) @ v[:rank])


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (8, 8)])
def test_factors_are_numpys_truncation(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    first, second = factors(weight, 0.5, None)
    rank = round(0.5 * min(shape))
    assert first.shape == (rank, shape[1])
    assert second.shape == (shape[0], rank)
    torch.testing.assert_close(
        (second @ first).double(), truncated(weight, rank), atol=1e-5, rtol=0
    )


def test_energy_by_hand():
    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0]))  # squares 9, 4, 1 of 14
    for energy, rank in ((9 / 14 - 0.01, 1), (9 / 14 + 0.01, 2), (13 / 14 + 0.01, 3), (0.01, 1)):
        first, second = factors(weight, None, energy)
        assert first.shape[0] == second.shape[1] == rank
    first, second = factors(weight, None, 0.8)
    torch.testing.assert_close(second @ first, torch.diag(torch.tensor([3.0, 2.0, 0.0])))
    assert factors(torch.zeros(3, 3), None, 0.5)[0].shape[0] == 1


def test_two_factors_only_where_they_are_smaller():
    torch.manual_seed(0)
    bias, x = torch.randn(8), torch.randn(2, 3, 8)
    for rank, kind in ((3, LowRankLinear), (4, nn.Linear)):  # 2 * 8 * 4 is not below 8 * 8
        first, second = torch.randn(rank, 8), torch.randn(8, rank)
        layer = build(first, second, bias)
        assert type(layer) is kind
        torch.testing.assert_close(layer(x), x @ (second @ first).T + bias)
        torch.testing.assert_close(dense_weight(layer), second @ first)


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
@pytest.mark.parametrize("settings", [{"rank": 0.25}, {"rank": None, "energy": 0.5}])
def test_blocks_compute_with_the_nearest_weights_of_that_rank(name, settings, load):
    subject = load(name)
    linears, _ = find_linears(subject, conv1d=True)
    old = {n: linear_weight(m).clone() for n, m in linears.items()}
    receipt = compress(subject, LowRankConfig(**settings))
    ranks = receipt.details["ranks"]
    assert set(ranks) == set(block_names(subject.model, old))
    for change in receipt.changes:
        weight, rank = old[change.module], ranks[change.module]
        if settings.get("rank"):
            assert rank == max(1, round(0.25 * min(weight.shape)))
        expected = truncated(weight, rank)
        module = subject.model.get_submodule(change.module)
        torch.testing.assert_close(dense_weight(module).double(), expected, atol=1e-4, rtol=0)
        error = float((weight.double() - expected).norm() / weight.double().norm())
        assert change.relative_error == pytest.approx(error, abs=1e-4)
        stored = rank * sum(weight.shape)
        smaller = stored < weight.numel()
        assert change.bits == pytest.approx(32 * (stored / weight.numel() if smaller else 1))
    saved = receipt.memory_bytes_before - receipt.memory_bytes_after
    assert saved == sum((32 - change.bits) * change.elements / 8 for change in receipt.changes)
    for score in scored(subject, PAIRS[:1], "bias_bench", 100):
        assert np.isfinite(list(score.values())).all()


def test_errors_fall_with_the_rank_and_vanish(load):
    errors = [
        compress(load("gpt2"), LowRankConfig(rank=rank)).relative_error
        for rank in (0.1, 0.4, 0.8, 0.99)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5  # 0.99 of 32 singular values rounds to all of them


def test_a_tied_head_is_untied_and_the_receipt_says_so(load):
    subject = load("bert")
    embedding = subject.model.get_input_embeddings().weight.clone()
    receipt = compress(subject, LowRankConfig(modules="linears"))
    untied = {change.module for change in receipt.changes if change.untied_from}
    assert untied == {"cls.predictions.decoder"}
    assert torch.equal(subject.model.get_input_embeddings().weight, embedding)
    assert scored(subject, PAIRS[:1], "bias_bench", 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"energy": 0.9}, "exclude each other"),
        ({"rank": None}, "exclude each other"),
        ({"rank": 1.5}, r"compression\.rank=1.5"),
        ({"rank": None, "energy": 0.0}, r"compression\.energy=0.0"),
        ({"modules": "head"}, "blocks, linears"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        LowRankConfig(**settings)
