"""Which checkpoints are as good as the best one, as far as these items can tell?

The rule is the model confidence set of Hansen, Lunde and Nason (2011, Econometrica 79, section
3.1.2, range statistic): starting from all checkpoints, the one that is most clearly below another
is dropped as long as a bootstrap test rejects that all are equally good. What is left holds the
truly best one with probability 1 - alpha in large samples. The range statistic is used and not
T-max, which compares with the average of all and hardly ever drops one of several that are equal.
Items are resampled, the same for all checkpoints.
"""

import numpy as np

from src.statistics.estimand import Float

_CELLS = 1 << 26
"""Most entries of the differences between all pairs; resamples beyond it are not used."""


def confidence_set_p(values: Float, resampled: Float) -> Float:
    """Give each checkpoint's p of the model confidence set; higher values are better.

    Args:
        values: Shape (K,).
        resampled: Their bootstrap values over shared resamples, shape (K, B).

    Returns:
        Shape (K,): those with p of alpha or more are tied with the best at level 1 - alpha. The
        last one left has 1.
    """
    count = len(values)
    resampled = resampled[:, : max(100, _CELLS // count**2)]
    difference = np.subtract.outer(values, values)
    drawn = resampled[:, None] - resampled[None] - difference[..., None]
    spread = drawn.std(axis=-1)
    np.abs(drawn, out=drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn /= np.where(spread > 0, spread, np.inf)[..., None]
        # Two that differ by the same in every resample: there is no doubt which is better.
        t = np.where(spread > 0, difference / spread, np.sign(difference) * np.inf)
    t = np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf)
    p, left, so_far = np.ones(count), list(range(count)), 0.0
    while len(left) > 1:
        pairs = np.ix_(left, left)
        largest = drawn[pairs].reshape(-1, drawn.shape[-1]).max(axis=0)
        so_far = max(so_far, float((largest >= t[pairs].max()).mean()))
        worst = int(np.argmax(t[pairs].max(axis=0)))
        p[left.pop(worst)] = so_far
    return p
