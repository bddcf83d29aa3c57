"""Intervals and minimum detectable effects for all metrics of a cell."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.benchmarks.base import Benchmark
from src.statistics.config import StatisticsConfig
from src.statistics.detectable import change_from_error
from src.statistics.estimand import Estimand, Float, Integer
from src.statistics.intervals import (
    Interval,
    bca,
    folded_interval,
    no_interval,
    student_interval,
    wilson,
)
from src.statistics.resample import Resampled, resample, standard_error

SMALLEST = 8
"""Below so many clusters a bootstrap has too few different resamples; Student's t is used."""
FEW = 20
"""Below so many clusters an interval says how many there were."""


class Estimate(NamedTuple):
    """What is known of a metric beside its value.

    Attributes:
        interval: Its confidence interval, or why there is none.
        mde: Minimum detectable effect; NaN where unknown.
    """

    interval: Interval
    mde: float


def cell_estimands(benchmarks: Mapping[str, Benchmark], items: pd.DataFrame) -> list[Estimand]:
    """Give the estimands of a cell, or of a part of its items.

    Args:
        benchmarks: By the names under which the items have them; others' items are left out.
        items: The item table, as in items.parquet.

    Raises:
        InputError: A benchmark's rows lack a column.
    """
    return [
        dataclasses.replace(estimand, benchmark=str(name), scorer=str(scorer))
        for (name, scorer), rows in items.groupby(["benchmark", "scorer"], sort=False)
        if name in benchmarks
        for estimand in benchmarks[str(name)].estimands(rows.reset_index(drop=True))
    ]


def with_intervals(
    records: Iterable[Mapping[str, Any]],
    estimands: Sequence[Estimand],
    settings: StatisticsConfig,
) -> list[dict[str, Any]]:
    """Fill in `ci_low`, `ci_high`, `ci_method` and `mde` of metric records.

    Args:
        records: Fields of `Metric`, with `benchmark` and `scorer`.
        estimands: Of the same cell.
        settings: Level, resamples and so on.
    """
    found = estimates(estimands, settings)
    filled = []
    for record in records:
        key = tuple(record[name] for name in ("benchmark", "scorer", "category", "metric"))
        interval, mde = found.get(key, _not_estimated(record))
        ends = {"ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method}
        filled.append(dict(record) | ends | {"mde": mde})
    return filled


def estimates(
    estimands: Sequence[Estimand], settings: StatisticsConfig
) -> dict[tuple[str, ...], Estimate]:
    """Estimate every estimand; those over the same units share their resamples."""
    found: dict[tuple[str, ...], Estimate] = {}
    rest = []
    for estimand in estimands:
        if estimand.reason:
            found[estimand.key] = Estimate(no_interval(estimand.reason), math.nan)
        elif estimand.outcomes is not None:
            found[estimand.key] = _proportion(estimand.outcomes, settings)
        else:
            rest.append(estimand)
    models = [estimand.model for estimand in rest]
    drawn = resample(models, settings.resamples, settings.seed)
    for estimand, values in zip(rest, drawn, strict=True):
        found[estimand.key] = _resampled(estimand, values, settings)
    return found


def _not_estimated(record: Mapping[str, Any]) -> Estimate:
    what = "a count" if record["kind"] == "count" else f"not made for {record['metric']}"
    return Estimate(no_interval(what), math.nan)


def _proportion(outcomes: Float, settings: StatisticsConfig) -> Estimate:
    counted = outcomes[~np.isnan(outcomes)]
    # The standard error where the truth is the ideal, 50: there it is greatest, too.
    error = 50.0 / math.sqrt(counted.size)
    mde = change_from_error(error, settings.alpha, settings.power)
    return Estimate(wilson(int(counted.sum()), counted.size, settings.level), mde)


def _resampled(estimand: Estimand, values: Resampled, settings: StatisticsConfig) -> Estimate:
    strata = estimand.model.strata
    interval = interval_of(estimand.value, values, strata, settings.level, estimand.folded)
    if interval.method.startswith("none"):
        return Estimate(interval, math.nan)
    error, freedom = standard_error(values.left_out, strata)
    mde = change_from_error(error, settings.alpha, settings.power, round(freedom) + 1)
    low, high = np.clip(interval[:2], *estimand.bounds)
    return Estimate(Interval(float(low), float(high), interval.method), mde)


def interval_of(
    value: float, values: Resampled, strata: Integer, level: float, folded: bool = False
) -> Interval:
    """Choose and make the interval of a value from its resamples.

    Args:
        value: The estimate.
        values: Under resampling; of undefined bootstrap values up to 1 % are left out.
        strata: Of the units, shape (n,).
        level: Confidence level.
        folded: Whether it is a mean of absolute values.
    """
    left_out, drawn = values
    if np.bincount(strata).max(initial=0) < 2:
        return no_interval("one cluster only")
    usable = drawn[np.isfinite(drawn)]
    if usable.size < 0.99 * drawn.size:
        return no_interval("undefined in more than 1 % of the resamples")
    if not np.isfinite(left_out).all():
        return no_interval("undefined without one of its clusters")
    if np.ptp(usable) == 0:
        return no_interval("all clusters are alike, so resampling them changes nothing")
    error, freedom = standard_error(left_out, strata)
    count = f", {freedom + 1:.0f} clusters" if freedom + 1 < FEW else ""
    if folded:
        low, high = folded_interval(value, usable, level, freedom)
        method = f"cluster bootstrap, bias of |d| allowed for, so approximate{count}"
        return Interval(low, high, method)
    if freedom + 1 < SMALLEST:
        return student_interval(value, error, freedom, level)._replace(
            method=f"cluster t{count}: few, so approximate"
        )
    low, high = bca(value, usable, left_out, strata, level, freedom)
    return Interval(low, high, f"cluster bootstrap BCa{count}")
