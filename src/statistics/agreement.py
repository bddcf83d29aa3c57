"""Do scorers agree on the same model and items?

A scorer's margin of an item (above 0 on the stereotype's side) is in a unit of its own, so margins
are compared by rank only. Scores are compared on the items that all scorers decided.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, kendalltau

from src.benchmarks.base import Benchmark
from src.statistics.cell import cell_estimands
from src.statistics.sides import sided
from src.tracking.keys import HEADLINES

FILE = "agreement.json"
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two scorers on the same items.

    Attributes:
        scorer_a: One scorer.
        scorer_b: The other.
        same_side: Percentage of items on the same side.
        flips_to_stereo: Items that are on the stereotype's side by B only.
        flips_to_anti: Items that are on it by A only.
        kendall_tau: Rank correlation (tau-b) of the margins; NaN where one scorer's are all equal.
        score_difference: Score by B minus score by A, in percentage points.
    """

    scorer_a: str
    scorer_b: str
    same_side: float
    flips_to_stereo: int
    flips_to_anti: int
    kendall_tau: float
    score_difference: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Several scorers on the same items of a category.

    Attributes:
        benchmark: Name of the benchmark.
        category: "gender", ..., or "overall".
        metric: The bias metric that `scores` are of.
        n: Items that all scorers decided.
        scores: Scorer -> the metric on these items.
        kendalls_w: Concordance of the margins' ranks, 0 to 1; NaN below three items.
        all_same_side: Percentage of items on the same side by all scorers.
        pairs: Every two scorers.
    """

    benchmark: str
    category: str
    metric: str
    n: int
    scores: Mapping[str, float]
    kendalls_w: float
    all_same_side: float
    pairs: tuple[PairAgreement, ...]


def agreements(benchmarks: Mapping[str, Benchmark], items: pd.DataFrame) -> list[Agreement]:
    """Compare the scorers of an item table.

    Args:
        benchmarks: By the names under which the items have them.
        items: As items.parquet; benchmarks that only one scorer scored are left out.

    Raises:
        InputError: The table has no decisions.
    """
    found = []
    for name, rows in sided(items).groupby("benchmark", sort=False):
        if rows["scorer"].nunique() > 1 and name in benchmarks:
            found += _of_benchmark({str(name): benchmarks[str(name)]}, rows)
    return found


def kendalls_w(margins: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    """Compute Kendall's coefficient of concordance, corrected for ties.

    W = Friedman's chi-square / (m (n - 1)) for m scorers that rank n items.

    Args:
        margins: Shape (n, m).

    Returns:
        NaN for fewer than three items, or where every scorer's margins are all equal.
    """
    n, m = margins.shape
    if n < 3 or (np.ptp(margins, axis=0) == 0).all():
        return math.nan
    return float(friedmanchisquare(*margins).statistic) / (m * (n - 1))


def _of_benchmark(benchmark: Mapping[str, Benchmark], rows: pd.DataFrame) -> list[Agreement]:
    scorers = list(dict.fromkeys(rows["scorer"]))
    everywhere = rows.groupby("item_id")["scorer"].nunique() == len(scorers)
    common = rows[rows["item_id"].map(everywhere)]
    if common.empty:
        return []
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for one in cell_estimands(benchmark, common):
        if one.kind == "bias" and one.metric in HEADLINES:
            scores.setdefault((one.category, one.metric), {})[one.scorer] = one.value
    found = []
    for (category, metric), by_scorer in scores.items():
        part = common if category == OVERALL else common[common["category"] == category]
        margins = part.pivot(index="item_id", columns="scorer", values="margin")[scorers]
        sides = part.pivot(index="item_id", columns="scorer", values="side")[scorers].astype(bool)
        about = (next(iter(benchmark)), category, metric, by_scorer)
        found.append(_of_category(*about, margins, sides))
    return found


def _of_category(
    benchmark: str,
    category: str,
    metric: str,
    scores: Mapping[str, float],
    margins: pd.DataFrame,
    sides: pd.DataFrame,
) -> Agreement:
    pairs = []
    for a, b in combinations(margins.columns, 2):
        pairs.append(
            PairAgreement(
                scorer_a=a,
                scorer_b=b,
                same_side=100.0 * float((sides[a] == sides[b]).mean()),
                flips_to_stereo=int((~sides[a] & sides[b]).sum()),
                flips_to_anti=int((sides[a] & ~sides[b]).sum()),
                kendall_tau=float(kendalltau(margins[a], margins[b]).statistic),
                score_difference=scores[b] - scores[a],
            )
        )
    same = sides.nunique(axis=1) == 1
    w = kendalls_w(margins.to_numpy(dtype=float))
    share = 100.0 * float(same.mean())
    return Agreement(benchmark, category, metric, len(margins), scores, w, share, tuple(pairs))
