"""Is each change within a margin? The rules behind `python -m src.gate`."""

import argparse
import fnmatch
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from scipy.stats import norm

from src.errors import InputError
from src.statistics.comparable import check_comparable
from src.statistics.compare import compare_directories, items_left_out
from src.statistics.config import StatisticsConfig
from src.statistics.on_disk import settings_of
from src.tracking.atomic import replacing
from src.tracking.keys import HEADLINES, metric_key
from src.tracking.read import Cell, read_cell

EXIT: dict[str, int] = {"within": 0, "outside": 1, "undecided": 2}
NO_VERDICT = 3
Answer = Literal["within", "outside", "undecided"]


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate says of one metric.

    Attributes:
        key: Its name in W&B and on the command line.
        answer: "within", "outside" or "undecided".
        change: From the first cell to the second, in `unit`; of the distance from the ideal where
            that was asked for. None where it is undefined.
        low: Lower end of the interval behind "within", at level 1 - 2 alpha.
        high: Upper end.
        margin: The change that is still none.
        n: Items that both cells scored.
        unit: "%", "sd", ...
        reason: Why nothing could be decided; empty otherwise.
    """

    key: str
    answer: Answer
    change: float | None
    low: float | None
    high: float | None
    margin: float
    n: int
    unit: str
    reason: str = ""


def gate(
    before: Cell,
    after: Cell,
    patterns: Sequence[str],
    settings: StatisticsConfig,
    distance: bool = False,
) -> list[Gated]:
    """Decide for each metric whether its change is within the margin.

    Within: two one-sided tests at alpha, that is, the interval at level 1 - 2 alpha lies inside
    the margins. A release passes only if all metrics do, so no correction is needed for how many
    there are (an intersection-union test, Berger 1982). Outside: the interval lies beyond a
    margin, and as one such metric of many is enough to fail, at alpha divided by their number
    (Bonferroni). Anything else is undecided.

    Args:
        before: The reference.
        after: What is to be released.
        patterns: Names of metrics, `*` standing for any one part; none for all headline bias.
        settings: Margins, alpha, resamples and seed.
        distance: Look at the distance from the ideal, where there is one, and not at the value.

    Raises:
        InputError: The cells cannot be compared, or a pattern fits no metric.
    """
    check_comparable(before, after)
    rows = _named(compare_directories(before, after, _at(settings, 1)), after)
    keys = _chosen(patterns, rows)
    inside = {key: _decided(key, rows[key], settings, distance) for key in keys}
    if len(keys) == 1 or all(found.answer != "outside" for found in inside.values()):
        return list(inside.values())
    strict = _named(compare_directories(before, after, _at(settings, len(keys))), after)
    decided = []
    for key, found in inside.items():
        if found.answer == "outside":
            answer = _decided(key, strict[key], settings, distance).answer
            if answer != "outside":
                reason = f"beyond the margin on its own, but not as one of {len(keys)} metrics"
                found = replace(found, answer="undecided", reason=reason)
        decided.append(found)
    return decided


def overall(found: Iterable[Gated]) -> Answer:
    """Give the verdict over all metrics: the worst, an undecided one outweighing "within"."""
    answers = {each.answer for each in found}
    if "outside" in answers:
        return "outside"
    return "undecided" if "undecided" in answers else "within"


def _at(settings: StatisticsConfig, tests: int) -> StatisticsConfig:
    """Ask for intervals at level 1 - 2 alpha, alpha shared out over some tests."""
    return replace(settings, level=1 - 2 * settings.alpha / tests)


def _named(rows: Iterable[Mapping[str, Any]], cell: Cell) -> dict[str, Mapping[str, Any]]:
    scorer = cell.config.get("scorer")
    own = scorer.get("name") if isinstance(scorer, dict) else None
    return {metric_key(row, own): row for row in rows}


def _chosen(patterns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Give the keys that any of the patterns fits."""
    if not patterns:
        chosen = [
            k for k, row in rows.items() if row["kind"] == "bias" and row["metric"] in HEADLINES
        ]
        if not chosen:
            raise InputError(
                "the two cells have no headline bias metric in common; give --metrics."
            )
        return chosen
    found: dict[str, None] = {}
    for pattern in patterns:
        fitting = [key for key in rows if _fits(key, pattern)]
        if not fitting:
            known = [key for key, row in rows.items() if row["metric"] in HEADLINES]
            raise InputError(
                f"no metric is called {pattern}; the two cells have {', '.join(known) or 'none'} "
                f"and {len(rows) - len(known)} more below them."
            )
        found |= dict.fromkeys(fitting)
    return list(found)


