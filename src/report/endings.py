"""What stands below a sweep's table: how to read it, and which cells have no numbers and why."""

import os
import socket
from collections.abc import Iterator, Sequence

from rich.text import Text

from src.report.main_table import Layout, Row
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

SAMPLE = "sample_"
SHORT = 60
"""Letters of a reason that is told of each cell."""


def reading_notes(rows: Sequence[Row], layout: Layout) -> Iterator[Text]:
    """Say how the numbers of a table of this layout are to be read."""
    twins = [row for row in rows if row.twin]
    if any(row.cell.state == "done" for row in twins):
        plain = any(row.label.compression == "none" for row in twins)
        more = "; of an uncompressed one, to its twin of unchanged data" if plain else ""
        yield Text(
            f"(in parentheses: difference to the same model uncompressed{more})", style="dim"
        )
    records = [record for row in rows for record in row.cell.metrics]
    if any(record.get("ci_low") is not None for record in records):
        if not layout.intervals:
            yield Text("(intervals: metrics.json; a wider terminal shows them)", style="dim")
        else:
            yield Text(
                "(±: half the width of the interval; metrics.json has its ends)", style="dim"
            )
    names = {str(record.get("benchmark")) for row in rows for record in row.cell.metrics}
    if samples := sorted(name for name in names if name.startswith(SAMPLE)):
        yield Text(f"{', '.join(samples)}: demonstration, not a measurement")
    debugs = [row.cell.config.get("debug") for row in rows]
    limits = {
        str(debug["limit"]) for debug in debugs if isinstance(debug, dict) and debug.get("limit")
    }
    if limits:
        told = ", ".join(sorted(limits))
        yield Text(f"debug.limit={told}: a trial on part of the items, not a measurement")
    undefined = {
        f"undefined: {record['benchmark']} {record['category']}: {record['reason']}"
        for row in rows
        for record in row.cell.metrics
        if record.get("value") is None and record.get("metric") in HEADLINES
    }
    yield from (Text(line) for line in sorted(undefined))


def endings(rows: Sequence[Row]) -> Iterator[Text]:
    """Say in a line each which numbers are in doubt, and which cells and benchmarks have none.

    A reason that several cells have is told once; the others name the cell that it stands at.
    """
    told: dict[str, str] = {}
    for row in rows:
        for doubt in doubts(row.cell):
            yield Text(f"in doubt: {row.label.text}: {_once(doubt, row.label.text, told)}")
    for row in rows:
        unsupported = row.cell.environment.get("unsupported")
        for name, reason in (unsupported if isinstance(unsupported, dict) else {}).items():
            yield Text(f"unsupported: {row.label.text}: {name}: {_line(reason)}")
    for state in ("unsupported", "running", "killed", "unreadable", "failed"):
        for row in rows:
            if row.cell.state == state:
                reason = _once(reason_of(row.cell), row.label.text, told)
                line = Text(f"{state}: {row.label.text}: {reason}")
                line.append(f" ({row.cell.directory})", style="dim")
                yield line


def _once(reason: str, cell: str, told: dict[str, str]) -> str:
    """Give a reason, or where it was told before the cell that had it."""
    first = told.setdefault(reason, cell)
    # Short ones say more than where to look; two cells may have one label.
    return reason if first == cell or len(reason) < SHORT else f"as {first}"


def doubts(cell: Cell) -> list[str]:
    """Say what may make all numbers of a cell meaningless; nothing for most."""
    found = cell.environment.get("doubts")
    return [_line(doubt) for doubt in found] if isinstance(found, list) else []


def reason_of(cell: Cell) -> str:
    """Say in a line why a cell has no numbers."""
    if cell.state == "killed":
        return "its process ended without a word; the same command runs it again"
    if cell.state == "running":
        here = (socket.gethostname(), os.getpid())  # where a table is printed nothing runs
        if (cell.status.get("host"), cell.status.get("pid")) == here:
            return "it has ended, which could not be recorded; the same command runs it again"
        return f"since {cell.status.get('started')}, process {cell.status.get('pid')}"
    error = cell.status.get("error")
    if not isinstance(error, dict):
        return "its status.json is damaged" if cell.state == "unreadable" else "no reason recorded"
    message = _line(error.get("message"))
    # The program's own two say all in their message; any other type is part of the reason.
    kind = str(error.get("type"))
    return message if kind in ("InputError", "Unsupported") else f"{kind}: {message}"


def _line(text: object) -> str:
    return next(iter(str(text).strip().splitlines()), "")
