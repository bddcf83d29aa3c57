"""Packed sequences: who sees whom, what is shared, and which models can take it."""

import numpy as np
import pytest
import torch

from src.models.subject import Subject
from src.scoring.batching import Budget, deal, merge
from src.scoring.cpu_linear import PackedLinears
from src.scoring.engine import Engine
from src.scoring.packed_attention import find_layouts
from src.scoring.packing import TREE_NODES, packs, prefix_trees
from src.scoring.requests import Embedding, LogProbs
from tests.checkpoints import CAUSAL, MASKED, OTHERS

WIDE = Budget(tokens=10_000, vocabulary=100)
SENTENCES = [(7, 8, 9, 10), (7, 8, 9, 11, 12), (7, 8, 20), (7, 8), (30, 31, 32), (7, 8, 9, 10, 5)]


def continuations(sentences=SENTENCES):
    """Every token but the first asked for, of each sentence."""
    return [LogProbs(ids, tuple(range(len(ids) - 1)), ids[1:]) for ids in sentences]


def seen(tree):
    """The places each node sees, by the meaning of `ends`."""
    return [{at for at in range(node + 1) if node < tree.ends[at]} for node in range(len(tree.ids))]


def test_a_tree_holds_each_beginning_once_and_a_node_sees_its_ancestors_only():
    forwards, _ = merge(continuations())
    tree, other = prefix_trees(forwards, TREE_NODES, 768)
    # What comes after the last position asked of is left out: (7, 8, 9, 10) is asked of 7, 8 and 9.
    assert tree.ids == [7, 8, 9, 10, 11]
    assert tree.positions == [0, 1, 2, 3, 3]
    assert other.ids == [30, 31]
    assert tree.rows == 5
    assert {forward.ids for forward in tree.forwards} == set(SENTENCES) - {(30, 31, 32)}
    for forward, path in zip(tree.forwards, tree.paths, strict=True):
        assert [tree.ids[node] for node in path] == list(forward.ids[: len(path)])
        for depth, node in enumerate(path):
            assert seen(tree)[node] == set(path[: depth + 1])


def test_random_trees_keep_every_path():
    rng = np.random.default_rng(0)
    sentences = {tuple(rng.integers(0, 3, rng.integers(2, 9)).tolist()) for _ in range(300)}
    forwards, _ = merge(continuations(sentences))
    trees = list(prefix_trees(forwards, 20, 768))
    assert sum(len(tree.forwards) for tree in trees) == len(forwards)
    assert max(len(tree.ids) for tree in trees) <= 20
    for tree in trees:
        for forward, path in zip(tree.forwards, tree.paths, strict=True):
            assert tuple(tree.ids[node] for node in path) == forward.ids[:-1]
            assert [seen(tree)[node] for node in path] == [
                set(path[: depth + 1]) for depth in range(len(path))
            ]


def test_embeddings_need_all_their_tokens_or_the_first():
    forwards, _ = merge([Embedding((7, 8, 9), "mean"), Embedding((7, 8, 9), "first")])
    mean, first = packs(forwards, WIDE, shared=True, width=768)
    assert mean.ids.ravel().tolist() == [7, 8, 9]
    assert first.ids.ravel().tolist() == [7]


def test_masked_sequences_stay_whole_and_apart():
    forwards, _ = merge(continuations())
    (batch,) = packs(forwards, WIDE, shared=False, width=768)
    assert batch.tokens == sum(map(len, SENTENCES))
    for forward, nodes in zip(batch.forwards, batch.nodes, strict=True):
        assert tuple(batch.ids.ravel()[nodes]) == forward.ids
        assert batch.positions.ravel()[nodes].tolist() == list(range(len(forward.ids)))


@pytest.mark.parametrize("tokens", [1, 5, 9])
def test_packs_keep_to_the_budget_and_the_largest_come_first(tokens):
    forwards, _ = merge(continuations())
    cut = list(packs(forwards, Budget(tokens, 100), shared=True, width=768))
    assert sorted(f.ids for batch in cut for f in batch.forwards) == sorted(SENTENCES)
    sizes = [max(map(len, batch.ends)) for batch in cut]
    assert sizes == sorted(sizes, reverse=True)
    for batch in cut:
        assert batch.tokens <= tokens or len(batch.forwards) == 1


def test_logits_bound_a_pack_where_all_are_made_at_once():
    forwards, _ = merge(continuations([(n, 1, 2) for n in range(3, 13)]))
    cut = list(packs(forwards, Budget(10_000, 100, logits=600), shared=True, width=768))
    assert [len(batch.forwards) for batch in cut] == [3, 3, 3, 1]
    whole = Budget(10_000, 100, logits=600, selective=False)
    assert len(next(packs(forwards, whole, shared=False, width=768)).forwards) == 2


