"""What a number of items can detect, and how many a change needs.

Everything here is a share between 0 and 1 (0.03 for 3 points), tests are two-sided, and `power` is
the chance that the test finds the change where it is really there.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, norm
from scipy.stats import t as student
from statsmodels.stats.proportion import power_proportions_2indep

from src.errors import InputError

MOST = 10**8
"""More items than any benchmark will have."""
NEGLIGIBLE = 1e-12
"""Probability of the numbers of discordant pairs that are left out of a sum."""


def mcnemar_power(pairs: int, discordance: float, change: float, alpha: float) -> float:
    """Compute the power of the McNemar mid-p test of a change between two cells.

    Given the number of discordant pairs the test is a binomial one at 1/2 with the mid-p value,
    as in `src.statistics.mcnemar`; their number is binomial, and the power is averaged over it.
    This is the test's own unconditional power (Duffy 1984, Biometrics 40, does so for the exact
    test), not an approximation, which is too hopeful where few items change sides.

    Args:
        pairs: Items that both cells have.
        discordance: Share of the items that change sides, in both directions together.
        change: Difference of the two shares, at most `discordance`.
        alpha: Level of the test.
    """
    low = int(binom.ppf(NEGLIGIBLE, pairs, discordance))
    high = int(binom.ppf(1 - NEGLIGIBLE, pairs, discordance))
    discordant = np.arange(low, high + 1)
    # The largest count that is rejected, -1 where there is none. Up to the quantile less one
    # P(X <= count) is below alpha / 2; at the quantile itself the mid-p decides.
    quantile = binom.ppf(alpha / 2, discordant, 0.5)
    mid_p = 2 * binom.cdf(quantile, discordant, 0.5) - binom.pmf(quantile, discordant, 0.5)
    critical = quantile - (mid_p > alpha)
    share = (discordance + change) / 2 / discordance
    rejected = binom.cdf(critical, discordant, share)
    rejected += binom.sf(discordant - critical - 1, discordant, share)
    return float(binom.pmf(discordant, pairs, discordance) @ rejected)


def paired_change(pairs: int, discordance: float, alpha: float, power: float) -> float:
    """Give the smallest change that a paired comparison detects; NaN where it detects none.

    There is none where so few items change sides that not even all of them going the same way
    would be found with this power.
    """
    return _smallest(
        lambda change: mcnemar_power(pairs, discordance, change, alpha), discordance, power
    )


def pairs_needed(change: float, discordance: float, alpha: float, power: float) -> int:
    """Give the pairs that a paired comparison needs to detect a change.

    Near the answer the power of a test on counts goes up and down by a little as pairs are added;
    with the number given it is reached, and with one pair less it is not.

    Raises:
        InputError: No number of pairs that a benchmark can have is enough.
    """
    return _fewest(lambda pairs: mcnemar_power(pairs, discordance, change, alpha), power)


def unpaired_power(items: int, change: float, base: float, alpha: float) -> float:
    """Compute the power of the z test of two shares measured on different items.

    Args:
        items: Of each of the two.
        change: Difference of the shares.
        base: The first share; the second is `base` + `change`.
        alpha: Level of the test.
    """
    found = power_proportions_2indep(change, base, items, alpha=alpha, return_results=False)
    return float(found)


def unpaired_change(items: int, base: float, alpha: float, power: float) -> float:
    """Give the smallest increase from `base` that two sets of items detect; NaN for none."""
    return _smallest(lambda change: unpaired_power(items, change, base, alpha), 1 - base, power)


def items_needed(change: float, base: float, alpha: float, power: float) -> int:
    """Give the items that each of two sets needs to detect a change.

    Raises:
        InputError: No number of items that a benchmark can have is enough.
    """
    return _fewest(lambda items: unpaired_power(items, change, base, alpha), power)


def change_from_error(
    error: float, alpha: float, power: float, clusters: int | None = None
) -> float:
    """Give the smallest change that is detected at a standard error, in the error's unit.

    Args:
        error: Standard error of the difference (or of a number that is compared with a fixed
            value) with the items at hand.
        alpha: Level of the test.
        power: Chance of finding the change.
        clusters: Independent clusters behind the error; a t test with one degree of freedom
            less then stands for the normal one, which is too optimistic with few of them.

    Returns:
        NaN where the error is undefined or 0, or there are fewer than two clusters.
    """
    if not error > 0 or (clusters is not None and clusters < 2):
        return float("nan")
    if clusters is None:
        return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error)
    # Bloom (1995, Evaluation Review 19:547); statsmodels' solver fails for some numbers.
    quantiles = student.ppf(1 - alpha / 2, clusters - 1) + student.ppf(power, clusters - 1)
    return float(quantiles * error)


def clusters_needed(change: float, error: float, clusters: int, alpha: float, power: float) -> int:
    """Give the clusters that detect a change, where `clusters` of them have a standard error."""
    spread = error * np.sqrt(clusters)

    def enough(count: int) -> float:
        seen = change_from_error(spread / np.sqrt(count), alpha, power, count)
        return float(seen <= change)

    return _fewest(enough, power)


def equivalence_needed(margin: float, variance: float, alpha: float, power: float) -> int:
    """Give the units that show equivalence where nothing changed.

    Two one-sided tests at `alpha` both reject, with probability `power`, when the interval of
    half-width z(1 - alpha) · s lies within the margin (Schuirmann 1987; normal approximation).

    Args:
        margin: The largest change that counts as none.
        variance: Of one unit's difference: of a pair, the discordance; of a cluster, its squared
            spread.
        alpha: Level of each of the two tests.
        power: Chance of showing it.
    """
    quantiles = norm.ppf(1 - alpha) + norm.ppf((1 + power) / 2)
    return int(np.ceil(variance * (quantiles / margin) ** 2))


def _smallest(power_of: Callable[[float], float], largest: float, power: float) -> float:
    """Find the change at which a power that grows with it is reached."""
    if power_of(largest) < power:
        return float("nan")
    return float(brentq(lambda change: power_of(change) - power, 0.0, largest))


def _fewest(power_of: Callable[[int], float], power: float) -> int:
    """Find a number at which the power is reached and with one less is not."""
    enough = 2
    while power_of(enough) < power:
        enough *= 2
        if enough > MOST:
            raise InputError(f"plan a larger change: this one needs more than {MOST:,} items")
    short = enough // 2
    while enough - short > 1:
        middle = (enough + short) // 2
        if power_of(middle) >= power:
            enough = middle
        else:
            short = middle
    return enough
