"""Confidence intervals: Wilson's for plain proportions, BCa over clusters for all else."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from src.statistics.estimand import Float, Integer


class Interval(NamedTuple):
    """An interval, or why there is none.

    Attributes:
        low: Lower end; NaN where there is none.
        high: Upper end.
        method: How it was made; "none: ..." with the reason where there is none.
    """

    low: float
    high: float
    method: str


def no_interval(reason: str) -> Interval:
    """Give the interval that is none, with the reason."""
    return Interval(float("nan"), float("nan"), f"none: {reason}")


def wilson(hits: int, n: int, level: float) -> Interval:
    """Wilson's score interval of a percentage."""
    if n == 0:
        return no_interval("no items")
    low, high = proportion_confint(hits, n, alpha=1 - level, method="wilson")
    return Interval(100.0 * float(low), 100.0 * float(high), "wilson")


def student_interval(value: float, error: float, freedom: float, level: float) -> Interval:
    """Student's interval around an estimate with a standard error."""
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    return Interval(value - half, value + half, "t")


def bca(
    value: float,
    resampled: Float,
    left_out: Float,
    strata: Integer,
    level: float,
    freedom: float | None = None,
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval (Efron, 1987), for several strata too.

    With few clusters a bootstrap is too narrow, as it is made with normal quantiles and a
    variance over n and not n - 1. `freedom` widens it as Hesterberg (2015, "expanded percentile
    interval") does: the normal quantile z becomes t(freedom) * sqrt(n / (n - 1)), which changes
    nothing in a large sample.

    Args:
        value: The estimate.
        resampled: Its bootstrap values, shape (B,).
        left_out: Its jackknife values, shape (n,).
        strata: Strata of the units, shape (n,).
        level: Confidence level.
        freedom: Degrees of freedom to widen by; None does not widen.

    Returns:
        Low and high end.
    """
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    # All of B values on one side (a value at its own maximum, as ICAT's can be) say no more than
    # that less than one in B is on the other; a bias without end has no interval.
    most = 1 - 0.5 / resampled.size
    bias = float(ndtri(np.clip(below, 1 - most, most)))
    acceleration = _acceleration(left_out, strata)
    tail = (1 - level) / 2
    z = float(ndtri(tail))
    if freedom is not None:
        z = float(student.ppf(tail, freedom)) * np.sqrt((freedom + 1) / freedom)
    ends = []
    for quantile in (z, -z):
        moved = bias + quantile
        ends.append(float(ndtr(bias + moved / (1 - acceleration * moved))))
    low, high = np.quantile(resampled, ends)
    return float(low), float(high)


def folded_interval(
    value: float, resampled: Float, level: float, freedom: float
) -> tuple[float, float]:
    """Interval of a mean of absolute values, such as the mean |d| of SEAT's tests.

    Where effects are small, |d| is on average larger than the true effect: chance alone makes it
    so, and no bootstrap can tell how much. It is nothing where effects are large; where they are
    zero it is the bootstrap's own bias (resampled values are too large once more) divided by
    sqrt(2) - 1, as for absolute values of a normal variable. The interval covers both: it reaches
    from Student's lower end, less the larger bias, to Student's upper end.

    Args:
        value: The estimate.
        resampled: Its bootstrap values, shape (B,).
        level: Confidence level.
        freedom: Degrees of freedom.
    """
    half = float(student.ppf((1 + level) / 2, freedom)) * float(resampled.std())
    bias = max(0.0, float(resampled.mean()) - value) / (math.sqrt(2) - 1)
    return max(0.0, value - bias - half), value + half


def _acceleration(left_out: Float, strata: Integer) -> float:
    """Skewness of the influence of units (Davison and Hinkley, 1997, eq. 5.34, for strata)."""
    cubes = squares = 0.0
    for stratum in np.unique(strata):
        values = left_out[strata == stratum]
        n = values.size
        influence = (n - 1) * (values.mean() - values)
        cubes += float((influence**3).sum()) / n**3
        squares += float((influence**2).sum()) / n**2
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0
