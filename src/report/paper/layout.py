"""A table of the paper as lines of text, before Markdown or LaTeX make it theirs.

A row takes up to three lines: ours (with its change against the base model and its interval), the
paper's, and their difference with its mark. Lines that would be empty are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from src.report.paper.compare import (
    DIFFERS,
    MISSING,
    OTHER,
    PRINTED_ONLY,
    SIGNS,
    STAND_IN,
    UNDEFINED,
    Entry,
)
from src.report.paper.table import PaperTable, Row

OURS, PAPER, DIFFERENCE = "ours", "paper", "difference"
LEGEND = (
    "= agrees (ours rounds to the printed number), ≈ differs, but the printed number lies in our "
    "interval, ≠ differs."
)
STAND_INS = (
    "Other models stand in the places of the paper's, as named in each row: nothing here "
    "reproduces or contradicts the paper, and no difference is given."
)
OTHERS = (
    "Numbers made with other settings than the paper's (few items, another scorer, dtype, split or "
    "data file) are not held against its own."
)
SCALES = {"parameters": 1e-6}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table.

    Attributes:
        label: Of the row; empty on its further lines.
        kind: "ours", "paper" (with its step, where that is another one) or "difference".
        texts: One a column.
        notes: Numbers of the footnotes; on the first line only.
    """

    label: str
    kind: str
    texts: tuple[str, ...]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What a table shows.

    Attributes:
        title: Above it.
        heads: Of its columns of numbers, with M for millions.
        lines: By row.
        notes: Footnotes, numbered from 1.
        remarks: What holds for the whole table.
    """

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[Line, ...], ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...]


def lay_out(table: PaperTable) -> Page:
    """Turn a table into lines of text with numbered footnotes."""
    notes = list(dict.fromkeys(note for row in table.rows for note in row.notes))
    lines = tuple(tuple(_lines(table, row, notes)) for row in table.rows)
    interval = f"In brackets: {100 * table.level:g}% intervals over the items."
    legend = [STAND_INS if table.stand_in else LEGEND]
    if any(entry.mark == OTHER for row in table.rows for entry in row.entries.values()):
        legend.append(OTHERS)
    heads = tuple(column.head for column in table.columns)
    title = f"{table.title} [stand-in models]" if table.stand_in else table.title
    return Page(title, heads, lines, tuple(notes), (*legend, interval, *table.remarks))


def _lines(table: PaperTable, row: Row, notes: list[str]) -> Iterator[Line]:
    entries = [
        (row.entries[column.head], SCALES.get(column.metric, 1.0)) for column in table.columns
    ]
    found = {
        OURS: [_ours(entry, scale) for entry, scale in entries],
        _theirs(row): [_paper(entry, scale) for entry, scale in entries],
        DIFFERENCE: [_difference(entry) for entry, _ in entries],
    }
    if not row.ours and all(entry.mark == PRINTED_ONLY for entry, _ in entries):
        del found[OURS]
    label = " ".join(part for part in (row.label, _about(table, row)) if part)
    numbers = tuple(notes.index(note) + 1 for note in row.notes)
    for kind, texts in found.items():
        if any(texts):
            yield Line(label, kind, tuple(texts), numbers)
            label, numbers = "", ()


def _theirs(row: Row) -> str:
    """Name the line of the paper's numbers, with their step where ours is of another one."""
    steps = {entry.printed.step for entry in row.entries.values() if entry.printed}
    other = [f"step {step:,}" for step in steps if step not in (None, row.step)]
    return ", ".join([PAPER, *other])


def _about(table: PaperTable, row: Row) -> str:
    """Say of a row which model stands in for it, which step it is of, and the like."""
    step = "" if row.step is None else f"step {row.step:,}"
    model = row.ours if table.stand_in else ""
    parts = [part for part in (model, step, row.remark) if part]
    return f"({'; '.join(parts)})" if parts else ""


def _ours(entry: Entry, scale: float) -> str:
    if entry.mark in (MISSING, UNDEFINED):
        return entry.mark
    if entry.value is None:
        return ""
    text = _number(entry.value * scale, entry.decimals) + "*" * bool(entry.significant)
    text += _arrow(entry.change, entry.decimals)
    if entry.low is not None and entry.high is not None:
        ends = [_number(end, max(1, entry.decimals - 1)) for end in (entry.low, entry.high)]
        text += f" [{', '.join(ends)}]"
    return text


def _paper(entry: Entry, scale: float) -> str:
    if entry.printed is None:
        return ""
    text = _number(entry.printed.value * scale, entry.decimals)
    text += "*" * bool(entry.printed.significant)
    return text + _arrow(entry.printed_change, entry.decimals)


def _difference(entry: Entry) -> str:
    """Give the difference with its mark; where ours is missing there is none to speak of."""
    if entry.difference is None:
        told = entry.mark in (STAND_IN, OTHER)
        return entry.mark if told and entry.printed is not None else ""
    sign = SIGNS[entry.mark]
    no_interval = entry.mark == DIFFERS and entry.low is None
    return f"{entry.difference:+.{entry.decimals}f} {sign}" + " (no interval)" * no_interval


def _arrow(change: float | None, decimals: int) -> str:
    if change is None:
        return ""
    size = _number(abs(change), decimals)
    arrow = "↔" if float(size) == 0 else "↑" if change > 0 else "↓"
    return f" {arrow}{size}"


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text
