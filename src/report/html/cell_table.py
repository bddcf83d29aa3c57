"""The table of all cells as the report shows it: numbers with intervals, changes with marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.report.cells import OVERALL, Headline, headlines
from src.report.comparisons import Sweep
from src.report.endings import reason_of
from src.report.html.overview import model_bytes, path
from src.report.html.reproduce import command
from src.report.html.summary import tone
from src.report.main_table import Row
from src.statistics.config import StatisticsConfig
from src.tracking.keys import HEADLINES

MEGA = 1e6
Marks = Mapping[tuple[str, str, str, str], tuple[str, float | None, str]]
"""Cell's folder, benchmark, category, metric -> tone, difference, conclusion."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column of numbers.

    Attributes:
        benchmark: Its name.
        short: The metric's short name.
        category: Its category.
        metric: Its full name.
        ideal: The unbiased value, as text; "" for none.
        overall: Whether it is among the few that are shown at first.
    """

    benchmark: str
    short: str
    category: str
    metric: str
    ideal: str
    overall: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A number as a table shows it.

    Attributes:
        value: As text.
        half: Half the width of its interval, as text; "" for none.
        sort: What it is sorted by; None for the end.
        change: Difference to the uncompressed twin, as text; "" for none.
        tone: Mark of that difference.
        title: What may be concluded, or why there is no number.
    """

    value: str
    half: str = ""
    sort: float | None = None
    change: str = ""
    tone: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A cell's row.

    Attributes:
        index: Place of the cell.
        row: The cell with its label.
        numbers: One for each head.
        costs: Size in MB, stored bits a weight, seconds of evaluation.
        reason: Why it has no numbers, where it has none.
        command: That makes it again; "" where unknown.
    """

    index: int
    row: Row
    numbers: tuple[Number, ...]
    costs: tuple[Number, ...]
    reason: str
    command: str


def heads(rows: Sequence[Row]) -> list[Head]:
    """Give the columns: each benchmark's overall headline numbers, and bias by category."""
    cells = [row.cell for row in rows]
    few = headlines(cells, narrow=True)
    order = {(each.benchmark, each.metric): place for place, each in enumerate(few)}
    columns = [*few, *(each for each in headlines(cells, narrow=False) if each not in few)]
    columns.sort(key=lambda each: order.get((each.benchmark, each.metric), len(order)))
    return [_head(column, rows, column in few) for column in columns]


def lines(
    rows: Sequence[Row], columns: Sequence[Head], sweep: Sweep, directory: Path
) -> list[Line]:
    """Lay out the rows of the table."""
    marks = _marks(sweep)
    return [
        Line(
            index,
            row,
            tuple(_number(row, head, marks, path(row.cell, directory)) for head in columns),
            tuple(_costs(row)),
            "" if row.cell.state == "done" else reason_of(row.cell),
            command(row.cell),
        )
        for index, row in enumerate(rows)
    ]


def _head(column: Headline, rows: Sequence[Row], overall: bool) -> Head:
    records = [record for row in rows if (record := column.record(row.cell))]
    ideal = records[0].get("ideal") if records else None
    return Head(
        column.benchmark,
        HEADLINES[column.metric],
        column.category,
        column.metric,
        "" if ideal is None else f"{ideal:g}",
        overall or column.category == OVERALL,
    )


def _marks(sweep: Sweep) -> Marks:
    alpha = (sweep.settings or StatisticsConfig()).alpha
    return {
        (row["cell_b"], row["benchmark"], row["category"], row["metric"]): (
            tone(row, alpha),
            row["difference"],
            str(row["conclusion"]),
        )
        for row in sweep.rows
    }


def _number(row: Row, head: Head, marks: Marks, folder: str) -> Number:
    record = Headline(head.benchmark, head.category, head.metric).record(row.cell)
    if record is None:
        return Number("")
    value, low, high = (record.get(name) for name in ("value", "ci_low", "ci_high"))
    if value is None:
        return Number("undefined", title=str(record.get("reason") or ""))
    form = ".1f" if record.get("unit") == "%" else ".2f"
    half = "" if low is None or high is None else f"{(high - low) / 2:{form}}"
    mark, change, said = marks.get(
        (folder, head.benchmark, head.category, head.metric), ("", None, "")
    )
    shown = "" if change is None else f"{round(change, 2) + 0.0:+{form}}".replace("-", "−")
    return Number(f"{value:{form}}", half, value, shown, mark, said)


def _costs(row: Row) -> list[Number]:
    if row.cell.state != "done":
        return [Number("")] * 3
    size, bits = model_bytes(row.cell), row.cell.receipt.get("stored_bits")
    seconds = row.cell.system.get("evaluate_seconds")
    return [
        _cost(None if size is None else size / MEGA, ".1f"),
        _cost(bits, ".2f"),
        _cost(seconds, ".1f"),
    ]


def _cost(value: object, form: str) -> Number:
    known = isinstance(value, int | float)
    return Number(format(value, form), sort=value) if known else Number("")  # type: ignore[arg-type]
