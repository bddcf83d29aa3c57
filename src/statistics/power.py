"""Plan a study before running it: `python -m src.statistics.power --metric crows_pairs ...`.

It answers three questions for one metric and category: how small a change can be seen with the
items there are, how many items a certain change needs, and how many are needed to show that
nothing changed.
"""

import argparse
from collections.abc import Sequence

from src.choices import one_of
from src.errors import InputError
from src.piped import piped
from src.statistics.study import Plan, averaged, lines, paired, unpaired

PAIRS = {
    "age": 87,
    "disability": 60,
    "gender": 262,
    "nationality": 159,
    "overall": 1508,
    "physical_appearance": 63,
    "race": 516,
    "religion": 105,
    "sexual_orientation": 84,
    "socioeconomic": 172,
}
"""Pairs of CrowS-Pairs (Nangia et al., 2020) by category."""
METRICS = ("crows_pairs", "stereoset", "seat", "other")
CHANGES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Points that are asked about where the command line names no change."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(
        prog="python -m src.statistics.power",
        description="How small a change can be seen, and how many items does a change need?",
    )
    add = made.add_argument
    add("--metric", required=True, help=f"{', '.join(METRICS)}")
    add("--category", default="overall", help="with crows_pairs it says how many pairs there are")
    add("--pairs", "--items", type=int, dest="pairs", help="items there are, where others than all")
    add("--discordance", type=float, help="share of items that change sides, as 0.2 (paired)")
    add("--base", type=float, help="expected score, as 0.6: two scores on different items")
    add("--standard-error", type=float, help="of the difference in a pilot: points, or sd")
    add("--clusters", type=int, help="with --standard-error: target terms or words behind it")
    add("--change", type=float, nargs="+", help="points (seat: sd) to plan for")
    add("--power", type=float, default=0.8, help="chance of finding the change (0.8)")
    add("--alpha", type=float, default=0.05, help="level of the test (0.05)")
    return made


def plan(given: argparse.Namespace) -> Plan:
    """Choose the design that the command line describes.

    Raises:
        InputError: Something is missing, contradictory or out of range.
    """
    one_of("--metric", given.metric, METRICS)
    for name in ("power", "alpha", "discordance", "base"):
        value = getattr(given, name)
        if value is not None and not 0 < value < 1:
            raise InputError(f"--{name} {value:g} is not possible; it lies between 0 and 1.")
    if any(change <= 0 for change in given.change or ()):
        raise InputError("--change is how far a score moves: a number above 0.")
    designs = ("discordance", "base", "standard_error")
    chosen = [name for name in designs if getattr(given, name) is not None]
    if len(chosen) != 1:
        raise InputError(
            "give one of --discordance (same items, the usual case), --base (different items) or "
            "--standard-error with --clusters (averages over clusters)."
        )
    name, test = f"{given.metric} {given.category}", (given.alpha, given.power)
    if chosen == ["standard_error"]:
        if given.clusters is None or given.clusters < 2 or given.standard_error <= 0:
            raise InputError("--standard-error is above 0, and needs --clusters of 2 or more.")
        scale = 1 if given.metric == "seat" else 100
        return averaged(name, given.standard_error, given.clusters, scale, *test)
    if given.metric in ("stereoset", "seat"):
        raise InputError(
            f"{given.metric} averages over clusters: run a pilot, and give the difference's "
            "--standard-error and the number of --clusters behind it."
        )
    if given.pairs is None and given.metric == "crows_pairs":
        one_of("--category", given.category, PAIRS)
    pairs = given.pairs or PAIRS.get(given.category if given.metric == "crows_pairs" else "", 0)
    if pairs < 2:
        raise InputError("give --pairs: how many items there are, 2 or more.")
    if given.discordance is not None:
        return paired(name, pairs, given.discordance, *test)
    return unpaired(name, pairs, given.base, *test)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a plan; an input that cannot be used ends it with one clear line and exit code 2."""
    made = parser()
    given = made.parse_args(argv)
    try:
        chosen = plan(given)
        print("\n".join(lines(chosen, given.change or CHANGES, given.alpha, given.power)))
    except InputError as error:
        made.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
