"""Does a number go one way along an ordered axis: pretraining steps, bits, sparsity?

Two questions, because there are two kinds of noise:

- Would other items say the same? The cells of an axis share their items, so a straight line over
  the ranks of the axis is fitted to the values of every resample of the items, and its rise from
  the first to the last cell has an interval. It is Page's (1963) trend statistic with the score
  itself in the place of the ranks within each item, which answers of yes and no do not have.
- Would another training run say the same? That can only be told from how the values scatter
  along the axis: Mann and Kendall's test, which is Kendall's tau against the axis with its exact
  p. With four cells p is never below 0.08, so it is given from five on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau
from scipy.stats import t as student

from src.statistics.across import Across, estimate
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Float, Model

FEWEST_KENDALL = 5
"""Cells from which on Mann and Kendall's test is made."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A number along an axis.

    Attributes:
        n_cells: Cells on the axis.
        rise: Of the fitted line from the first to the last cell, in the number's unit.
        ci_low: Lower end of its interval over resampled items; NaN where undefined.
        ci_high: Upper end.
        ci_method: How the interval was made, or why there is none.
        p: That the line is flat, over items (t test with the jackknife's standard error).
        kendall_tau: Of the values against the axis; NaN with fewer than five cells.
        kendall_p: Its two-sided p.
    """

    n_cells: int
    rise: float
    ci_low: float
    ci_high: float
    ci_method: str
    p: float
    kendall_tau: float
    kendall_p: float


def contrast(axis: Sequence[float]) -> Float:
    """Give coefficients, shape (K,), whose sum with values is the fitted rise over the axis.

    The line is fitted by least squares to the ranks of the axis, as its values (steps, bits) are
    rarely spaced in a way that a score would follow. They add up to 0.
    """
    order = np.unique(np.asarray(axis, dtype=float), return_inverse=True)[1].astype(np.float64)
    centred = order - order.mean()
    return np.asarray(centred / (centred @ centred) * np.ptp(order), dtype=np.float64)


def trend(models: Sequence[Model], axis: Sequence[float], settings: StatisticsConfig) -> Trend:
    """Test a number of several cells for a trend along an axis.

    Args:
        models: The number in each of K cells, over the same units.
        axis: Where each cell is on the axis, shape (K,).
        settings: Level, resamples and seed.
    """
    coefficients = contrast(axis)
    rise = estimate(Across(tuple(models), lambda values: values @ coefficients), settings)
    ones = np.ones((1, len(models[0].units)))
    values = np.array([model.evaluate(ones)[0] for model in models])
    tau, p = mann_kendall(axis, values)
    low, high, method = rise.interval
    return Trend(
        len(models), rise.value, low, high, method, _p(rise.value, rise.error, rise.freedom), tau, p
    )


def mann_kendall(axis: Sequence[float], values: Float) -> tuple[float, float]:
    """Test values, shape (K,), for a trend without using their items; NaN below five of them."""
    if len(axis) < FEWEST_KENDALL:
        return float("nan"), float("nan")
    tested = kendalltau(axis, values)
    return float(tested.statistic), float(tested.pvalue)


def _p(value: float, error: float, freedom: float) -> float:
    if error > 0:
        return float(2 * student.sf(abs(value) / error, freedom))
    return 1.0 if value == 0 else float("nan")
