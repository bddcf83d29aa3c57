"""The numbers of a row: from a cell, from the paper, and from the base model of the family."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.report.paper.cells import PaperCell, PaperCells
from src.report.paper.compare import (
    ANOTHER_QUANTITY,
    PRINTED_ONLY,
    Entry,
    distance_change,
    mark,
    not_comparable,
)
from src.report.paper.config import FP32
from src.report.paper.published import Published, printed
from src.report.paper.table import Column

BENCHMARKS = {
    "stereotype_score": "crows_pairs",
    "ss": "stereoset",
    "lm_score": "stereoset",
    "effect_size": "seat",
    "mean_abs_effect_size": "seat",
}
"""Metric -> the benchmark that it is of in the paper."""
IDEALS = {"stereotype_score": 50.0, "ss": 50.0}
"""Metrics whose arrows are of the distance from this value."""
ARROWS = (*IDEALS, "lm_score", "mean_abs_effect_size")
ALPHA = 0.01
"""Below this p an effect size has a star, in the paper and here."""


def entries(
    table: str,
    columns: Sequence[Column],
    row: tuple[str, str],
    cell: PaperCell | None,
    found: PaperCells,
    base: str | None = None,
    compared: bool = True,
) -> dict[str, Entry]:
    """Make the numbers of one row.

    Args:
        table: Name of the table.
        columns: Of the table.
        row: Its row and variant.
        cell: That stands for it; None where there is none.
        found: All cells.
        base: Row of the base model of its family, whose fp32 cell the changes are against.
        compared: Whether the row has the paper's numbers beside it.
    """
    base_cell = found.one("masked", base, FP32) if base else None
    base_row = (base or "", FP32)
    return {
        column.head: _entry(
            column,
            _record(cell, column),
            printed(table, *row, column.category, column.metric) if compared else None,
            _record(base_cell, column) if row != base_row else None,
            printed(table, *base_row, column.category, column.metric) if row != base_row else None,
            _reason(column, cell, found),
            _star(cell, column),
        )
        for column in columns
    }


def quoted(entry: Entry) -> Entry:
    """Give the number of a row that is only quoted: nothing of ours could stand there."""
    return Entry(
        value=None,
        low=None,
        high=None,
        significant=None,
        change=None,
        printed=entry.printed,
        printed_change=entry.printed_change,
        decimals=entry.decimals,
        mark=PRINTED_ONLY,
    )


def _entry(
    column: Column,
    record: Mapping[str, Any] | None,
    theirs: Published | None,
    base: Mapping[str, Any] | None,
    base_theirs: Published | None,
    reason: str,
    star: bool | None,
) -> Entry:
    value = record["value"] if record else None
    ideal, arrow = IDEALS.get(column.metric), column.metric in ARROWS
    change = distance_change(value, base["value"] if base else None, ideal)
    their_change = distance_change(
        theirs.value if theirs else None, base_theirs.value if base_theirs else None, ideal
    )
    return Entry(
        value=value,
        low=record.get("ci_low") if record else None,
        high=record.get("ci_high") if record else None,
        significant=star,
        change=change if arrow else None,
        printed=theirs,
        printed_change=their_change if arrow else None,
        decimals=theirs.decimals if theirs else column.decimals,
        mark=mark(record, theirs, reason),
    )


def _record(cell: PaperCell | None, column: Column) -> Mapping[str, Any] | None:
    if cell is None:
        return None
    if column.metric == "parameters":
        return _size(cell.cell.receipt.get("elements"))
    if column.metric == "megabytes":
        size = cell.cell.system.get("model_bytes")
        return _size(None if size is None else size / 1e6)
    return cell.record(BENCHMARKS[column.metric], column.category, column.metric)


def _size(value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "ci_low": None, "ci_high": None}


def _reason(column: Column, cell: PaperCell | None, found: PaperCells) -> str:
    """Say why a number is not held against the paper's; its sizes are those of an encoder."""
    if cell is None:
        return ""
    benchmark = BENCHMARKS.get(column.metric, "")
    other = "" if benchmark else ANOTHER_QUANTITY
    return not_comparable(found.paper, cell, benchmark) or other


def _star(cell: PaperCell | None, column: Column) -> bool | None:
    if cell is None or column.metric != "effect_size":
        return None
    record = cell.record("seat", column.category, "p_value")
    return None if record is None or record["value"] is None else bool(record["value"] < ALPHA)
