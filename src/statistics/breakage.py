"""Less bias, or a broken model? The change in bias and the change in LM score, taken together.

A model that is made worse answers more at random, and random answers have no bias: 50 of
StereoSet's SS and of its LM score. So a bias that moved towards its ideal together with a loss of
LM score is marked as breakage and not counted as a gain. (That compression acts as a regulariser,
Xu and Hu, 2022, is the other reading of such numbers.)
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t as student

from src.statistics.change import Difference
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Float, Integer
from src.statistics.resample import jackknife, standard_error
from src.tracking.keys import HEADLINES

LM = "lm_score"
OVERALL = "overall"
CHANCE = 50.0
"""LM score of a model that answers at random, in percent."""
BREAKAGE = "breakage"

Pair = tuple[Estimand, Estimand]


def add_joint_changes(
    rows: Sequence[MutableMapping[str, Any]], pairs: Sequence[Pair], settings: StatisticsConfig
) -> None:
    """Put the change of LM score beside that of each headline bias metric, as field `joint`.

    The LM score is that of the same category's items where the benchmark has one (StereoSet), and
    otherwise StereoSet's overall one, whose items are others, so that its error is independent.
    `joint` holds `lm_change` with its interval; `covariance` of [change of the distance from the
    ideal, change of the LM score] and `radius`, which make an ellipse around the two changes that
    holds the true pair at the settings' level; `same_items`; `lm_at_chance` ("before", "after",
    "before and after" or "": where the LM score is not above 50, a bias score says nothing);
    `reading`, what may be concluded in words; and `breakage`. None where there is no LM score.

    Args:
        rows: Comparisons of two cells, as mappings of plain data.
        pairs: The estimands that each row compares, in the same order.
        settings: Level and margin.
    """
    scores = {_place(row): index for index, row in enumerate(rows) if row["metric"] == LM}
    for row, pair in zip(rows, pairs, strict=True):
        row["joint"] = None
        if row["kind"] != "bias" or row["metric"] not in HEADLINES:
            continue
        benchmark, scorer, category = _place(row)
        general = [place for place in scores if place[1:] == (scorer, OVERALL)]
        place = next((p for p in [(benchmark, scorer, category), *general] if p in scores), None)
        if place is not None:
            lm = scores[place]
            row["joint"] = _joint(row, rows[lm], pair, pairs[lm], settings)


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["benchmark"], row["scorer"], row["category"]


def _joint(
    row: Mapping[str, Any],
    lm_row: Mapping[str, Any],
    pair: Pair,
    lm_pair: Pair,
    settings: StatisticsConfig,
) -> dict[str, Any] | None:
    names = ("distance_ci_low", "distance_ci_high")
    if any(row.get(name) is None for name in names) or lm_row.get("ci_low") is None:
        return None
    same = pair[0].units == lm_pair[0].units
    covariance, freedom = _covariance(
        Difference(pair[0].model, pair[1].model, pair[0].ideal),
        Difference(lm_pair[0].model, lm_pair[1].model),
        same,
    )
    joint: dict[str, Any] = {
        "lm": f"{lm_row['benchmark']} {lm_row['category']}",
        "lm_change": lm_row["difference"],
        "lm_ci_low": lm_row["ci_low"],
        "lm_ci_high": lm_row["ci_high"],
        "same_items": same,
        "covariance": covariance,
        "radius": _radius(freedom, settings.level),
        "lm_at_chance": " and ".join(
            time
            for time, lm in zip(("before", "after"), lm_pair, strict=True)
            if not _lower_end(lm, settings.level) > CHANCE
        ),
    }
    joint["reading"] = _reading(row, joint, settings.margin)
    joint["breakage"] = joint["reading"].startswith(BREAKAGE)
    return joint


def _reading(row: Mapping[str, Any], joint: Mapping[str, Any], margin: float) -> str:
    """Say what the two changes mean together; an interval that holds 0 is no finding."""
    nearer, further = row["distance_ci_high"] < 0, row["distance_ci_low"] > 0
    worse = joint["lm_ci_high"] < 0
    if joint["lm_at_chance"]:
        when = joint["lm_at_chance"]
        return f"LM score not clearly above chance {when}: the bias score says nothing"
    if nearer and worse:
        return f"{BREAKAGE}: nearer to the ideal, but with a loss of LM score"
    if nearer and joint["lm_ci_low"] > -margin:
        return f"nearer to the ideal, and no loss of LM score above {margin:g} points"
    if nearer:
        return "nearer to the ideal; whether LM score was lost is undecided"
    bias = "further from the ideal" if further else "no change of bias seen"
    return f"{bias}, with a loss of LM score" if worse else bias


def _covariance(bias: Difference, lm: Difference, same: bool) -> tuple[list[list[float]], float]:
    """Give the changes' covariance by the jackknife, and the fewer degrees of freedom."""
    ours, theirs = jackknife([bias])[0], jackknife([lm])[0]
    (one, freedom), (other, also) = (
        standard_error(left_out, model.strata) for left_out, model in ((ours, bias), (theirs, lm))
    )
    both = _jackknife_covariance(ours, theirs, bias.strata) if same else 0.0
    return [[one**2, both], [both, other**2]], min(freedom, also)


def _jackknife_covariance(one: Float, other: Float, strata: Integer) -> float:
    """Give the covariance where `standard_error` gives the roots of the variances."""
    total = 0.0
    for stratum in np.unique(strata):
        members = strata == stratum
        n = int(members.sum())
        centred = [values[members] - values[members].mean() for values in (one, other)]
        total += float(centred[0] @ centred[1]) * (n - 1) / n
    return total


def _radius(freedom: float, level: float) -> float | None:
    """Hotelling's: T² of two numbers with f degrees of freedom is 2 f / (f - 1) · F(2, f - 1)."""
    if freedom <= 1:
        return None
    return float(np.sqrt(2 * freedom / (freedom - 1) * fisher.ppf(level, 2, freedom - 1)))


def _lower_end(estimand: Estimand, level: float) -> float:
    """Give the lower end of a value's t interval, by the jackknife."""
    error, freedom = standard_error(jackknife([estimand.model])[0], estimand.model.strata)
    if not freedom:
        return float("-inf")
    return estimand.value - float(student.ppf((1 + level) / 2, freedom)) * error
