"""Sign-flip permutation test: what if it did not matter which cell an answer came from?"""

from typing import NamedTuple

import numpy as np

from src.statistics.estimand import Float, Model

_CELLS = 1 << 22


class Swapped(NamedTuple):
    """A permutation test's result.

    Attributes:
        p: Mid-p: re-labellings with a larger difference and half of those with an equal one.
        exact: Share with a difference at least as large, never below 1 / re-labellings.
        smallest: The smallest mid-p that there could have been.
        exhaustive: Whether all re-labellings were looked at.
    """

    p: float
    exact: float
    smallest: float
    exhaustive: bool


class Relabelled(NamedTuple):
    """Two cells' values under re-labellings, the observed one first.

    Attributes:
        first: Shape (re-labellings,).
        second: Shape (re-labellings,).
        exhaustive: Whether these are all re-labellings there are.
    """

    first: Float
    second: Float
    exhaustive: bool


def relabel(first: Model, second: Model, draws: int, seed: int) -> Relabelled:
    """Exchange two cells' answers unit by unit.

    Args:
        first: A metric in one cell.
        second: The same metric over the same units in the other.
        draws: All 2^k re-labellings of the k units that differ are taken where they are no more
            than this, random ones otherwise.
        seed: Of the random ones.
    """
    units = np.flatnonzero(first.differs(second) & first.swappable)
    exhaustive = 2.0**units.size <= draws
    swaps = _all(units.size) if exhaustive else _random(units.size, draws - 1, seed)
    n = len(first.units)
    block = max(1, _CELLS // n)
    values = [np.empty((2, 0))]
    for start in range(0, len(swaps), block):
        swap = np.zeros((min(block, len(swaps) - start), n))
        swap[:, units] = swaps[start : start + block]
        values.append(np.stack([first.mixed(second, swap), second.mixed(first, swap)]))
    before, after = np.concatenate(values, axis=1)
    return Relabelled(before, after, exhaustive)


def swap_test(values: Relabelled, ideal: float | None) -> Swapped:
    """Test whether two cells differ.

    Where nothing but chance tells the cells apart, each unit's two answers may as well have been
    the other way round. For a mean over units this is the sign-flip test of their differences.

    Args:
        values: Of both cells under re-labellings.
        ideal: Compare the distances from it; None compares the values.

    Returns:
        p-values of the two-sided test; 1 where no unit differs.
    """
    before, after = values.first, values.second
    if ideal is not None:
        before, after = np.abs(before - ideal), np.abs(after - ideal)
    sizes = np.abs(after - before)
    sizes = sizes[np.isfinite(sizes)]
    if sizes.size < 2:
        return Swapped(1.0, 1.0, 1.0, values.exhaustive)
    # Sums in another order differ by rounding; that must not decide what is larger.
    tolerance = 1e-9 * max(float(sizes.max()), 1e-12)
    larger = float(np.mean(sizes > sizes[0] + tolerance))
    equal = float(np.mean(np.abs(sizes - sizes[0]) <= tolerance))
    most = float(np.mean(sizes >= sizes.max() - tolerance))
    return Swapped(larger + equal / 2, larger + equal, most / 2, values.exhaustive)


def _all(units: int) -> Float:
    """Every way to swap; the first swaps none."""
    numbers = np.arange(2**units)[:, None]
    return (numbers >> np.arange(units) & 1).astype(np.float64)


def _random(units: int, draws: int, seed: int) -> Float:
    """Random ways to swap, after one that swaps none."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2, (draws, units), dtype=np.int8).astype(np.float64)
    return np.concatenate([np.zeros((1, units)), drawn])
