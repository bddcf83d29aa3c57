"""Do two numbers rise together over checkpoints and sizes? Kendall's tau, with its parts.

A checkpoint is a point (x, y), and points come in groups (the checkpoints of one size). A pair of
points agrees where the one with the larger x has the larger y too. Tau is the share of pairs that
agree less the share that disagree; over pairs from one group it is the part *within* groups, over
the other pairs the part *between* them. The pairs add up, so a high tau over everything can be
seen to come from sizes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from src.statistics.estimand import Float, Integer, Model
from src.statistics.intervals import bca
from src.statistics.resample import bootstrap, jackknife

FEWEST = 5
"""Points below which a rank correlation is not worth a number: with 4 the smallest p is 0.08."""
_How = tuple[float, int, int]
"""Level, resamples and seed of an interval."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreeing less disagreeing pairs, over all pairs that count, as a function of point weights.

    Two copies of one point, as a bootstrap makes them, are not a pair.

    Attributes:
        units: Names of the n points.
        x: First coordinate, shape (n,).
        y: Second coordinate, shape (n,).
        groups: Group of each point, shape (n,).
        counted: Which pairs count, shape (n, n), symmetric, False on the diagonal.
    """

    units: tuple[str, ...]
    x: Float
    y: Float
    groups: Integer
    counted: npt.NDArray[np.bool_]

    @property
    def strata(self) -> Integer:
        """Points are resampled within their group: the sizes are fixed, not a sample of sizes.

        But a group of few points hardly varies, one of a single point not at all, and the interval
        would be far too narrow: where a group has fewer than `FEWEST`, points are resampled
        whatever their group.
        """
        few = np.unique(self.groups, return_counts=True)[1].min() < FEWEST
        return np.zeros_like(self.groups) if few else self.groups

    @property
    def swappable(self) -> npt.NDArray[np.bool_]:
        """Points are not exchanged between two cells."""
        return np.zeros(len(self.units), dtype=np.bool_)

    @cached_property
    def _signs(self) -> Float:
        signs = np.sign(np.subtract.outer(self.x, self.x) * np.subtract.outer(self.y, self.y))
        return np.asarray(signs * self.counted, dtype=np.float64)

    def evaluate(self, weights: Float) -> Float:
        """Give tau, shape (B,), for weights of shape (B, n); NaN where no pair counts."""
        agreement = ((weights @ self._signs) * weights).sum(axis=1)
        pairs = ((weights @ self.counted.astype(np.float64)) * weights).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(agreement / pairs, dtype=np.float64)

    def mixed(self, other: Model, swap: Float) -> Float:
        """Refuse: there is no second cell.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Tau:
    """A rank correlation with its interval; NaN and a reason where it is undefined.

    Attributes:
        part: "all", "within", "between", or the name of one group.
        n_points: Points it rests on.
        n_pairs: Pairs of points it rests on.
        tau: For "all" and a single group Kendall's tau-c, for the parts the mean over their pairs
            (without ties the same statistic).
        ci_low: Lower end of the bootstrap interval over points.
        ci_high: Upper end.
        p_positive: One-sided p of a positive correlation (the paper's test), for tau-c only. It
            takes the points as independent, which checkpoints of one run are not.
        reason: Why tau is undefined.
    """

    part: str
    n_points: int
    n_pairs: int
    tau: float
    ci_low: float
    ci_high: float
    p_positive: float
    reason: str = ""


def rank_correlations(
    x: Float, y: Float, groups: Sequence[str], level: float, resamples: int, seed: int
) -> list[Tau]:
    """Correlate the ranks of x and y: over all points, within and between groups, and by group.

    Args:
        x: Shape (n,), say LM scores.
        y: Shape (n,), say stereotype scores.
        groups: Group of each point; with a single one there is only "all".
        level: Confidence level.
        resamples: Bootstrap resamples of the points, within their groups where these are large.
        seed: Of the resamples.
    """
    names = list(dict.fromkeys(groups))
    codes = np.array([names.index(group) for group in groups], dtype=np.int64)
    same = np.equal.outer(codes, codes)
    different_points = ~np.eye(len(x), dtype=np.bool_)
    how: _How = (level, resamples, seed)
    found = [_tau("all", x, y, codes, different_points, how)]
    if len(names) > 1:
        found += [
            _tau("within", x, y, codes, same & different_points, how),
            _tau("between", x, y, codes, ~same, how),
        ]
        for code, name in enumerate(names):
            one = codes == code
            alone = different_points[np.ix_(one, one)]
            found.append(_tau(name, x[one], y[one], codes[one], alone, how))
    return found


def _tau(
    part: str,
    x: Float,
    y: Float,
    groups: Integer,
    counted: npt.NDArray[np.bool_],
    how: _How,
) -> Tau:
    n, n_pairs = len(x), int(counted.sum()) // 2
    nan = float("nan")
    if n < FEWEST or not n_pairs:
        return Tau(part, n, n_pairs, nan, nan, nan, nan, f"{n} points; {FEWEST} are needed")
    model = Agreement(tuple(map(str, range(n))), x, y, groups, counted)
    value = float(model.evaluate(np.ones((1, n)))[0])
    whole = n_pairs == n * (n - 1) // 2
    scale, p = _tau_c(x, y) if whole else (1.0, nan)
    if np.isnan(scale):
        return Tau(part, n, n_pairs, nan, nan, nan, nan, "all values are equal")
    level, resamples, seed = how
    drawn = bootstrap([model], resamples, seed)[0]
    drawn = drawn[np.isfinite(drawn)]
    low, high = bca(value, drawn, jackknife([model])[0], model.strata, level)
    low, high = (float(np.clip(scale * end, -1, 1)) for end in (low, high))
    return Tau(part, n, n_pairs, scale * value, low, high, p)


def _tau_c(x: Float, y: Float) -> tuple[float, float]:
    """Give the ratio of tau-c to the mean over pairs, and tau-c's one-sided p.

    Tau-c (Stuart, 1953) is 2 (P - Q) m / (n² (m - 1)), with m the fewer of the different values
    of x and of y; the mean over pairs is 2 (P - Q) / (n (n - 1)). Without ties they are equal.
    """
    n, m = len(x), min(len(np.unique(x)), len(np.unique(y)))
    if m < 2:
        return float("nan"), float("nan")
    tested: Any = kendalltau(x, y, variant="c", alternative="greater")
    return (n - 1) * m / (n * (m - 1)), float(tested.pvalue)
