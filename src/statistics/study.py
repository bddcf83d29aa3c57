"""Designs of a study: what the items there are can find, and what a change needs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from src.statistics import detectable


@dataclass(frozen=True, slots=True)
class Plan:
    """One design with the numbers that are known of it.

    Attributes:
        title: What is planned, in words.
        have: What there is, in words ("105 pairs").
        unit: What the study needs more of ("pairs").
        scale: Parts of one in which changes are given: 100 for points, 1 for effect sizes.
        finds: The smallest change found, as a part of one; NaN for none.
        needs: Change -> units that find it.
        shows: Margin -> units that show that nothing changed by more.
        most: The largest change that can be.
    """

    title: str
    have: str
    unit: str
    scale: float
    finds: float
    needs: Callable[[float], int]
    shows: Callable[[float], int]
    most: float


def paired(name: str, pairs: int, discordance: float, alpha: float, power: float) -> Plan:
    """Plan the comparison of two cells on the same items, by the McNemar mid-p test.

    Args:
        name: Of the metric, for the title.
        pairs: Items that both cells score.
        discordance: Share of them that changes sides.
        alpha: Level of the test.
        power: Chance of finding the change.
    """
    return Plan(
        f"{name}, two cells on the same items (McNemar mid-p test), "
        f"{100 * discordance:g} % of the items change sides",
        f"{pairs:,} pairs",
        "pairs",
        100,
        detectable.paired_change(pairs, discordance, alpha, power),
        lambda change: detectable.pairs_needed(change, discordance, alpha, power),
        lambda margin: detectable.equivalence_needed(margin, discordance, alpha, power),
        discordance,
    )


def unpaired(name: str, items: int, base: float, alpha: float, power: float) -> Plan:
    """Plan the comparison of two scores measured on different items, by the z test.

    Args:
        name: Of the metric, for the title.
        items: Of each of the two.
        base: The score that is expected before the change, between 0 and 1.
        alpha: Level of the test.
        power: Chance of finding the change.
    """
    return Plan(
        f"{name}, two scores on different items (z test), the first near {100 * base:g} %",
        f"{items:,} items each",
        "items each",
        100,
        detectable.unpaired_change(items, base, alpha, power),
        lambda change: detectable.items_needed(change, base, alpha, power),
        lambda margin: detectable.equivalence_needed(margin, 2 * base * (1 - base), alpha, power),
        1 - base,
    )


def averaged(
    name: str, error: float, clusters: int, scale: float, alpha: float, power: float
) -> Plan:
    """Plan for an average over clusters (StereoSet's terms, SEAT's words), by the t test.

    Args:
        name: Of the metric, for the title.
        error: Standard error of the difference with `clusters` clusters, on `scale`.
        clusters: Those of the pilot.
        scale: 100 for points, 1 for effect sizes.
        alpha: Level of the test.
        power: Chance of finding the change.
    """
    part = error / scale
    return Plan(
        f"{name}, an average over clusters whose difference has a standard error of {error:g}",
        f"{clusters:,} clusters",
        "clusters",
        scale,
        detectable.change_from_error(part, alpha, power, clusters),
        lambda change: detectable.clusters_needed(change, part, clusters, alpha, power),
        lambda margin: detectable.equivalence_needed(margin, part**2 * clusters, alpha, power),
        math.inf,
    )


def lines(plan: Plan, changes: Sequence[float], alpha: float, power: float) -> Iterator[str]:
    """Say what a plan can find and what it needs.

    Args:
        plan: The design.
        changes: In points, or in the metric's own unit where that is no percentage.
        alpha: Level of the test.
        power: Chance of finding the change.
    """
    unit = " points" if plan.scale > 1 else " sd"
    yield plan.title
    yield f"level {alpha:g}, power {power:g}"
    found = plan.scale * plan.finds
    smallest = f"a change of {found:.3g}{unit} or more" if found == found else "no change at all"
    yield f"{plan.have} detect {smallest}"
    yield f"{'change':>14}  {plan.unit + ' to find it':>20}  to show that nothing moved by more"
    for change in changes:
        part = change / plan.scale
        needed = f"{plan.needs(part):,}" if part <= plan.most else "too few change sides"
        yield f"{f'{change:g}{unit}':>14}  {needed:>20}  {plan.shows(part):,}"