def test_layout_puts_tokens_into_a_table_and_back():
    cpu = torch.device("cpu")
    trees = [np.array([3, 2, 3]), np.array([2, 2]), np.array([1]), np.array([1])]
    first, second = find_layouts(trees, True, cpu)
    assert first.gather.tolist() == [[0, 1, 2], [3, 4, 0]]
    assert first.scatter.tolist() == [0, 1, 2, 3, 4]
    assert first.mask[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert first.mask[1, 0, :2].int().tolist() == [[1, 0, 0], [1, 1, 0]]
    assert (first.tokens, second.tokens) == (slice(0, 5), slice(5, 7))
    assert second.gather is second.scatter is None
    whole = find_layouts(trees, False, cpu)[0]
    assert whole.mask[:, 0, 0].int().tolist() == [[1, 1, 1], [1, 1, 0]]
    assert find_layouts([np.array([2, 2])] * 3, False, cpu)[0].mask is None


def test_unrelated_sequences_are_not_merged_for_a_token():
    sentences = [(1, *range(10 * n, 10 * n + 9)) for n in range(2, 9)]
    forwards, _ = merge(continuations(sentences))
    assert len(list(prefix_trees(forwards, TREE_NODES, 32))) == 7
    assert len(list(prefix_trees(forwards, TREE_NODES, 10_000))) == 1


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL, *OTHERS])
def test_which_architectures_are_packed(name, subject, load):
    loaded = load(name, objective="masked") if name == "funnel" else None
    if name == "xlnet":
        pytest.skip("looks ahead; refused before it is scored")
    engine = Engine(loaded or subject(name), 100, 10**6)
    engine.warm_up(merge([*continuations([(7, 8, 9), (7, 8, 9, 10)]), Embedding((7, 8, 9))])[0])
    assert engine.packed == (name not in ("mobilebert", "funnel", "gpt_neo")), engine.work.unpacked
    assert engine.direct == (name != "mobilebert")


@pytest.mark.parametrize("name", CAUSAL)
def test_shared_beginnings_do_not_change_a_probability(name, subject):
    forwards, _ = merge(continuations())
    packed, alone = Engine(subject(name), 100, 10**6), Engine(subject(name), 1, 1, packed=False)
    found, wanted = packed.run(forwards), alone.run(forwards)
    assert packed.packed
    assert packed.work.tokens == 7
    assert alone.work.tokens == sum(map(len, SENTENCES))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_window_bounds_what_is_packed(subject):
    loaded = subject("llama")
    forwards, _ = merge(continuations())
    loaded.model.config.sliding_window = 3
    try:
        engine = Engine(loaded, 100, 10**6, packed=True)
        engine.run(forwards)
    finally:
        del loaded.model.config.sliding_window
    # Longer ones go in batches of their own length, whole: 4, 5 and 5 tokens.
    assert engine.work.tokens == 14 + 4


def test_a_layer_that_spans_its_sequence_keeps_it_alone(load):
    loaded: Subject = load("gpt2")
    loaded.model.transformer.h[0].mlp.per_sequence = True
    engine = Engine(loaded, 100, 10**6)
    engine.run(merge(continuations())[0])
    assert engine.packed is False
    assert "spans its whole sequence" in engine.work.unpacked


def test_attention_and_layers_are_as_before(subject):
    loaded = subject("gpt2")
    before = loaded.model.config._attn_implementation
    Engine(loaded, 100, 10**6).run(merge(continuations())[0])
    assert loaded.model.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in loaded.model.modules())


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_linear_layers_multiply_alike_in_either_library(name, load):
    model = load(name).model
    ids = torch.tensor([[7, 8, 9]])
    with torch.inference_mode():
        wanted = model(input_ids=ids).logits
        with PackedLinears(model).in_use():
            assert any("forward" in vars(module) for module in model.modules())
            found = model(input_ids=ids).logits
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(model(input_ids=ids).logits, wanted)


@pytest.mark.parametrize("packed", [True, False])
def test_every_forward_is_dealt_to_one_process(packed):
    rng = np.random.default_rng(0)
    sentences = {tuple(rng.integers(0, 9, rng.integers(2, 9)).tolist()) for _ in range(200)}
    forwards, _ = merge(continuations(sentences))
    shares = [deal(forwards, share, 3, packed) for share in range(3)]
    assert sorted(at for share in shares for at in share) == list(range(len(forwards)))
    tokens = [sum(len(forwards[at].ids) for at in share) for share in shares]
    assert max(tokens) - min(tokens) <= 16
    assert deal([], 0, 2, packed) == []


def test_a_head_is_called_for_a_few_rows_at_a_time(subject, monkeypatch):
    loaded = subject("llama")
    forwards, _ = merge(continuations())
    wanted = Engine(loaded, 100, 10**6).run(forwards)
    seen_rows = []
    head = loaded.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _m, _a, out: seen_rows.append(out.shape[0]))
    vocabulary = loaded.model.config.vocab_size
    try:
        found = Engine(loaded, 100, 8 * 2 * vocabulary).run(forwards)
    finally:
        handle.remove()
    assert max(seen_rows) == 2
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(wanted), rtol=1e-5)
