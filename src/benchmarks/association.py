"""SEAT's effect size: how much closer X is than Y to A rather than B, in standard deviations."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from src.benchmarks.items import AssociationTest

Float = npt.NDArray[np.float64]

# Cosines of equal sentences come out this close in float64 whatever the order of summation;
# a spread below it is rounding, not a difference between sentences.
ROUNDING = 1e-13


def associations(
    test: AssociationTest, embeddings: Mapping[str, npt.NDArray[np.floating]]
) -> tuple[Float, Float]:
    """Compute s(w) = mean cos(w, A) - mean cos(w, B) for every target sentence.

    Args:
        test: The four sets of sentences.
        embeddings: Sentence -> vector of shape (hidden,), of any length and float type.

    Returns:
        s of X, shape (n_x,), and s of Y, shape (n_y,); NaN where an embedding that goes into it
        is zero or not finite.
    """
    x, y, a, b = (
        _unit(np.stack([np.asarray(embeddings[sentence], dtype=np.float64) for sentence in part]))
        for part in (test.x, test.y, test.a, test.b)
    )
    # The mean of dot products with A is the dot product with A's mean.
    direction = a.mean(axis=0) - b.mean(axis=0)
    return x @ direction, y @ direction


def effect_size(x: Float, y: Float) -> float:
    """Compute d = (mean x - mean y) / standard deviation of x and y together, with ddof=1.

    Args:
        x: Associations of X, shape (n,).
        y: Associations of Y, shape (n,).

    Returns:
        d in standard deviations; NaN where the standard deviation is 0 or a value is NaN.
    """
    spread = float(np.std(np.concatenate([x, y]), ddof=1))
    if not spread > ROUNDING:
        return float("nan")
    return float((x.mean() - y.mean()) / spread)


def _unit(vectors: Float) -> Float:
    """Scale rows to length 1; rows that are zero or not finite become NaN."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    unit = np.full_like(vectors, np.nan)
    np.divide(vectors, norms, out=unit, where=usable)
    return unit
