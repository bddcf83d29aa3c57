"""What a sweep says along its axes: LM score against bias, the best checkpoint, trends.

The analyses that the paper makes over checkpoints and sizes, with what the items can tell: ranks
of LM score and stereotype score over all cells, the checkpoints that are tied with the best one,
and trends over steps, sizes, bits or sparsity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from statsmodels.stats.multitest import multipletests

from src.statistics.best import confidence_set_p
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand
from src.statistics.lm_and_bias import lm_and_bias
from src.statistics.measured_cells import LM, OVERALL, Measured, metrics_of
from src.statistics.resample import bootstrap
from src.statistics.series import Series, series
from src.statistics.trend import trend
from src.tracking.keys import HEADLINES, metric_key

FILE = "axes.json"
NOT_SEEN = "no trend seen"


def analyse(measured: Sequence[Measured], settings: StatisticsConfig) -> dict[str, Any]:
    """Make everything that axes.json holds; its lists are empty where the sweep has no axis.

    Args:
        measured: The finished cells of a sweep.
        settings: Level, alpha, resamples and seed.
    """
    by_cell = {id(each.cell): each for each in measured}
    found = series(each.cell for each in measured)
    rows = [(one, [by_cell[id(cell)] for cell in one.cells]) for one in found]
    return {
        "settings": asdict(settings),
        "rank_correlations": lm_and_bias(measured, settings),
        "best": [best for one, members in rows for best in _best(one, members, settings)],
        "trends": _adjusted(
            [t for one, members in rows for t in _trends(one, members, settings)], settings
        ),
    }


def _best(
    one: Series, members: Sequence[Measured], settings: StatisticsConfig
) -> list[dict[str, Any]]:
    """Find the checkpoints or sizes that are tied with the one of best LM score."""
    if not one.axis.startswith("model."):
        return []
    found = []
    for key, estimands in metrics_of(members, everywhere=True):
        if key[2:] != (OVERALL, LM) or not _paired(estimands):
            continue
        values = np.array([estimand.value for estimand in estimands])
        resampled = bootstrap([e.model for e in estimands], settings.resamples, settings.seed)
        p = confidence_set_p(values, resampled)
        tied = [at for at, each in zip(one.at, p, strict=True) if each >= settings.alpha]
        found.append(
            _about(one, estimands[0])
            | {
                "best_at": one.at[int(np.argmax(values))],
                "best_value": float(values.max()),
                "tied": tied,
                "cells": [
                    {"at": at, "value": float(value), "p": float(each)}
                    for at, value, each in zip(one.at, values, p, strict=True)
                ],
                "rule": "model confidence set (Hansen, Lunde and Nason, 2011), range statistic",
            }
        )
    return found


def _trends(
    one: Series, members: Sequence[Measured], settings: StatisticsConfig
) -> list[dict[str, Any]]:
    return [
        _about(one, estimands[0]) | asdict(trend([e.model for e in estimands], one.at, settings))
        for key, estimands in metrics_of(members, everywhere=True)
        if key[3] in HEADLINES and _paired(estimands)
    ]


def _adjusted(trends: list[dict[str, Any]], settings: StatisticsConfig) -> list[dict[str, Any]]:
    """Adjust both p of the trends by Holm's method over the sweep, and say what follows."""
    for name in ("p", "kendall_p"):
        known = [row for row in trends if np.isfinite(row[name])]
        adjusted = multipletests([row[name] for row in known], method="holm")[1] if known else []
        for row, p in zip(known, adjusted, strict=True):
            row[f"{name}_holm"] = float(p)
    return [row | {"verdict": _verdict(row, len(trends), settings.alpha)} for row in trends]


def _verdict(row: Mapping[str, Any], n_tests: int, alpha: float) -> str:
    if not row.get("p_holm", 1.0) < alpha:
        return NOT_SEEN
    way = "rises" if row["rise"] > 0 else "falls"
    # The smallest p of Kendall's test is that of perfect order: 2 of all K! orders.
    if 2 / math.factorial(row["n_cells"]) * n_tests >= alpha:
        return f"{way} (too few cells to test it against their scatter)"
    steady = row.get("kendall_p_holm", 1.0) < alpha
    return f"{way} steadily" if steady else f"{way}, but not clearly beyond the scatter of cells"


def _about(one: Series, estimand: Estimand) -> dict[str, Any]:
    fields = {
        name: getattr(estimand, name) for name in ("benchmark", "scorer", "category", "metric")
    }
    scorer = one.cells[0].config.get("scorer")
    own = scorer.get("name") if isinstance(scorer, dict) else None
    key = metric_key(fields | {"kind": estimand.kind}, own)
    return {"axis": one.axis, "series": one.label, "key": key, **fields, "unit": estimand.unit}


def _paired(estimands: Sequence[Estimand]) -> bool:
    """Whether all rest on the same units and are defined."""
    return len({e.units for e in estimands}) == 1 and all(np.isfinite(e.value) for e in estimands)
