"""A task's scores as estimands: the resampling unit is the example.

Correlations are given times 100, as GLUE's tables do (Wang et al. 2019), so that they stand beside
accuracies and a margin in points holds for all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from src.statistics.estimand import Estimand, Exchangeable, Float, Mask, Model, Sums, percentage


def task_estimand(metric: str, rows: pd.DataFrame) -> Estimand:
    """Make the estimand of one metric.

    Args:
        metric: A key of `METRICS`.
        rows: Of the item table, with `item_id`, `decision`, `label` and `prediction`.
    """
    scored = rows[rows["decision"] != "skipped"]
    units = tuple(scored["item_id"].astype(str))
    truth = scored["label"].to_numpy(dtype=float)
    found = scored["prediction"].to_numpy(dtype=float)
    n, plain = len(units), metric == "accuracy"
    right = (truth == found).astype(float)
    return Estimand(
        category="overall",
        metric=metric,
        unit="%",
        ideal=None,
        kind="task",
        n=n,
        model=METRICS[metric](units, truth, found),
        outcomes=right if plain else None,
        flip=100.0 / n if plain and n else float("nan"),
        reason=_undefined(metric, truth, found),
        bounds=(0.0 if plain else -100.0, 100.0),
    )


def _undefined(metric: str, truth: Float, found: Float) -> str:
    if not truth.size:
        return "all examples were skipped"
    if metric == "accuracy":
        return ""
    if np.ptp(truth) == 0:
        return "all examples have the same label"
    return "the model says the same of all examples" if np.ptp(found) == 0 else ""


def _accuracy(units: tuple[str, ...], truth: Float, found: Float) -> Model:
    right = (truth == found).astype(float)
    return Sums(units, np.stack([right, np.ones(len(units))], axis=1), percentage)


def _matthews(units: tuple[str, ...], truth: Float, found: Float) -> Model:
    """Matthews' correlation (1975) of two classes, from the four counts of their table."""
    outcomes = [(truth == t) & (found == f) for t in (0, 1) for f in (0, 1)]
    return Sums(units, np.stack(outcomes, axis=1).astype(float), _phi)


def _phi(counts: Float) -> Float:
    tn, fp, fn, tp = counts.T
    spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    # Where a class is missing there is nothing to correlate with: undefined, not 0.
    value: Float = 100.0 * (tp * tn - fp * fn) / np.sqrt(np.where(spread > 0, spread, np.nan))
    return value


def _pearson(units: tuple[str, ...], truth: Float, found: Float) -> Model:
    # The spread of each is kept near 1, as differences of sums of squares lose digits.
    x, y = (_standard(values) for values in (truth, found))
    parts = np.stack([np.ones(len(units)), x, y, x * x, y * y, x * y], axis=1)
    return Sums(units, parts, _product_moment)


def _standard(values: Float) -> Float:
    """Shift and scale by constants, which change no correlation, and are the same in all cells."""
    return (values - HALF) / HALF


HALF = 2.5
"""Middle of STS-B's scale."""


def _product_moment(sums: Float) -> Float:
    n, x, y, xx, yy, xy = sums.T
    spread = (n * xx - x * x) * (n * yy - y * y)
    value: Float = 100.0 * (n * xy - x * y) / np.sqrt(np.where(spread > 0, spread, np.nan))
    return value


@dataclass(frozen=True, eq=False)
class RankCorrelation(Exchangeable):
    """Spearman's rank correlation, times 100; ties have the mean of their ranks.

    Attributes:
        truth: Values to predict, shape (n,).
        found: Predictions, shape (n,).
    """

    truth: Float
    found: Float

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        truth, found = (_weighted_ranks(values, weights) for values in (self.truth, self.found))
        return _correlation(truth, found, weights)

    def mixed(self, other: Model, swap: Float) -> Float:
        """Give the values, shape (B,), with the units where `swap` (B, n) is 1 from `other`."""
        assert isinstance(other, RankCorrelation)
        truth, found = (
            rankdata(np.where(swap > 0, theirs, ours), axis=1)
            for ours, theirs in ((self.truth, other.truth), (self.found, other.found))
        )
        return _correlation(truth, found, np.ones_like(swap))

    def differs(self, other: Model) -> Mask:
        """Tell which units have other data in `other`, shape (n,)."""
        assert isinstance(other, RankCorrelation)
        different: Mask = (self.truth != other.truth) | (self.found != other.found)
        return different


def _weighted_ranks(values: Float, weights: Float) -> Float:
    """Give the ranks that values have where each stands as often as its weight says.

    Args:
        values: Shape (n,).
        weights: Shape (B, n).

    Returns:
        Shape (B, n): the weight of smaller values, and the middle of those that are equal.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    equal = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = equal.cumsum(axis=1) - equal / 2 + 0.5
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return middle[:, group]


def _correlation(one: Float, other: Float, weights: Float) -> Float:
    """Pearson's correlation of two tables, row by row, with weights, times 100; all (B, n)."""
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (
            values - (weights * values).sum(axis=1, keepdims=True) / total
            for values in (one, other)
        )
        spread = (weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)
        value: Float = (
            100.0 * (weights * a * b).sum(axis=1) / np.sqrt(np.where(spread > 0, spread, np.nan))
        )
    return value


METRICS: dict[str, Callable[[tuple[str, ...], Float, Float], Model]] = {
    "accuracy": _accuracy,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": RankCorrelation,
}
"""Name -> its model of example names, labels and predictions."""