def _fits(key: str, pattern: str) -> bool:
    parts, wanted = key.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _decided(key: str, row: Mapping[str, Any], settings: StatisticsConfig, distance: bool) -> Gated:
    margin, n, unit = settings.margin_of(row["unit"]), int(row["n"]), str(row["unit"])
    names = ("difference", "ci_low", "ci_high")
    if distance and row.get("ideal") is not None:
        names = ("distance_difference", "distance_ci_low", "distance_ci_high")
    change, low, high = (row.get(name) for name in names)
    if change is None or low is None or high is None or math.isnan(low) or math.isnan(high):
        reason = row.get("reason") or str(row.get("ci_method")).removeprefix("none: ")
        return Gated(
            key, "undecided", change, None, None, margin, n, unit, f"no interval: {reason}"
        )
    answer: Answer = "undecided"
    if -margin < low and high < margin:
        answer = "within"
    elif low > margin or high < -margin:
        answer = "outside"
    return Gated(key, answer, change, low, high, margin, n, unit)


def lines(found: Sequence[Gated], settings: StatisticsConfig) -> list[str]:
    """Say in a line a metric, and one for all, what was decided."""
    said = []
    for each in found:
        unit = "points" if each.unit == "%" else each.unit
        form = "+.2f" if each.unit == "%" else "+.3f"
        text = each.reason
        if each.change is not None and each.low is not None and each.high is not None:
            ends = f"{each.low:{form}} to {each.high:{form}}"
            text = f"{each.change:{form}} {unit} ({ends}), margin {each.margin:g}"
            text += _more(each, settings.alpha, len(found))
        said.append(f"{each.answer:10} {each.key} (n={each.n:,}): {text}")
    verdict = overall(found)
    count = len(found)
    why = {
        "within": "every one of them changed by less than its margin (each tested at "
        f"{settings.alpha:g}; all have to pass, so this needs no correction)",
        "outside": "at least one changed by more than its margin (at "
        f"{settings.alpha:g} for all {count} together, Bonferroni)",
        "undecided": "these items can neither show a change above the margin nor rule it out",
    }
    return [*said, f"{verdict}: {count} metric{'s' * (count != 1)}: {why[verdict]}"]


def _more(each: Gated, alpha: float, count: int) -> str:
    """Say why it is undecided: how many more items would decide, if the change stayed the same.

    A change beyond the margin has to be shown at alpha over the number of metrics, for which the
    interval behind "within" is too narrow.
    """
    said = f"; {each.reason}" if each.reason else ""
    if each.answer != "undecided" or each.change is None or each.low is None or each.high is None:
        return said
    to_margin = abs(each.margin - abs(each.change))
    half_width = (each.high - each.low) / 2
    if abs(each.change) > each.margin:
        half_width *= norm.isf(alpha / count) / norm.isf(alpha)
    times = (half_width / to_margin) ** 2 if to_margin else math.inf
    needed = f"about {math.ceil(times)}" if times < 100 else "more than 100"
    return f"{said}; {needed} times the items would decide"


class _Parser(argparse.ArgumentParser):
    """Ends with this gate's own code for a wrong option, as argparse's 2 is "undecided" here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage()
        self.exit(NO_VERDICT, f"no verdict: {message}\n")


def run(argv: Sequence[str] | None = None) -> int:
    """Print the verdicts and give the exit code.

    Raises:
        InputError: The cells cannot be compared, or an option is impossible.
    """
    parser = _Parser(
        prog="python -m src.gate", description="Did metrics change by more than a margin?"
    )
    add = parser.add_argument
    add("before", type=Path, metavar="CELL_A", help="folder of the reference cell")
    add("after", type=Path, metavar="CELL_B", help="folder of the cell to be released")
    add("--margin", type=float, help="points that are no change (statistics.margin)")
    add("--margin-sd", type=float, help="the same for effect sizes (statistics.margin_sd)")
    add("--metrics", nargs="+", default=[], help="names as in W&B; bias/crows_pairs/* fits several")
    add("--distance", action="store_true", help="the distance from the ideal, not the value")
    add("--alpha", type=float, help="level of the tests (statistics.alpha)")
    add("--json", type=Path, help="also write the verdicts to this file")
    given = parser.parse_args(argv)
    before, after = read_cell(given.before), read_cell(given.after)
    check_comparable(before, after)
    changed = {name: getattr(given, name) for name in ("margin", "margin_sd", "alpha")}
    changed = {name: value for name, value in changed.items() if value is not None}
    settings = StatisticsConfig(**asdict(settings_of(after)) | changed)
    found = gate(before, after, given.metrics, settings, given.distance)
    if given.json is not None:
        content = {"verdict": overall(found), "metrics": [asdict(each) for each in found]}
        with replacing(given.json) as handle:
            handle.write((json.dumps(content, indent=2) + "\n").encode())
    print(*items_left_out(before, after), *lines(found, settings), sep="\n", flush=True)
    return EXIT[overall(found)]
