"""Corrections for many tests: of all tests that one table shows, some are significant by chance."""

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from src.tracking.keys import HEADLINES

TESTS = {"p": ("p_holm", "q_bh"), "distance_p": ("distance_p_holm", "distance_q_bh")}
"""Field of a p -> fields of its Holm-adjusted p and its Benjamini-Hochberg q."""


def adjust(rows: Sequence[MutableMapping[str, Any]]) -> None:
    """Fill in the adjusted p of a sweep's comparisons, `family` and `family_size`.

    The headline metrics (those in the tables) of all comparisons and categories are one family,
    all other metrics another; tests of the distance from the ideal are a family of their own in
    each. Holm's p holds whatever the dependence between tests, as of a category and of "overall".

    Args:
        rows: Comparisons as mappings, of the whole sweep; an undefined p is None or NaN.
    """
    for row in rows:
        row["family"] = "headline" if row["metric"] in HEADLINES else "other"
    for family in ("headline", "other"):
        members = [row for row in rows if row["family"] == family]
        for name, (holm, false_discovery) in TESTS.items():
            tested = [row for row in members if _known(row.get(name))]
            values = np.array([row[name] for row in tested])
            for field, correct in ((holm, _holm), (false_discovery, false_discovery_control)):
                _fill(members, tested, field, correct, values)
        size = sum(_known(row.get("p")) for row in members)
        for row in members:
            row["family_size"] = size


def _fill(
    members: Sequence[MutableMapping[str, Any]],
    tested: Sequence[MutableMapping[str, Any]],
    field: str,
    correct: Callable[[Any], Any],
    values: "np.ndarray[Any, Any]",
) -> None:
    for row in members:
        row[field] = None
    for row, adjusted in zip(tested, correct(values) if tested else (), strict=True):
        row[field] = float(adjusted)


def _holm(values: "np.ndarray[Any, Any]") -> Any:
    return multipletests(values, method="holm")[1]


def _known(value: object) -> bool:
    return isinstance(value, float | int) and not math.isnan(value)


def described(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which tests the headline family consists of."""
    members = [row for row in rows if row["family"] == "headline" and _known(row.get("p"))]
    pairs = {(row["cell_a"], row["cell_b"]) for row in members}
    metrics = sorted({f"{row['benchmark']} {HEADLINES[row['metric']]}" for row in members})
    return (
        f"{len(members)} tests: {', '.join(metrics)} of every category, "
        f"in {len(pairs)} comparison{'s' * (len(pairs) != 1)}"
    )
