"""Batching, deduplication, memory, and refusals of the engine."""

import numpy as np
import pytest
import torch

from src.benchmarks.items import FillIn, SentencePair
from src.errors import InputError, Unsupported
from src.scoring.batching import Budget, batches, merge
from src.scoring.engine import Engine
from src.scoring.requests import Embedding, LogProbs, next_tokens
from src.scoring.scorer import find_scorer, load_scorers
from tests.scoring.items import CLUSTERS, PAIRS
from tests.scoring.test_exactness import scored

load_scorers()


def ids_of(*lengths):
    return [tuple(range(5, 5 + length)) for length in lengths]


def test_what_is_asked_twice_runs_once():
    first, second = ids_of(4, 6)
    requests = [
        LogProbs(first, (1, 2), (7, 8)),
        LogProbs(second, (0,), (9,)),
        LogProbs(first, (2, 1), (8, 3)),
        Embedding(first, "mean"),
        Embedding(first, "mean"),
        Embedding(first, "first"),
    ]
    forwards, places = merge(requests)
    assert [(f.ids, f.pooling) for f in forwards] == [
        (first, ""),
        (second, ""),
        (first, "mean"),
        (first, "first"),
    ]
    assert forwards[0].pairs == {(1, 7): 0, (2, 8): 1, (1, 3): 2}
    assert places == [(0, [0, 1]), (1, [0]), (0, [1, 2]), (2, []), (2, []), (3, [])]


def test_batches_hold_equal_lengths_within_both_budgets():
    rng = np.random.default_rng(0)
    requests = [
        LogProbs(tuple(rng.integers(5, 90, length)), (0, 1), (1, 2))
        for length in rng.integers(2, 9, 200)
    ]
    forwards, _ = merge(requests)
    cut = list(batches(forwards, Budget(tokens=30, vocabulary=100, logits=6 * 100)))
    assert sorted(id(f) for batch in cut for f in batch.forwards) == sorted(map(id, forwards))
    for batch in cut:
        assert len({len(f.ids) for f in batch.forwards}) == 1
        assert batch.tokens <= 30
        assert len(batch.forwards) <= 3  # two rows each, six rows of logits at most
    lengths = [len(batch.forwards[0].ids) for batch in cut]
    assert lengths == sorted(lengths, reverse=True)


def test_a_head_that_computes_every_position_makes_smaller_batches():
    forwards, _ = merge([LogProbs((5, 6, 7, n), (1,), (2,)) for n in range(8, 28)])
    budget = Budget(tokens=10_000, logits=800, vocabulary=100, selective=False)
    assert {len(batch.forwards) for batch in batches(forwards, budget)} == {2}


def test_warm_up_finds_a_head_that_is_not_called(subject):
    for name, selective in (("bert", True), ("mobilebert", False)):
        engine = Engine(subject(name), 100, 10**6)
        engine.warm_up(merge([LogProbs((2, 6, 3), (1,), (7,)), Embedding((2, 6, 3))])[0])
        assert engine.selective == selective
        assert engine.work.forwards == 0


def test_one_sequence_over_the_budget_still_runs(subject):
    forwards, _ = merge([LogProbs(ids_of(20)[0], (3,), (4,))])
    assert len(Engine(subject("gpt2"), 1, 1).run(forwards)) == 1


def test_scores_do_not_depend_on_order_or_company(subject):
    loaded = subject("roberta")
    alone = [scored(loaded, [pair], "bias_bench", 1)[0] for pair in PAIRS]
    together = scored(loaded, PAIRS[::-1], "bias_bench", 10_000)[::-1]
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, dict):
            assert one == pytest.approx(other, rel=1e-6)


def test_the_same_settings_give_the_same_bits(subject):
    first, second = (scored(subject("llama"), PAIRS, "bias_bench", 64) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
])  # fmt: skip
def test_out_of_memory_halves_the_batch_and_goes_on(error, subject, monkeypatch):
    loaded = subject("bert")
    forwards, _ = merge(
        [LogProbs((2, *ids, 3), (1,), (7,)) for ids in [(5, n) for n in range(9, 29)]]
    )
    wanted = Engine(loaded, 10_000, 10**8).run(forwards)
    engine = Engine(loaded, 10_000, 10**8)
    whole = Engine._run_batch

    def tight(self, batch):
        if batch.tokens > 20:
            raise error
        return whole(self, batch)

    monkeypatch.setattr(Engine, "_run_batch", tight)
    found = engine.run(forwards)
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(wanted), rtol=1e-6)
    assert engine.work.retries == 2  # 80 tokens, 40, then 20 fit
    assert engine.batch_tokens == 20
    assert engine.work.forwards == len(forwards)


def test_one_sequence_that_does_not_fit_is_an_error(subject, monkeypatch):
    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Engine, "_run_batch", full)
    forwards, _ = merge([LogProbs(ids_of(5)[0], (1,), (7,))])
    with pytest.raises(InputError, match="one sequence of 5 tokens does not fit"):
        Engine(subject("bert"), 100, 10**8).run(forwards)


def test_other_errors_are_not_taken_for_a_full_memory(subject, monkeypatch):
    def broken(self, batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Engine, "_run_batch", broken)
    forwards, _ = merge([LogProbs(ids_of(5)[0], (1,), (7,))])
    with pytest.raises(RuntimeError, match="shapes"):
        Engine(subject("bert"), 100, 10**8).run(forwards)


@pytest.mark.parametrize("request_", [LogProbs((2, 6, 3), (1,), (7,)), Embedding((2, 6, 3))])
def test_values_that_are_not_finite_are_refused(request_, load):
    broken = load("bert")
    broken.model.bert.encoder.layer[1].output.LayerNorm.weight.data.fill_(torch.nan)
    forwards, _ = merge([request_])
    with pytest.raises(InputError, match="not finite for"):
        Engine(broken, 100, 10**8).run(forwards)


def test_hooks_are_removed(subject):
    loaded = subject("distilbert")
    scored(loaded, CLUSTERS, "bias_bench", 100)
    assert not loaded.model.get_output_embeddings()._forward_pre_hooks
    logits = loaded.model(torch.tensor([[2, 6, 3]])).logits
    assert logits.shape[:2] == (1, 3)


def test_start_token_is_asked_for_once():
    requests = [*next_tokens((5, 6, 7), 0), *next_tokens((5, 8), 0), *next_tokens((9,), 0)]
    forwards, _ = merge(requests)
    assert [(f.ids, sorted(f.pairs)) for f in forwards] == [
        ((0,), [(0, 5), (0, 9)]),
        ((5, 6, 7), [(0, 6), (1, 7)]),
        ((5, 8), [(0, 8)]),
    ]
    assert next_tokens((5, 6), None) == [LogProbs((5, 6), (0,), (6,))]
    assert next_tokens((5,), None) == []


def test_a_rule_that_does_not_exist_says_what_there_is():
    there_is = r"CrowS-Pairs on a causal model; it scores: .*CrowS-Pairs \(masked\)"
    with pytest.raises(Unsupported, match=there_is):
        find_scorer("original", SentencePair, "causal")
    assert find_scorer("bias_bench", SentencePair, "masked").decimals == 3
    assert find_scorer("bias_bench", FillIn, "masked").decimals is None
