"""Registering a table, which is one function, and writing its three files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from src.report.paper.cells import PaperCells
from src.report.paper.latex import latex
from src.report.paper.layout import lay_out
from src.report.paper.markdown import markdown
from src.report.paper.registry import artefact
from src.report.paper.table import PaperTable
from src.tracking.atomic import replacing

Make = Callable[[PaperCells], PaperTable]


def table(name: str, needs: Sequence[str]) -> Callable[[Make], Make]:
    """Register the function that makes a table; it is written as Markdown, LaTeX and CSV.

    Args:
        name: Of its experiment, and of its files.
        needs: Kinds of the sweeps that it is made from.
    """

    def register(make: Make) -> Make:
        artefact(name, needs, "tables")(lambda found, folder: write_table(make(found), folder))
        return make

    return register


def write_table(table: PaperTable, folder: Path) -> list[Path]:
    """Write a table as NAME.md, NAME.tex and NAME.csv.

    Returns:
        The files.

    Raises:
        InputError: The folder cannot be written to.
    """
    page = lay_out(table)
    contents = {
        "md": markdown(page),
        "tex": latex(page, table.name),
        "csv": tidy(table).to_csv(index=False, lineterminator="\n"),
    }
    files = []
    for ending, content in contents.items():
        path = folder / f"{table.name}.{ending}"
        with replacing(path) as handle:
            handle.write(content.encode())
        files.append(path)
    return files


def tidy(table: PaperTable) -> pd.DataFrame:
    """Give a table's numbers one a line, unrounded, as the CSV has them.

    Returns:
        Columns `row`, `variant`, `step`, `category`, `metric`, `ours` (what was measured), `value`
        with `ci_low` and `ci_high`, `significant`, `change` (against the base model), the paper's
        `published`, `published_significant` and `published_change`, `difference`, `mark`,
        `source`, `notes` and `directory` (of the cell).
    """
    rows = [
        {
            "row": row.name,
            "variant": row.variant,
            "step": row.step,
            "category": column.category,
            "metric": column.metric,
            "ours": row.ours,
            "value": entry.value,
            "ci_low": entry.low,
            "ci_high": entry.high,
            "significant": entry.significant,
            "change": entry.change,
            "published": entry.printed.value if entry.printed else None,
            "published_significant": entry.printed.significant if entry.printed else None,
            "published_change": entry.printed_change,
            "difference": entry.difference,
            "mark": entry.mark,
            "source": entry.printed.source if entry.printed else None,
            "notes": " ".join(row.notes),
            "directory": row.directory,
        }
        for row in table.rows
        for column in table.columns
        for entry in (row.entries[column.head],)
    ]
    return pd.DataFrame(rows).astype({"step": "Int64"})
