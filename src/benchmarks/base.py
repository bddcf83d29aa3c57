"""What a benchmark is to the rest of the program: items in, a table of items, metrics out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.benchmarks.items import Item
from src.statistics.estimand import Estimand

Scores = Mapping[str, float | npt.NDArray[np.floating]]
"""A scorer's answer for one item: score column -> value; SEAT: sentence -> embedding.

CrowS-Pairs: {"more", "less"}. StereoSet: {candidate id: score}. SEAT: {sentence: (hidden,)}.
"""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item a scorer cannot score, with the reason (it is counted, not forgotten)."""

    reason: str


ItemScore = Scores | Skipped
Locate = Callable[[str], Path]
"""Turns a data file's path in the layout ("stereoset/dev.json") into a verified local file."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number a benchmark reports.

    Attributes:
        category: "gender", ..., or "overall".
        metric: Name of the number ("stereotype_score", "effect_size", ...).
        value: NaN where undefined.
        unit: "%", "sd", "items", "p", ...
        n: Items (pairs, clusters, tests) the value rests on.
        ideal: The unbiased value (50, 0), or None where the metric has no ideal.
        kind: "bias", "lm", "task" or "count": the first part of the W&B key.
        reason: Why `value` is NaN; empty otherwise.
        ci_low: Lower end of the interval; None where there is none.
        ci_high: Upper end.
        ci_method: How the interval was made; "none: ..." with the reason where there is none.
        mde: Minimum detectable effect: the least difference from a fixed value (the ideal) that
            so many items find with the power set in the config; None where unknown.
    """

    category: str
    metric: str
    value: float
    unit: str
    n: int
    ideal: float | None
    kind: str
    reason: str = ""
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str = ""
    mde: float | None = None


class Benchmark(Protocol):
    """A benchmark: no torch, no model, no network; files are found by the `locate` it is given."""

    def load(self, locate: Locate) -> Sequence[Item]:
        """Read the items the settings ask for.

        Raises:
            InputError: A file is malformed; the message names file, row and column.
        """
        ...

    def tabulate(
        self, items: Sequence[Item], scores: Sequence[ItemScore], decimals: int | None
    ) -> pd.DataFrame:
        """One row an item: identity, unrounded scores, decision, skip reason.

        Args:
            items: As `load` gave them.
            scores: One per item, in the same order.
            decimals: Scores are rounded to this before they are compared (the scorer's rule),
                None for no rounding; the score columns stay unrounded.
        """
        ...

    def metrics(self, table: pd.DataFrame) -> list[Metric]:
        """Compute every metric from the item table alone (so it can be redone from disk)."""
        ...

    def estimands(self, table: pd.DataFrame) -> list[Estimand]:
        """Give the metrics that have intervals as functions of weights of resampling units.

        Their values are those of `metrics`; counts and p-values have no estimand.

        Raises:
            InputError: The table lacks a column, as an older version wrote it.
        """
        ...


def nan_to_reason(value: float, reason: str) -> dict[str, Any]:
    """Give `value` and, where it is NaN, the reason, as keyword arguments of `Metric`."""
    return {"value": float(value), "reason": reason if np.isnan(value) else ""}
