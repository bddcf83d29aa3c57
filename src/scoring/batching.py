"""From requests to batches: what is asked twice is computed once, and nothing is padded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from src.scoring.requests import Answer, LogProbs, Request

Pair = tuple[int, int]
Integers = npt.NDArray[np.int64]


@dataclass(slots=True)
class Forward:
    """One distinct input to run, with everything that is asked of it.

    Attributes:
        ids: The input.
        pooling: "mean", "first" or "last" for an embedding, "attention" for the attention its
            tokens receive; empty for log-probabilities.
        pairs: (row, target) -> index of its value in this forward's answer.
    """

    ids: tuple[int, ...]
    pooling: str
    pairs: dict[Pair, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[int]:
        """The distinct rows asked for, ascending."""
        return sorted({row for row, _ in self.pairs})


@dataclass(frozen=True, slots=True)
class Batch:
    """Forwards of one kind that run together.

    Attributes:
        forwards: The inputs.
        ids: What the model is given, shape (rows, width); nothing in it is padding.
        nodes: For each forward, where its tokens are in `ids`, counted row by row.
        positions: Position ids in the shape of `ids`; None for those the model counts itself.
        ends: Of packed sequences, the trees' `ends` (see `src.scoring.packing`); empty where each
            row is a sequence.
    """

    forwards: tuple[Forward, ...]
    ids: Integers
    nodes: tuple[Integers, ...]
    positions: Integers | None = None
    ends: tuple[Integers, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens in the batch; none of them is padding."""
        return int(self.ids.size)

    @property
    def pooling(self) -> str:
        """What is asked of all forwards in it."""
        return self.forwards[0].pooling


def merge(requests: Iterable[Request]) -> tuple[list[Forward], list[tuple[int, list[int]]]]:
    """Find the distinct forwards behind some requests.

    Args:
        requests: Any requests, repeated or not.

    Returns:
        The forwards, and for each request the index of its forward and, for log-probabilities,
        where in that forward's answer its values are.
    """
    forwards: dict[tuple[tuple[int, ...], str], Forward] = {}
    order: dict[tuple[tuple[int, ...], str], int] = {}
    places: list[tuple[int, list[int]]] = []
    for request in requests:
        pooling = "" if isinstance(request, LogProbs) else request.pooling
        key = (request.ids, pooling)
        forward = forwards.setdefault(key, Forward(request.ids, pooling))
        order.setdefault(key, len(order))
        asked = request if isinstance(request, LogProbs) else LogProbs(request.ids, (), ())
        pairs = zip(asked.rows, asked.targets, strict=True)
        picked = [forward.pairs.setdefault(pair, len(forward.pairs)) for pair in pairs]
        places.append((order[key], picked))
    return list(forwards.values()), places


def scatter(answers: Sequence[Answer], places: Iterable[tuple[int, list[int]]]) -> list[Answer]:
    """Give each request its answer back: the inverse of `merge`.

    Args:
        answers: The answer of each forward.
        places: As from `merge`; an embedding is the whole of its forward's answer.
    """
    return [answers[index][at] if at else answers[index] for index, at in places]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a batch may hold.

    Attributes:
        tokens: Most tokens.
        vocabulary: Size of the vocabulary.
        logits: Most logits (rows times vocabulary); None where they are made a few at a time.
        selective: Whether only the rows asked for are computed, or all of them.
    """

    tokens: int
    vocabulary: int
    logits: int | None = None
    selective: bool = True

    def fits(self, tokens: int, asked: int) -> bool:
        """Say whether a batch may hold so many tokens, so many of them asked for."""
        rows = asked if self.selective else tokens
        return tokens <= self.tokens and (
            self.logits is None or rows * self.vocabulary <= self.logits
        )


def batches(forwards: Sequence[Forward], budget: Budget) -> Iterator[Batch]:
    """Cut forwards into batches of equal length within a budget, longest first.

    Equal lengths make padding, and with it attention masks and position shifts, unnecessary, so
    that a sequence's numbers do not depend on its company. Longest first finds a budget that does
    not fit in memory at once.
    """
    order = sorted(forwards, key=lambda one: (one.pooling, -len(one.ids), one.ids))
    for (_, length), group in groupby(order, key=lambda one: (one.pooling, len(one.ids))):
        current: list[Forward] = []
        rows = 0
        for forward in group:
            more = 0 if forward.pooling else len(forward.rows)
            if current and not budget.fits((len(current) + 1) * length, rows + more):
                yield _stacked(current)
                current, rows = [], 0
            current.append(forward)
            rows += more
        yield _stacked(current)


def _stacked(forwards: Sequence[Forward]) -> Batch:
    ids = np.array([forward.ids for forward in forwards])
    return Batch(tuple(forwards), ids, tuple(np.arange(ids.size).reshape(ids.shape)))


def deal(forwards: Sequence[Forward], share: int, shares: int, packed: bool) -> list[int]:
    """Choose which forwards one of several processes runs.

    Args:
        forwards: All of them.
        share: The process's number.
        shares: How many there are.
        packed: Whether sequences are packed: then those that begin alike stay together, and every
            process has as many tokens. Otherwise every process has as many of each length.

    Returns:
        Indices into `forwards`.
    """
    if not packed:
        order = sorted(range(len(forwards)), key=lambda at: (-len(forwards[at].ids), at))
        return order[share::shares]
    order = sorted(range(len(forwards)), key=lambda at: (forwards[at].pooling, forwards[at].ids))
    before = np.cumsum([0, *(len(forwards[at].ids) for at in order)])
    owner = before[:-1] * shares // max(int(before[-1]), 1)
    return [at for at, one in zip(order, owner, strict=True) if one == share]
