"""A metric as a function of how often each resampling unit is counted.

That one view serves everything: weights of 1 give the metric's value, random weights a bootstrap,
weights of 1 but one of 0 the jackknife, and the same weights on two cells a paired comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Integer = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Combine = Callable[[Float], Float]


ANYTHING = (-float("inf"), float("inf"))
"""Bounds of a value that has none."""


class Resamplable(Protocol):
    """A value as a function of weights of n units."""

    @property
    def units(self) -> tuple[str, ...]:
        """Names, n of them; two cells are comparable where these are the same."""
        ...

    @property
    def strata(self) -> Integer:
        """Shape (n,); units are resampled within a stratum."""
        ...

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        ...


class Model(Resamplable, Protocol):
    """How a metric's value comes from units, whose data two cells may exchange."""

    @property
    def swappable(self) -> Mask:
        """Shape (n,); whether the unit may be exchanged between two cells as a whole."""
        ...

    def mixed(self, other: "Model", swap: Float) -> Float:
        """Give the values, shape (B,), with the units where `swap` (B, n) is 1 from `other`."""
        ...

    def differs(self, other: "Model") -> Mask:
        """Tell which units have other data in `other`, shape (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class Exchangeable:
    """Units of one kind: resampled all together, and each may be exchanged between two cells.

    Attributes:
        units: Names of the n units.
    """

    units: tuple[str, ...]

    @cached_property
    def strata(self) -> Integer:
        """All units are one stratum."""
        return np.zeros(len(self.units), dtype=np.int64)

    @cached_property
    def swappable(self) -> Mask:
        """All units may be exchanged."""
        return np.ones(len(self.units), dtype=np.bool_)


@dataclass(frozen=True)
class Sums(Exchangeable):
    """A function of sums over units, such as a ratio: combine(Σ weight · part).

    Attributes:
        parts: What each unit adds, shape (n, k).
        combine: From sums of shape (B, k) to values of shape (B,).
    """

    parts: Float
    combine: Combine

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.combine(weights @ self.parts)

    def mixed(self, other: "Model", swap: Float) -> Float:
        """Give the values, shape (B,), with the units where `swap` (B, n) is 1 from `other`."""
        assert isinstance(other, Sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.combine(self.parts.sum(axis=0) + swap @ (other.parts - self.parts))

    def differs(self, other: "Model") -> Mask:
        """Tell which units have other data in `other`, shape (n,)."""
        assert isinstance(other, Sums)
        different: Mask = (self.parts != other.parts).any(axis=1)
        return different


@dataclass(frozen=True, eq=False)
class Estimand:
    """One metric of one category, ready to be resampled.

    Attributes:
        category: As in the metric's record; `metric`, `unit`, `ideal` and `kind` too.
        n: Items the value rests on.
        model: Its value as a function of weights of units.
        outcomes: 0 or 1 for each unit where the metric is the plain percentage of ones, NaN for a
            unit that is not counted (a tie); None for any other metric.
        sides: For each item 1 where the stereotype was preferred, 0 where not, NaN where the item
            is not counted; None where the metric does not count such preferences.
        flip: By how much the value changes where one average item changes sides; NaN where
            nothing is decided item by item (effect sizes).
        reason: Why it is undefined; empty otherwise.
        bounds: Least and greatest value there can be.
        folded: Whether it is a mean of absolute values of estimates.
        benchmark: Name of the benchmark; filled in by `src.statistics.cell`.
        scorer: Name of the scorer; likewise.
    """

    category: str
    metric: str
    unit: str
    ideal: float | None
    kind: str
    n: int
    model: Model
    outcomes: Float | None = None
    sides: Float | None = None
    flip: float = float("nan")
    reason: str = ""
    bounds: tuple[float, float] = ANYTHING
    folded: bool = False
    benchmark: str = ""
    scorer: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it among all of a cell."""
        return self.benchmark, self.scorer, self.category, self.metric

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the resampling units."""
        return self.model.units

    @property
    def value(self) -> float:
        """The value with every unit counted once; NaN where undefined."""
        if not self.units or self.reason:
            return float("nan")
        return float(self.model.evaluate(np.ones((1, len(self.units))))[0])

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n_units)."""
        return self.model.evaluate(weights)


def percentage(sums: Float) -> Float:
    """Combine (Σ hits, Σ counted), shape (B, 2), to a percentage."""
    return 100.0 * sums[:, 0] / sums[:, 1]
