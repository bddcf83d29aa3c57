"""Two plain percentages over the same items: McNemar's test and a paired interval."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar

from src.statistics.estimand import Float


class Flips(NamedTuple):
    """How many items changed sides.

    Attributes:
        up: From 0 in the first cell to 1 in the second.
        down: From 1 to 0.
        n: Items that both count.
    """

    up: int
    down: int
    n: int


def flips(first: Float, second: Float) -> Flips:
    """Count changes between outcomes of 0, 1 or NaN (not counted), shape (n,) each."""
    both = ~(np.isnan(first) | np.isnan(second))
    change = second[both] - first[both]
    return Flips(int((change > 0).sum()), int((change < 0).sum()), int(both.sum()))


def exact_p(change: Flips) -> float:
    """McNemar's exact two-sided p; 1 where nothing changed."""
    if not change.up + change.down:
        return 1.0
    table = [[0, change.up], [change.down, 0]]  # the test looks at the discordant items only
    return float(mcnemar(table, exact=True).pvalue)


def mid_p(change: Flips) -> float:
    """McNemar's mid-p: the exact p less half the probability of the observed table.

    The exact test rejects far less often than its level where few items change sides (with 105
    pairs some 3 % at 5 %); the mid-p test keeps close to the level (Fagerland, Lydersen and
    Laake, 2013, BMC Medical Research Methodology 13:91).
    """
    changed = change.up + change.down
    if not changed:
        return 1.0
    least = min(change.up, change.down)
    if change.up == change.down:
        return 1.0 - float(binom.pmf(least, changed, 0.5)) / 2
    return float(2 * binom.cdf(least, changed, 0.5) - binom.pmf(least, changed, 0.5))


def paired_interval(change: Flips, level: float) -> tuple[float, float]:
    """Interval of the difference in points (Bonett and Price, 2012, "Adjusted Wald").

    One flip is added each way, and so no flips do not make an interval of no width; recommended
    by Fagerland, Lydersen and Laake (2014, Statistics in Medicine 33:2850).
    """
    n = change.n + 2
    up, down = (change.up + 1) / n, (change.down + 1) / n
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt((up + down - (up - down) ** 2) / n)
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return 100.0 * low, 100.0 * high


def cohens_g(change: Flips) -> float:
    """Share of the flips that go up, less a half (Cohen, 1988); NaN where nothing changed."""
    changed = change.up + change.down
    return change.up / changed - 0.5 if changed else float("nan")
