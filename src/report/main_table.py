"""The main table of a sweep: a row a cell, a column a headline number."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from src.report.cells import Headline, Label, headlines
from src.statistics.verdict import MARKS
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

UNLIMITED = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """A cell with what a table says of it beside its numbers.

    Attributes:
        cell: The cell.
        label: Its name.
        twin: The same uncompressed.
        verdicts: (benchmark, category, metric) -> what the comparison with its twin found.
    """

    cell: Cell
    label: Label
    twin: Cell | None
    verdicts: Mapping[tuple[str, str, str], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """How much a table shows, and how closely.

    Attributes:
        narrow: Overall numbers only.
        stacked: Differences below the numbers and not beside them.
        intervals: Half the width of its interval behind each number.
        tight: Names broken, no gaps, no rows without numbers (they are listed below anyway).
    """

    narrow: bool
    stacked: bool
    intervals: bool = False
    tight: bool = False


LAYOUTS = (
    *(
        Layout(narrow, stacked, intervals)
        for narrow in (False, True)
        for intervals in (True, False)
        for stacked in (False, True)
    ),
    Layout(narrow=True, stacked=True, intervals=False, tight=True),
)
"""From the richest to the tightest."""


def fitting(rows: Sequence[Row], console: Console) -> tuple[list[Table], Layout]:
    """Give the richest table that fits, several where none does, and its layout."""
    cells = [row.cell for row in rows]
    for layout in LAYOUTS:
        table = _table(rows, headlines(cells, layout.narrow), layout)
        if width_of(table, console) <= console.width:
            return [table], layout
    return list(_pieces(rows, headlines(cells, narrow=True), console)), LAYOUTS[-1]


def _pieces(rows: Sequence[Row], columns: list[Headline], console: Console) -> Iterator[Table]:
    """Divide the columns over tables of the tightest layout."""
    start = 0
    while start < len(columns) or start == 0:
        end = len(columns)
        while end > start + 1:
            table = _table(rows, columns[start:end], LAYOUTS[-1], cost=end == len(columns))
            if width_of(table, console) <= console.width:
                break
            end -= 1
        yield _table(rows, columns[start:end], LAYOUTS[-1], cost=end == len(columns))
        start = max(end, 1)


def width_of(table: Table, console: Console) -> int:
    """Measure the characters that a table takes where nothing of it is folded or cut."""
    return Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum


def _table(
    rows: Sequence[Row], columns: Sequence[Headline], layout: Layout, cost: bool = True
) -> Table:
    """Draw rows and columns; in a tight layout without the rows that have no numbers anyway."""
    if layout.tight:
        rows = [row for row in rows if row.cell.state == "done"] or rows
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, int(not layout.tight)),
    )
    settings = any(row.label.settings for row in rows)
    state = not layout.tight or any(row.cell.state != "done" for row in rows)
    shown = [True, True, settings, state]
    for name in _chosen(["model", "compression", "settings", "state"], shown):
        table.add_column(_label(name, layout), overflow="fold")
    for column in columns:
        table.add_column(_head(column, rows), justify="right", no_wrap=True)
    for head in ("size\nMB", "time\ns") if cost else ():
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        label = [row.label.model, row.label.compression, row.label.settings, row.cell.state]
        table.add_row(
            *(_label(part, layout) for part in _chosen(label, shown)),
            *(_value(column, row, layout) for column in columns),
            *(_cost(row.cell) if cost else ()),
        )
    return table


def _chosen(parts: Sequence[str], shown: Sequence[bool]) -> list[str]:
    return [part for part, wanted in zip(parts, shown, strict=True) if wanted]


def _label(text: str, layout: Layout) -> Text:
    if not layout.tight:
        return Text(text)
    # Names have hyphens and no spaces; a line may end after one.
    lines = textwrap.wrap(text, 14)
    return Text("\n".join(lines))


def _cost(cell: Cell) -> Iterator[Text]:
    """Give the model's size in memory and the time its evaluation took, of a cell that is done."""
    if cell.state != "done":
        yield from (Text(""), Text(""))
        return
    size = cell.system.get("model_bytes", cell.receipt.get("memory_bytes_after"))
    yield _number(size / 1e6 if isinstance(size, int | float) else None)
    yield _number(cell.system.get("evaluate_seconds"))


def _number(value: Any) -> Text:
    return Text(format(value, ".1f") if isinstance(value, int | float) else "")


def _head(column: Headline, rows: Sequence[Row]) -> Text:
    """Name a column; the unbiased value is named because more is not better."""
    records = [record for row in rows if (record := column.record(row.cell))]
    ideal = records[0].get("ideal")
    lines = [*broken(column.benchmark), HEADLINES[column.metric], column.category]
    lines += [f"ideal {ideal:g}"] if ideal is not None else []
    return Text("\n".join(lines))


def broken(name: str, longest: int = 9) -> Iterator[str]:
    """Break a name at its underscores into lines, of `longest` characters where its parts are."""
    line = ""
    for part in name.split("_"):
        if line and len(line) + len(part) > longest:
            yield line
            line = ""
        line += f"{part}_"
    yield line[:-1]


def _value(column: Headline, row: Row, layout: Layout) -> Text:
    record = column.record(row.cell)
    if record is None:
        return Text("")
    if record["value"] is None:
        return Text("undef.")
    form = ".2f" if record.get("unit") == "%" else ".3f"
    text = Text(format(record["value"], form))
    low, high = record.get("ci_low"), record.get("ci_high")
    if layout.intervals and low is not None and high is not None:
        text.append(f" ±{(high - low) / 2:{'.1f' if form == '.2f' else '.2f'}}", style="dim")
    before = column.record(row.twin) if row.twin else None
    if before and before["value"] is not None:
        key = (column.benchmark, column.category, column.metric)
        mark = MARKS[row.verdicts.get(key, "undefined")]
        text.append("\n" if layout.stacked else " ")
        text.append(f"({record['value'] - before['value']:+{form}}{mark})", style="dim")
    return text
