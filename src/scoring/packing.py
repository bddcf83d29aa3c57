"""From forwards to packs: sequences end to end; causal ones that begin alike share it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.scoring.batching import Batch, Budget, Forward

POOLINGS = ("", "mean", "first", "last")
"""What can be asked of packed sequences: log-probabilities and embeddings."""
TREE_NODES = 96
"""Most nodes of a tree; a longer sequence is its own tree."""


@dataclass(slots=True)
class Tree:
    """Sequences merged on their common beginnings. One sequence alone is a chain.

    A node's descendants follow it without a gap, so that `ends` alone tells who is whose ancestor:
    node i attends to node j where j <= i < ends[j].

    Attributes:
        ids: Token of each node.
        positions: Place of each node in its sequence.
        ends: One past the last descendant of each node.
        forwards: The merged inputs.
        paths: For each forward, its nodes in order.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)

    def add(self, forward: Forward, ids: tuple[int, ...], shared: int) -> None:
        """Add a sequence that begins with the first `shared` nodes of the one added before."""
        last = self.paths[-1] if self.paths else []
        first, end = len(self.ids), len(self.ids) + len(ids) - shared
        for node in last[:shared]:
            self.ends[node] = end
        self.ids += ids[shared:]
        self.positions += range(shared, len(ids))
        self.ends += [end] * (end - first)
        self.forwards.append(forward)
        self.paths.append([*last[:shared], *range(first, end)])

    @property
    def rows(self) -> int:
        """Count the distinct nodes whose logits are asked for."""
        pairs = zip(self.forwards, self.paths, strict=True)
        return len({path[row] for forward, path in pairs for row, _ in forward.pairs})


def chains(forwards: Iterable[Forward]) -> Iterator[Tree]:
    """Give every sequence a tree of its own, for models that read each one as a whole."""
    for forward in forwards:
        tree = Tree()
        tree.add(forward, forward.ids, 0)
        yield tree


def prefix_trees(forwards: Iterable[Forward], most: int, width: int) -> Iterator[Tree]:
    """Merge sequences of a causal model that begin alike, where that saves more than it costs.

    What comes after the last position asked of has no influence on the answer and is left out.

    Args:
        forwards: Any.
        most: Nodes a tree may have, if it holds more than one sequence.
        width: Of the model's hidden states.
    """
    needed = sorted(
        ((needed_ids(forward), forward) for forward in forwards), key=lambda one: one[0]
    )
    tree = Tree()
    before: tuple[int, ...] = ()
    for ids, forward in needed:
        shared = common_beginning(before, ids)
        nodes, new = len(tree.ids), len(ids) - shared
        if tree.paths and (nodes + new > most or not _pays(nodes, new, shared, width)):
            yield tree
            tree, shared = Tree(), 0
        tree.add(forward, ids, shared)
        before = ids
    if tree.paths:
        yield tree


def _pays(nodes: int, new: int, shared: int, width: int) -> bool:
    """Compare the linear layers of the tokens shared with the attention of unrelated nodes.

    A token costs some 24 * width^2 operations a layer, a pair of nodes 4 * width, and an operation
    of attention about as much time as six of a linear layer.
    """
    pairs = (nodes + new) ** 2 - nodes**2 - (new + shared) ** 2
    return shared * width > max(pairs, 0)


def common_beginning(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the tokens that two sequences begin with alike."""
    alike = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        alike += 1
    return alike


def packs(forwards: Sequence[Forward], budget: Budget, shared: bool, width: int) -> Iterator[Batch]:
    """Fill batches up to a budget with sequences of any length.

    Args:
        forwards: All with a pooling in `POOLINGS`.
        budget: What a batch may hold.
        shared: Whether common beginnings are, as a causal model allows.
        width: Of the model's hidden states.

    Yields:
        Batches with trees, the largest trees first, so that trees of one batch are alike in size
        and a budget that does not fit in memory is found at once.
    """
    most = min(TREE_NODES, budget.tokens)
    for pooling in POOLINGS:
        chosen = [forward for forward in forwards if forward.pooling == pooling]
        trees = prefix_trees(chosen, most, width) if shared else chains(chosen)
        yield from _filled(sorted(trees, key=lambda tree: (-len(tree.ids), tree.ids)), budget)


def _filled(trees: Iterable[Tree], budget: Budget) -> Iterator[Batch]:
    current: list[Tree] = []
    tokens = rows = 0
    for tree in trees:
        # Counted only where it matters: a pass over every position asked of.
        more = 0 if budget.logits is None or tree.forwards[0].pooling else tree.rows
        if current and not budget.fits(tokens + len(tree.ids), rows + more):
            yield packed(current)
            current, tokens, rows = [], 0, 0
        current.append(tree)
        tokens += len(tree.ids)
        rows += more
    if current:
        yield packed(current)


def packed(trees: Sequence[Tree]) -> Batch:
    """Make a batch of trees: their nodes one after the other, each a row of one token."""
    starts = np.cumsum([0, *(len(tree.ids) for tree in trees)])
    nodes = [
        start + np.asarray(path)
        for start, tree in zip(starts, trees, strict=False)
        for path in tree.paths
    ]
    return Batch(
        forwards=tuple(forward for tree in trees for forward in tree.forwards),
        ids=np.concatenate([tree.ids for tree in trees])[:, None],
        nodes=tuple(nodes),
        positions=np.concatenate([tree.positions for tree in trees])[:, None],
        ends=tuple(np.asarray(tree.ends) for tree in trees),
    )


def needed_ids(forward: Forward) -> tuple[int, ...]:
    """Give the part of an input on which a causal model's answer depends."""
    match forward.pooling:
        case "first":
            return forward.ids[:1]
        case "mean" | "last":
            return forward.ids
    return forward.ids[: max((row for row, _ in forward.pairs), default=0) + 1]
