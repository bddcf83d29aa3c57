"""StereoSet as estimands: the resampling unit is the target term, with all of its clusters."""

import numpy as np
import pandas as pd

from src.benchmarks.stereoset_rates import outcomes
from src.statistics.estimand import Combine, Estimand, Float, Sums

PARTS = ("ss", "lm_stereotype", "lm_anti_stereotype")


def term_estimands(category: str, rows: pd.DataFrame) -> list[Estimand]:
    """Make the estimands of one domain's rows of the item table.

    Each metric is a function of means over terms of the terms' rates, as in
    `src.benchmarks.stereoset_rates`.
    """
    scored = rows[rows["decision"] != "skipped"]
    by_term = outcomes(scored).groupby(scored["cluster"])
    rates, sizes = by_term.mean(), by_term.size().to_numpy(dtype=float)
    # An item counts 1 / (terms * items of its term), so the items are worth so many equal ones
    # (Kish's effective number).
    effective = len(sizes) ** 2 / (1 / sizes).sum() if len(sizes) else float("nan")
    values = rates[list(PARTS)].to_numpy(dtype=float)
    parts = np.concatenate([values, np.ones((len(rates), 1))], axis=1)
    ss, lm = (100.0 * column.mean() for column in (values[:, 0], values[:, 1:].mean(axis=1)))
    sides: Float = np.where(scored["decision"] == "stereotype", 1.0, 0.0)
    steps: dict[str, tuple[Combine, float | None, str, float]] = {
        "ss": (_ss, 50.0, "bias", 1.0),
        "lm_score": (_lm, None, "lm", 0.5),
        "lm_stereotype": (_lm_stereotype, None, "lm", 1.0),
        "lm_anti_stereotype": (_lm_anti, None, "lm", 1.0),
        "icat": (_icat, None, "lm", max(lm, min(ss, 100 - ss) / 2) / 50 if len(rates) else 1.0),
    }
    return [
        Estimand(
            category=category,
            metric=name,
            unit="%",
            ideal=ideal,
            kind=kind,
            n=len(scored),
            model=Sums(tuple(map(str, rates.index)), parts, combine),
            sides=sides if name == "ss" else None,
            flip=100.0 * share / effective,
            reason="" if len(scored) else f"all {len(rows)} clusters were skipped",
            bounds=(0.0, 100.0),
        )
        for name, (combine, ideal, kind, share) in steps.items()
    ]


def _ss(sums: Float) -> Float:
    return 100.0 * sums[:, 0] / sums[:, 3]


def _lm_stereotype(sums: Float) -> Float:
    return 100.0 * sums[:, 1] / sums[:, 3]


def _lm_anti(sums: Float) -> Float:
    return 100.0 * sums[:, 2] / sums[:, 3]


def _lm(sums: Float) -> Float:
    return (_lm_stereotype(sums) + _lm_anti(sums)) / 2


def _icat(sums: Float) -> Float:
    ss = _ss(sums)
    return _lm(sums) * np.minimum(ss, 100.0 - ss) / 50.0
