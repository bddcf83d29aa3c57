"""From requests to batches: what is asked twice is computed once, and nothing is padded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from src.scoring.requests import Answer, LogProbs, Request

Pair = tuple[int, int]


@dataclass(slots=True)
class Forward:
    """One distinct input to run, with everything that is asked of it.

    Attributes:
        ids: The input.
        pooling: "mean" or "first" for an embedding, "attention" for the attention its tokens
            receive; empty for log-probabilities.
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
    """Forwards of one length and one kind that run together."""

    forwards: tuple[Forward, ...]

    @property
    def tokens(self) -> int:
        """Tokens in the batch; none of them is padding."""
        return len(self.forwards) * len(self.forwards[0].ids)


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
        logits: Most logits (rows times vocabulary).
        vocabulary: Size of the vocabulary.
        selective: Whether only the rows asked for are computed, or all of them.
    """

    tokens: int
    logits: int
    vocabulary: int
    selective: bool = True

    def rows(self, forward: Forward) -> int:
        """Count the rows of logits that a forward makes."""
        if forward.pooling:
            return 0
        return len(forward.rows) if self.selective else len(forward.ids)


def batches(forwards: Sequence[Forward], budget: Budget) -> Iterator[Batch]:
    """Cut forwards into batches of equal length within a budget, longest first.

    Equal lengths make padding, and with it attention masks and position shifts, unnecessary, so
    that a sequence's numbers do not depend on its company. Longest first finds a budget that does
    not fit in memory at once.
    """
    current: list[Forward] = []
    rows = 0
    for forward in sorted(forwards, key=lambda one: (one.pooling, -len(one.ids), one.ids)):
        more = budget.rows(forward)
        full = current and (
            (current[0].pooling, len(current[0].ids)) != (forward.pooling, len(forward.ids))
            or (len(current) + 1) * len(forward.ids) > budget.tokens
            or (rows + more) * budget.vocabulary > budget.logits
        )
        if full:
            yield Batch(tuple(current))
            current, rows = [], 0
        current.append(forward)
        rows += more
    if current:
        yield Batch(tuple(current))
