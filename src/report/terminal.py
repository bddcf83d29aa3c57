"""The table at the end of a sweep: `python -m src.report.terminal DIRECTORY` prints it again."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from src.errors import InputError
from src.piped import piped
from src.report import axes
from src.report.agreement import agreement_lines
from src.report.cells import collect, labels, twin
from src.report.comparison_table import comparison_table, notes
from src.report.comparisons import Sweep, compare_sweep
from src.report.endings import endings, reading_notes
from src.report.main_table import Row, fitting
from src.report.sensitivity import sensitivity_lines
from src.tracking.read import Cell

LOG_WIDTH = 120


def print_sweep(directory: Path, console: Console | None = None) -> Sweep | None:
    """Print a table that compares all cells in or below `directory`, and why some have no numbers.

    It brings comparisons.json up to date.

    Args:
        directory: Of a sweep, or of one cell.
        console: Where to; by default the terminal, or a log of 120 columns.

    Returns:
        The comparisons; None where there are no cells.

    Raises:
        InputError: There is no such directory.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; give the folder of a sweep or of a cell.")
    console = console or _console()
    cells = collect(directory)
    if not cells:
        console.print(Text(f"no cells in {directory}"), soft_wrap=True)
        return None
    sweep = compare_sweep(directory, cells)
    rows = [
        Row(cell, label, twin(cell, cells), _verdicts(sweep, cell, directory))
        for cell, label in zip(cells, labels(cells), strict=True)
    ]
    tables, layout = fitting(rows, console)
    for table in tables:
        console.print(table)
    for line in reading_notes(rows, layout):
        console.print(line, soft_wrap=True)
    if compared := comparison_table(sweep):
        console.print(compared)
    along = [*axes.lines(axes.read_axes(directory)), *agreement_lines(directory)]
    along += sensitivity_lines(directory)
    for line in [*map(Text, (*notes(sweep), *along)), *endings(rows)]:
        console.print(line, soft_wrap=True)
    return sweep


def _verdicts(sweep: Sweep, cell: Cell, directory: Path) -> dict[tuple[str, str, str], str]:
    path = cell.directory.relative_to(directory).as_posix()
    return {
        (row["benchmark"], row["category"], row["metric"]): row["verdict"]
        for row in sweep.rows
        if row["cell_b"] == path
    }


def _console() -> Console:
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=LOG_WIDTH)


def main() -> None:
    """Print the table of the folder named on the command line."""
    parser = argparse.ArgumentParser(description=print_sweep.__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("directory", type=Path, help="folder of a sweep or of a cell")
    try:
        print_sweep(parser.parse_args().directory)
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
