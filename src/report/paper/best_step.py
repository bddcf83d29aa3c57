"""The checkpoint of best LM score of a row, and those that the items cannot tell from it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.errors import InputError
from src.report.cells import OVERALL
from src.report.paper.cells import PaperCell, PaperCells
from src.statistics.best import confidence_set_p
from src.statistics.estimand import Estimand
from src.statistics.on_disk import estimands_of, settings_of
from src.statistics.resample import bootstrap

LM = ("stereoset", OVERALL, "lm_score")


@dataclass(frozen=True, slots=True)
class Best:
    """Which checkpoint a row of tables 2 and 3 is about.

    Attributes:
        cell: Of the highest LM score; of equal ones the earliest.
        checkpoints: How many there were to choose from.
        tied: Those that are as good as far as the items can tell, the best one included; None
            where that could not be found out.
    """

    cell: PaperCell
    checkpoints: int
    tied: int | None

    @property
    def remark(self) -> str:
        """Say it in a few words."""
        if self.tied is None or self.checkpoints < 2:
            return f"best of {self.checkpoints}"
        others = {1: "no other", 2: "1 other"}.get(self.tied, f"{self.tied - 1} others")
        return f"best of {self.checkpoints}, {others} as good"


@functools.cache  # two tables ask for each
def best_step(found: PaperCells, kind: str, row: str, variant: str) -> Best | None:
    """Find the checkpoint of best LM score; None where no cell has one.

    Args:
        found: All cells.
        kind: Of the sweep.
        row: The paper's name of the size.
        variant: Its precision.
    """
    values = [(one, _lm(one)) for one in found.of(kind, row, variant)]
    scored = [(one, value) for one, value in values if value is not None]
    if not scored:
        return None
    best = max(range(len(scored)), key=lambda index: scored[index][1])
    return Best(scored[best][0], len(scored), _tied([one for one, _ in scored]))


def _lm(one: PaperCell) -> float | None:
    record = one.record(*LM)
    return None if record is None else record["value"]


def _tied(cells: Sequence[PaperCell]) -> int | None:
    """Count the members of the model confidence set; None where cells rest on different items."""
    if len(cells) < 2:
        return len(cells)
    try:
        found = [_estimand(one) for one in cells]
    except InputError:  # items of another version, say; the numbers are there all the same
        return None
    estimands = [one for one in found if one is not None]
    if len(estimands) < len(cells) or len({one.units for one in estimands}) > 1:
        return None
    settings = settings_of(cells[0].cell)
    drawn = bootstrap([one.model for one in estimands], settings.resamples, settings.seed)
    p = confidence_set_p(np.array([one.value for one in estimands]), drawn)
    return int((p >= settings.alpha).sum())


def _estimand(one: PaperCell) -> Estimand | None:
    benchmark, category, metric = LM
    scorer = str(one.cell.config.get("scorer", {}).get("name"))
    return estimands_of(one.cell, only=benchmark).get((benchmark, scorer, category, metric))
