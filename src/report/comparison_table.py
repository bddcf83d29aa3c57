"""The comparisons of a sweep as a table, and marks behind the numbers of its main table."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from src.report.cells import CATEGORIES, OVERALL
from src.report.comparisons import Sweep
from src.statistics.verdict import MARKS
from src.tracking.keys import HEADLINES

MOST_ROWS = 40
"""Of a larger sweep only differences are listed; all comparisons are in the file."""


def comparison_table(sweep: Sweep) -> Table | None:
    """Draw the headline comparisons of the categories that the main table shows, and what changed.

    Returns:
        None where there is nothing to compare.
    """
    rows, _ = _shown(sweep)
    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("metric", overflow="fold")
    table.add_column("change\n[interval]", justify="right", overflow="fold")
    table.add_column("p\nHolm", justify="right", no_wrap=True)
    table.add_column("flips\n+ -", justify="right", no_wrap=True)
    table.add_column("what may be concluded", overflow="fold")
    for pair, members in itertools.groupby(rows, lambda row: str(row["pair"])):
        table.add_row(*(Text(head, style="bold") for head in _about(pair)))
        for row in members:
            table.add_row(*map(Text, _cells(row)))
    return table


def _shown(sweep: Sweep) -> tuple[list[dict[str, Any]], int]:
    """Give the rows of the table, and how many others it leaves out because they are too many.

    A change is shown in whatever category it is found.
    """
    rows = [row for row in sweep.rows if row["metric"] in HEADLINES]
    wanted = [row for row in rows if _usual(row) or _changed(row)]
    if sum(map(_usual, rows)) <= MOST_ROWS:
        return wanted, 0
    found = [row for row in rows if _changed(row)]
    return found, len(rows) - len(found)


def _usual(row: Mapping[str, Any]) -> bool:
    return row["category"] in (*CATEGORIES, OVERALL)


def _changed(row: Mapping[str, Any]) -> bool:
    return str(row["verdict"]).startswith("changed")


def _other_categories(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name the categories that have a row only where they changed, and how many of them did."""
    others = [row for row in rows if row["metric"] in HEADLINES and not _usual(row)]
    if others:
        names = ", ".join(sorted({str(row["category"]) for row in others}))
        changed = sum(map(_changed, others))
        told = f"{changed} of {len(others)} comparisons" if changed else "none of them"
        yield f"also compared, with a row where changed: {names}; {told} changed"


def _about(pair: str) -> tuple[str, ...]:
    before, _, after = pair.partition(" -> ")
    return before, "->", "", "", after


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {row['benchmark']} {HEADLINES[row['metric']]} {row['category']}"
    yield _change(row)
    p = row["p_holm"]
    yield "" if p is None else "<.001" if p < 0.001 else f"{p:.3f}"
    up, down = row["flips_to_stereo"], row["flips_to_anti"]
    yield "" if up is None else f"{up} {down}"
    yield f"{MARKS[row['verdict']]} {row['conclusion']}".strip()


def _change(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "undef."
    form = "+.1f" if row["unit"] == "%" else "+.2f"
    ends = (row["ci_low"], row["ci_high"])
    shown = f"{row['difference']:{form}}"
    if None in ends:
        return shown
    return f"{shown} [{', '.join(format(end, form) for end in ends)}]"


def notes(sweep: Sweep) -> Iterator[str]:
    """Say how the comparisons are to be read."""
    yield from sweep.problems
    if not sweep.rows or sweep.settings is None:
        return
    settings = sweep.settings
    rows, left_out = _shown(sweep)
    if left_out:
        yield (
            f"of {len(rows) + left_out} comparisons "
            f"{'only the changed ones have a row' if rows else 'none changed, so none has a row'}; "
            "all are in comparisons.json, those of two cells by: "
            "python -m src.statistics.compare CELL_A CELL_B"
        )
    yield (
        f"{MARKS['changed']} changed (Holm-adjusted p < {settings.alpha:g}), {MARKS['same']} no "
        f"change larger than {settings.margin:g} points ({settings.margin_sd:g} sd; by the "
        f"{1 - 2 * settings.alpha:.0%} interval), {MARKS['undecided']} undecided: neither is "
        f"shown; {settings.level:.0%} intervals"
    )
    if not left_out:
        yield from _other_categories(sweep.rows)
    yield f"p is adjusted for {sweep.family}; all metrics and categories: comparisons.json"
    yield from _lm_notes(sweep.rows)
    counts = {name: _count(sweep.rows, name) for name in MARKS}
    told = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    yield f"headline comparisons: {told}"


def _lm_notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name the pairs whose bias is to be read together with their LM score."""
    for reading, pairs in joint_readings(rows).items():
        # Each is read from its own interval; the marks alone are adjusted for how many there are.
        for pair, numbers in pairs.items():
            yield f"{pair}: {reading} ({numbers}; unadjusted intervals)"


def joint_readings(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Give the readings of bias with LM score that take a conclusion back.

    Returns:
        Reading -> pair -> the benchmarks' categories: "stereoset gender, race; seat (all 4)".
    """
    asked: dict[tuple[str, str], dict[str, None]] = {}
    told: dict[str, dict[str, dict[str, dict[str, None]]]] = {}
    for row in rows:
        if row["kind"] != "bias":
            continue
        joint = row.get("joint") or {}
        pair, benchmark, category = (row[name] for name in ("pair", "benchmark", "category"))
        asked.setdefault((pair, benchmark), {})[category] = None
        if joint.get("breakage") or joint.get("lm_at_chance"):
            of_pair = told.setdefault(str(joint["reading"]), {}).setdefault(pair, {})
            of_pair.setdefault(benchmark, {})[category] = None
    return {
        reading: {
            pair: "; ".join(
                f"{benchmark} {listed(list(some), len(asked[pair, benchmark]))}"
                for benchmark, some in benchmarks.items()
            )
            for pair, benchmarks in pairs.items()
        }
        for reading, pairs in told.items()
    }


def listed(categories: Sequence[str], most: int) -> str:
    """Name categories, or say that they are all there are."""
    return f"(all {most})" if len(categories) == most > 1 else ", ".join(categories)


def _count(rows: Sequence[Mapping[str, Any]], verdict: str) -> int:
    return sum(row["verdict"] == verdict and row["family"] == "headline" for row in rows)
