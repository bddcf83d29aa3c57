"""Rows of the tables of masked models: what the paper has, and what was measured besides."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.report.paper.cells import PaperCell, PaperCells
from src.report.paper.config import FP32, INT8
from src.report.paper.entries import entries, quoted
from src.report.paper.published import faults_of, quoted_rows, rows_of
from src.report.paper.table import Column, PaperTable, Row
from src.statistics.on_disk import settings_of

KIND = "masked"
QUOTED = "Quoted in the paper from Bias Bench; no debiasing was run here."


@dataclass(frozen=True, slots=True)
class MaskedTable:
    """What sets one of these tables apart.

    Attributes:
        name: "table1".
        title: What it shows.
        columns: In order.
        remarks: What holds for the whole table.
    """

    name: str
    title: str
    columns: Sequence[Column]
    remarks: Sequence[str] = ()


def masked_table(about: MaskedTable, found: PaperCells) -> PaperTable:
    """Make a table with a row for each masked model and variant."""
    rows = [_row(about, place, found) for place in _order(about.name, found)]
    return PaperTable(
        about.name,
        about.title,
        about.columns,
        rows,
        found.paper.stand_in,
        level_of(found, KIND),
        about.remarks,
    )


def level_of(found: PaperCells, kind: str) -> float:
    """Give the level of the intervals of a sweep; the usual one where it has no cell."""
    done = [one.cell for one in found.cells if one.kind == kind and one.done]
    return settings_of(done[0]).level if done else 0.95


def ours(cell: PaperCell | None) -> str:
    """Name what was measured for a row."""
    if cell is None:
        return ""
    model, compression = (
        str(cell.cell.config.get(part, {}).get("name", "?")) for part in ("model", "compression")
    )
    return f"{model}, {compression}"


def _row(about: MaskedTable, place: tuple[str, str], found: PaperCells) -> Row:
    row, variant = place
    cell = found.one(KIND, row, variant)
    notes = faults_of(about.name, row, variant)
    numbers = entries(about.name, about.columns, place, cell, found, base=_base(row))
    if place in quoted_rows(about.name):
        numbers = {head: quoted(entry) for head, entry in numbers.items()}
        notes.append(QUOTED)
    elif cell is None and (why := _why_missing(place, found)):
        notes.append(why)
    directory = str(cell.cell.directory) if cell else ""
    label = _label(row, variant)
    return Row(row, variant, label, ours(cell), numbers, None, "", tuple(notes), directory)


def _label(row: str, variant: str) -> str:
    if variant == FP32:
        return row
    return f"{row} {variant}" if variant == INT8 else f"{row} + {variant}"


def _base(row: str) -> str:
    return "RoBERTa base" if "RoBERTa" in row else "BERT base"


def _why_missing(place: tuple[str, str], found: PaperCells) -> str:
    """Say how the cell ended that has no numbers, if there is one."""
    for one in found.cells:
        if (one.kind, one.row, one.variant) == (KIND, *place):
            error = one.cell.status.get("error") or {}
            told = str(error.get("message", "")) if isinstance(error, dict) else str(error)
            first_line = told.partition("\n")[0]
            return f"The cell is {one.cell.state}. {first_line}".strip()
    return ""


def _order(table: str, found: PaperCells) -> list[tuple[str, str]]:
    """Put rows that the paper lacks below those of the same model; its table may not exist."""
    order = rows_of(table)
    own = [(row, variant) for row in found.paper.rows(KIND) for variant in found.paper.precisions]
    if not order:
        return own
    there = {(one.row, one.variant) for one in found.cells if one.kind == KIND}
    last = len(order)
    for row in found.paper.rows(KIND):
        same = [index for index, (name, _) in enumerate(order) if name == row]
        last = max(same) + 1 if same else last
        for place in own:
            if place[0] == row and place in there and place not in order:
                order.insert(last, place)
                last += 1
    return order
