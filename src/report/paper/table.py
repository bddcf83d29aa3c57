"""A table of the paper as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.report.paper.compare import Entry


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers.

    Attributes:
        head: What stands above it.
        category: As in metrics.json.
        metric: As in metrics.json; `parameters` and `megabytes` are of the model.
        decimals: To print where the paper has no number to go by.
    """

    head: str
    category: str
    metric: str
    decimals: int = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the paper, or one that it lacks.

    Attributes:
        name: The paper's name of the model ("BERT base", "410M").
        variant: "fp32", "int8", or a debiasing method.
        label: What the table calls the row.
        ours: What was measured for it (model and compression); empty where nothing was.
        entries: Head of a column -> its number.
        step: Pretraining step of ours; None where there is none.
        remark: A few words on ours.
        notes: What a reader has to know of the row; footnotes.
        directory: Of the cell; empty where there is none.
    """

    name: str
    variant: str
    label: str
    ours: str
    entries: Mapping[str, Entry]
    step: int | None = None
    remark: str = ""
    notes: tuple[str, ...] = ()
    directory: str = ""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of the paper with our numbers.

    Attributes:
        name: "table1".
        title: What it shows.
        columns: In order.
        rows: In order.
        stand_in: Whether other models stand in the places of the paper's.
        level: Of the intervals.
        remarks: What holds for the whole table; stands below it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    stand_in: bool
    level: float
    remarks: Sequence[str] = ()
