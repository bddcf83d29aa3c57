"""The size of a metric's change from one cell to another, and whether it is chance."""

import math
from dataclasses import dataclass

import numpy as np

from src.statistics.cell import interval_of
from src.statistics.config import StatisticsConfig
from src.statistics.detectable import change_from_error, paired_change
from src.statistics.estimand import Estimand, Float, Integer, Model
from src.statistics.intervals import Interval, student_interval
from src.statistics.mcnemar import Flips, cohens_g, exact_p, mid_p, paired_interval
from src.statistics.resample import Resampled, standard_error
from src.statistics.swaps import Relabelled, swap_test

FEW_FLIPS = 10
"""Up to so many flips the paired interval covers more than its level (95 %: 97 to 99.9 %)."""
FEW_CHANGED = 10
"""Below so many changed units (and half of them) resamples are too much alike: t is used."""


@dataclass(frozen=True)
class Difference:
    """A metric's change from one cell to another, as a function of the same weights on both.

    Attributes:
        first: The metric in one cell.
        second: In the other, over the same units.
        ideal: Then the change of the distance from it; None for the change of the value.
    """

    first: Model
    second: Model
    ideal: float | None = None

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units."""
        return self.first.units

    @property
    def strata(self) -> Integer:
        """Shape (n,)."""
        return self.first.strata

    def evaluate(self, weights: Float) -> Float:
        """Give the changes, shape (B,), for weights of shape (B, n)."""
        before, after = self.first.evaluate(weights), self.second.evaluate(weights)
        if self.ideal is None:
            return after - before
        change: Float = np.abs(after - self.ideal) - np.abs(before - self.ideal)
        return change


@dataclass(frozen=True, slots=True)
class Change:
    """The size of a change and whether it is one.

    Attributes:
        difference: Second cell less first, in the metric's unit.
        interval: Its interval at the level of the settings.
        narrow: The interval at level 1 - 2 alpha, for the two one-sided tests of equivalence.
        test: Name of the test behind `p`.
        p: Mid-p of the two-sided test, which decides.
        p_exact: Its exact p, which never rejects too often, but may reject far too rarely.
        p_smallest: The smallest p that there could have been: above alpha, too few items or
            terms changed for any test to find a difference.
        effect_size: The change relative to how much items or clusters scatter.
        effect_size_kind: Which effect size it is.
        mde: Minimum detectable change; NaN where unknown.
    """

    difference: float
    interval: Interval
    narrow: Interval
    test: str
    p: float
    p_exact: float
    p_smallest: float
    effect_size: float
    effect_size_kind: str
    mde: float


def of_flips(change: Flips, settings: StatisticsConfig) -> Change:
    """Compare two percentages of the same items."""
    changed = change.up + change.down
    share = (changed + 2) / (change.n + 2)  # as the interval has it: one flip more each way
    mde = 100 * paired_change(change.n, share, settings.alpha, settings.power)
    levels = (settings.level, 1 - 2 * settings.alpha)
    method = "paired, Bonett-Price"
    if changed <= FEW_FLIPS:
        method += f", {changed} flips: wider than need be"
    wide, narrow = (Interval(*paired_interval(change, level), method) for level in levels)
    return Change(
        difference=100.0 * (change.up - change.down) / change.n,
        interval=wide,
        narrow=narrow,
        test="McNemar mid-p",
        p=mid_p(change),
        p_exact=exact_p(change),
        p_smallest=0.5**changed if changed else 1.0,
        effect_size=cohens_g(change),
        effect_size_kind="Cohen's g",
        mde=mde,
    )


def of_model(
    first: Estimand,
    second: Estimand,
    ideal: float | None,
    drawn: Resampled,
    relabelled: Relabelled,
    settings: StatisticsConfig,
) -> Change:
    """Compare two values, or their distances from an ideal, by resampling."""
    model = Difference(first.model, second.model, ideal)
    difference = float(model.evaluate(np.ones((1, len(model.units))))[0])
    tested = swap_test(relabelled, ideal)
    error, freedom = standard_error(drawn.left_out, model.strata)
    changed = int(first.model.differs(second.model).sum())
    few = changed < min(FEW_CHANGED, len(model.units) / 2) and np.isfinite(first.flip)
    # As Bonett and Price do for percentages: one flip more each way, so that few or no flips do
    # not make an interval of (nearly) no width.
    error = math.hypot(error, math.sqrt(2) * first.flip) if few else error
    low, high = first.bounds
    # No value changes by more than its range, and no distance by more than the largest one.
    most = high - low if ideal is None else max(high - ideal, ideal - low)
    intervals = [
        _interval(
            difference, drawn, model.strata, level, changed, (error, freedom) if few else None
        )
        for level in (settings.level, 1 - 2 * settings.alpha)
    ]
    # Without an interval the error is no more than a part of it: a stratum of one cluster, whose
    # value without it is undefined, adds nothing to the error.
    known = error > 0 and freedom > 0 and not intervals[0].method.startswith("none")
    return Change(
        difference=difference,
        interval=_clipped(intervals[0], most),
        narrow=_clipped(intervals[1], most),
        test="swaps of clusters" + (", all" if tested.exhaustive else ""),
        p=tested.p,
        p_exact=tested.exact,
        p_smallest=tested.smallest,
        effect_size=difference / (error * math.sqrt(freedom + 1)) if known else math.nan,
        effect_size_kind="standardized change of clusters",
        mde=change_from_error(error, settings.alpha, settings.power, round(freedom) + 1)
        if known
        else math.nan,
    )


def _interval(
    difference: float,
    drawn: Resampled,
    strata: Integer,
    level: float,
    changed: int,
    few: tuple[float, float] | None,
) -> Interval:
    """Make an interval of a change, also where next to nothing changed."""
    if few and few[1] > 0:
        made = student_interval(difference, *few, level)
        return made._replace(method=f"cluster t, {changed} clusters changed")
    if not changed and np.bincount(strata).max(initial=0) > 1:
        return Interval(0.0, 0.0, "the two cells have identical answers")
    return interval_of(difference, drawn, strata, level)


def _clipped(interval: Interval, most: float) -> Interval:
    low, high = np.clip(interval[:2], -most, most)
    return Interval(float(low), float(high), interval.method)
