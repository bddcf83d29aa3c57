"""Comparing the metrics of two cells over the same items."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from src.statistics.change import Change, Difference, of_flips, of_model
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand
from src.statistics.mcnemar import flips
from src.statistics.resample import Resampled, resample
from src.statistics.swaps import relabel

FROM_CHANGE = ("test", "p", "p_exact", "p_smallest", "effect_size", "effect_size_kind", "mde")
"""Fields that a comparison takes over from a change as they are."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric's change from cell A to cell B; the README says what each field means."""

    benchmark: str
    scorer: str
    category: str
    metric: str
    kind: str
    unit: str
    ideal: float | None
    n: int
    clusters: int
    value_a: float
    value_b: float
    difference: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    ci_method: str = ""
    test: str = ""
    p: float = math.nan
    p_exact: float = math.nan
    p_smallest: float = math.nan
    effect_size: float = math.nan
    effect_size_kind: str = ""
    margin: float = math.nan
    equivalent: bool | None = None
    equivalence_low: float = math.nan
    equivalence_high: float = math.nan
    mde: float = math.nan
    distance_difference: float = math.nan
    distance_ci_low: float = math.nan
    distance_ci_high: float = math.nan
    distance_p: float = math.nan
    flips_to_stereo: int | None = None
    flips_to_anti: int | None = None
    reason: str = ""


def compare(
    pairs: Sequence[tuple[Estimand, Estimand]], settings: StatisticsConfig
) -> list[Comparison]:
    """Compare metrics of two cells.

    Args:
        pairs: Each metric in cell A (of twins the uncompressed one) and in cell B, over the same
            items.
        settings: Level, margins, resamples and seed.

    Returns:
        One a pair, in their order.
    """
    asked = [
        [ideal for ideal in (None, first.ideal) if ideal is not None or not _plain(first, second)]
        if not _incomparable(first, second)
        else []
        for first, second in pairs
    ]
    models = [
        Difference(first.model, second.model, ideal)
        for (first, second), ideals in zip(pairs, asked, strict=True)
        for ideal in ideals
    ]
    drawn = iter(resample(models, settings.resamples, settings.seed))
    return [
        _compared(first, second, {ideal: next(drawn) for ideal in ideals}, settings)
        for (first, second), ideals in zip(pairs, asked, strict=True)
    ]


def _incomparable(first: Estimand, second: Estimand) -> str:
    """Say why two estimands cannot be compared; empty where they can."""
    if reason := first.reason or second.reason:
        return reason
    return "" if first.units == second.units else "the two cells have different units"


def _plain(first: Estimand, second: Estimand) -> bool:
    """Whether both are plain percentages of the same items."""
    if first.outcomes is None or second.outcomes is None:
        return False
    return bool((np.isnan(first.outcomes) == np.isnan(second.outcomes)).all())


def _compared(
    first: Estimand,
    second: Estimand,
    drawn: Mapping[float | None, Resampled],
    settings: StatisticsConfig,
) -> Comparison:
    """Put together what is said of one metric."""
    same = first.scorer == second.scorer
    about = Comparison(
        benchmark=first.benchmark,
        scorer=first.scorer if same else f"{first.scorer}, {second.scorer}",
        category=first.category,
        metric=first.metric,
        kind=first.kind,
        unit=first.unit,
        ideal=first.ideal,
        n=min(first.n, second.n),
        clusters=len(first.units),
        value_a=first.value,
        value_b=second.value,
        margin=settings.margin_of(first.unit),
    )
    if reason := _incomparable(first, second):
        return replace(about, reason=reason, ci_method=f"none: {reason}")
    relabelled = None
    if drawn:
        relabelled = relabel(first.model, second.model, settings.resamples, settings.seed)
    if None in drawn:
        assert relabelled is not None
        moved = of_model(first, second, None, drawn[None], relabelled, settings)
    else:
        assert first.outcomes is not None
        assert second.outcomes is not None
        moved = of_flips(flips(first.outcomes, second.outcomes), settings)
    found = replace(about, **_fields(moved, about.margin))
    if first.ideal is not None:
        assert relabelled is not None
        away = of_model(first, second, first.ideal, drawn[first.ideal], relabelled, settings)
        found = replace(
            found,
            distance_difference=away.difference,
            distance_ci_low=away.interval.low,
            distance_ci_high=away.interval.high,
            distance_p=away.p,
        )
    if first.sides is not None and second.sides is not None:
        sides = flips(first.sides, second.sides)
        found = replace(found, flips_to_stereo=sides.up, flips_to_anti=sides.down)
    return found


def _fields(change: Change, margin: float) -> dict[str, Any]:
    """Give a change as fields of `Comparison`."""
    low, high, _ = change.narrow
    return {
        "difference": change.difference,
        "ci_low": change.interval.low,
        "ci_high": change.interval.high,
        "ci_method": change.interval.method,
        "equivalence_low": low,
        "equivalence_high": high,
        # Two one-sided tests at alpha both reject where this interval lies within the margin.
        "equivalent": None if math.isnan(low) else bool(-margin < low and high < margin),
        **{
            name: getattr(change, name)
            for name in (
                "test",
                "p",
                "p_exact",
                "p_smallest",
                "effect_size",
                "effect_size_kind",
                "mde",
            )
        },
    }
