"""Bootstrap and jackknife weights, and standard errors from them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from src.statistics.estimand import Float, Integer, Resamplable

_CELLS = 1 << 22
"""Entries of a block of weights: 32 MB, so that blocks stay cheap whatever the sizes are."""


def bootstrap_weights(strata: Integer, resamples: int, rng: np.random.Generator) -> Iterator[Float]:
    """Draw how often each unit is in each resample, as many of a stratum as it has.

    Args:
        strata: Shape (n,).
        resamples: How many in all.
        rng: Source of the draws.

    Yields:
        Blocks of shape (b, n).
    """
    n = strata.size
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    block = max(1, _CELLS // max(n, 1))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        weights = np.empty((rows, n))
        for units in members:
            drawn = rng.integers(0, units.size, (rows, units.size))
            drawn += units.size * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=rows * units.size)
            weights[:, units] = counts.reshape(rows, units.size)
        yield weights


def bootstrap(models: Sequence[Resamplable], resamples: int, seed: int) -> Float:
    """Evaluate several models over the same units with the same weights.

    Args:
        models: Over equal units and strata.
        resamples: B.
        seed: Of the weights. Equal units and seeds have equal weights.

    Returns:
        Values, shape (len(models), B).
    """
    rng = np.random.default_rng(seed)
    blocks = [
        np.stack([model.evaluate(weights) for model in models])
        for weights in bootstrap_weights(models[0].strata, resamples, rng)
    ]
    return np.concatenate(blocks, axis=1)


def jackknife(models: Sequence[Resamplable]) -> Float:
    """Evaluate models over the same units with each unit left out in turn.

    Returns:
        Values, shape (len(models), n_units).
    """
    n = len(models[0].units)
    block = max(1, _CELLS // max(n, 1))
    found = []
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        weights = np.ones((rows.size, n))
        weights[np.arange(rows.size), rows] = 0.0
        found.append(np.stack([model.evaluate(weights) for model in models]))
    return np.concatenate(found, axis=1)


def standard_error(left_out: Float, strata: Integer) -> tuple[float, float]:
    """Estimate a standard error from jackknife values, stratum by stratum.

    Args:
        left_out: Jackknife values, shape (n,).
        strata: Shape (n,); strata of one unit add nothing.

    Returns:
        The standard error and its degrees of freedom (Welch and Satterthwaite's), which is
        clusters - 1 for one stratum; NaN and 0 where no stratum has two units.
    """
    variances, freedom = [], []
    for stratum in np.unique(strata):
        values = left_out[strata == stratum]
        if values.size > 1:
            spread = float(((values - values.mean()) ** 2).sum())
            variances.append(spread * (values.size - 1) / values.size)
            freedom.append(values.size - 1)
    if not variances:
        return float("nan"), 0.0
    total = sum(variances)
    if total == 0:
        return 0.0, float(min(freedom))
    weighted = sum(v**2 / f for v, f in zip(variances, freedom, strict=True))
    return float(np.sqrt(total)), total**2 / weighted


class Resampled(NamedTuple):
    """A model's values under resampling.

    Attributes:
        left_out: With each unit left out in turn, shape (n_units,).
        drawn: Under bootstrap weights, shape (B,).
    """

    left_out: Float
    drawn: Float


def resample(models: Sequence[Resamplable], resamples: int, seed: int) -> list[Resampled]:
    """Resample models; those over the same units are given the same weights.

    Args:
        models: Over any units.
        resamples: B.
        seed: Of the weights.

    Returns:
        One a model, in their order.
    """
    groups: dict[tuple[tuple[str, ...], bytes], list[int]] = {}
    for index, model in enumerate(models):
        groups.setdefault((model.units, model.strata.tobytes()), []).append(index)
    found: dict[int, Resampled] = {}
    for indices in groups.values():
        group = [models[index] for index in indices]
        values = zip(jackknife(group), bootstrap(group, resamples, seed), strict=True)
        found |= {i: Resampled(*pair) for i, pair in zip(indices, values, strict=True)}
    return [found[index] for index in range(len(models))]
