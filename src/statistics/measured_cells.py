"""Finished cells of a sweep with their metrics as functions of their items."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from src.statistics.estimand import Estimand
from src.statistics.on_disk import Key
from src.tracking.read import Cell

LM = "lm_score"
SS = "ss"
OVERALL = "overall"


@dataclass(frozen=True, eq=False)
class Measured:
    """A finished cell with its metrics as functions of its items.

    Attributes:
        cell: As read from disk.
        estimands: By benchmark, scorer, category and metric.
    """

    cell: Cell
    estimands: Mapping[Key, Estimand]


def metrics_of(
    measured: Iterable[Measured], everywhere: bool = False
) -> Iterator[tuple[Key, list[Estimand]]]:
    """Yield each defined metric with its estimands, in the order of the first cell."""
    members = list(measured)
    for key in dict.fromkeys(key for each in members for key in each.estimands):
        found = [each.estimands[key] for each in members if key in each.estimands]
        if len(found) == len(members) or not everywhere:
            yield key, found
