"""Have the flips between two cells a direction?

A symmetric exchange (as many items to the stereotype as away from it) is what noise in the weights
does; it leaves a score where it is, however many items flip. A directed one moves the score.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from src.statistics.estimand import Float
from src.statistics.mcnemar import Flips, mid_p
from src.statistics.sides import TO_ANTI, TO_STEREO


@dataclass(frozen=True, slots=True)
class FlipTest:
    """The flips of one category, and whether they have a direction.

    Attributes:
        benchmark: As in the item table; `scorer` and `category` too ("overall" for all).
        n: Items that both cells decided.
        to_stereo: Items that went to the side of the stereotype.
        to_anti: Items that left it.
        p: Of the test that both directions are equally likely; 1 where nothing flipped.
        p_holm: The same, adjusted for all categories and benchmarks of these two cells.
        method: The test.
        margin_flipped: Median distance from the boundary, before, of the items that flipped.
        margin_kept: The same for those that did not.
    """

    benchmark: str
    scorer: str
    category: str
    n: int
    to_stereo: int
    to_anti: int
    p: float
    p_holm: float
    method: str
    margin_flipped: float
    margin_kept: float

    def verdict(self, alpha: float) -> str:
        """Say what may be concluded: "none", "directed to ..." or "no direction seen"."""
        if not self.to_stereo + self.to_anti:
            return "none"
        if self.p_holm >= alpha:
            return "no direction seen"
        up = self.to_stereo > self.to_anti
        return f"directed {'to the stereotype' if up else 'away from the stereotype'}"


def flip_tests(pairs: pd.DataFrame, resamples: int, seed: int) -> list[FlipTest]:
    """Test the flips of each category and, over all of a benchmark, overall.

    Where every item stands alone this is McNemar's test, as comparisons use it. Where items
    belong to clusters (StereoSet's terms) they do not flip independently, and the sign of each
    cluster's net flips is permuted instead.

    Args:
        pairs: As `matched` gives them.
        resamples: Random sign changes, where there are too many to try all.
        seed: Of the sign changes.
    """
    tests = []
    for (benchmark, scorer), rows in pairs.groupby(["benchmark", "scorer"], sort=False):
        groups = list(rows.groupby("category", sort=False))
        for category, members in [*groups, ("overall", rows)] if len(groups) > 1 else groups:
            tests.append((str(benchmark), str(scorer), str(category), members))
    found = [_directed(members, resamples, seed) for *_, members in tests]
    adjusted = multipletests([p for p, _ in found], method="holm")[1]
    results = []
    for (benchmark, scorer, category, members), (p, method), holm in zip(
        tests, found, adjusted, strict=True
    ):
        counts, margins = _counts(members), _margins(members)
        results.append(
            FlipTest(benchmark, scorer, category, *counts, p, float(holm), method, *margins)
        )
    return results


def flipped(pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep the items that changed sides, nearest to the boundary last."""
    rows = pairs[pairs["direction"] != ""].copy()
    moved = (rows["margin_after"] - rows["margin_before"]).abs()
    return rows.assign(moved=moved).sort_values(
        ["benchmark", "scorer", "category", "moved"], ascending=[True, True, True, False]
    )


def _counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    directions = rows["direction"]
    return len(rows), int((directions == TO_STEREO).sum()), int((directions == TO_ANTI).sum())


def _margins(rows: pd.DataFrame) -> tuple[float, float]:
    distance, moved = rows["margin_before"].abs(), rows["direction"] != ""
    return float(distance[moved].median()), float(distance[~moved].median())


def _directed(rows: pd.DataFrame, resamples: int, seed: int) -> tuple[float, str]:
    """Test that flips go both ways alike; give p and the name of the test."""
    _, up, down = _counts(rows)
    if rows["cluster"].nunique() == len(rows):
        return mid_p(Flips(up, down, len(rows))), "McNemar mid-p"
    signed = rows["direction"].map({TO_STEREO: 1.0, TO_ANTI: -1.0, "": 0.0})
    net = signed.groupby(rows["cluster"]).sum().to_numpy()
    p = _sign_permutation(net[net != 0], resamples, seed)
    return p, "sign permutation of clusters"


def _sign_permutation(net: Float, resamples: int, seed: int) -> float:
    """Give p of a sum whose terms are as likely to have the other sign; all signs if few.

    With random signs, the observed ones count as one draw (Phipson and Smyth, 2010).
    """
    if net.size <= np.log2(resamples):
        codes = np.arange(2**net.size)[:, None]
        signs = 1.0 - 2.0 * ((codes >> np.arange(net.size)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (resamples, net.size))
        signs[0] = 1.0
    return float((np.abs(signs @ net) >= abs(net.sum()) - 1e-9).mean())
