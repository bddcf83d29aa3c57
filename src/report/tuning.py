"""Task, LM and bias scores by step and order of tuning: `python -m src.report.tuning DIRECTORY`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from src.errors import InputError
from src.piped import piped
from src.report.cells import Headline, collect, headlines
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

ORDERS = {"tune_first": "after tuning", "compress_first": "before and all through"}
"""Setting -> when the compression was applied."""
KINDS = ("task", "lm", "bias")


def tuned(cells: Sequence[Cell]) -> list[Cell]:
    """Keep the finished cells of `model=finetuned`: by compression, order and step."""
    found = [cell for cell in cells if cell.state == "done" and "order" in _model(cell)]
    return sorted(found, key=lambda cell: (_what(cell), int(_model(cell)["step"])))


def table(cells: Sequence[Cell]) -> Table:
    """Draw a row a cell, a column a headline number over all categories, with its interval.

    Args:
        cells: As from `tuned`.

    Raises:
        InputError: There are none.
    """
    if not cells:
        raise InputError("there is no finished cell of model=finetuned in this folder.")
    columns = sorted(headlines(cells, narrow=True), key=lambda one: _kind(one, cells))
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "compressed by", "when", "step"):
        drawn.add_column(name)
    for column in columns:
        drawn.add_column(f"{column.benchmark}\n{HEADLINES[column.metric]}", justify="right")
    before: tuple[str, ...] = ()
    for cell in cells:
        what = _what(cell)
        named = [*what] if what != before else [""] * len(what)
        step = str(_model(cell)["step"])
        drawn.add_row(*named, step, *(_number(column.record(cell)) for column in columns))
        before = what
    return drawn


def lines(cells: Sequence[Cell]) -> Iterator[str]:
    """Say how the table is to be read."""
    levels = {(cell.config.get("statistics") or {}).get("level", 0.95) for cell in cells}
    told = ", ".join(f"{level:.0%}" for level in sorted(levels))
    yield f"in brackets {told} intervals over items; changes against the dense cell of a step,"
    yield "which are known better than these, are in comparisons.json"


def _model(cell: Cell) -> dict[str, Any]:
    model = cell.config.get("model")
    return model if isinstance(model, dict) else {}


def _what(cell: Cell) -> tuple[str, str, str]:
    compression = cell.config.get("compression")
    settings = compression if isinstance(compression, dict) else {}
    name = str(settings.get("name") or "+".join(settings))
    order = str(_model(cell)["order"])
    when = "" if name == "none" else ORDERS.get(order, order)
    return str(_model(cell).get("name")), name, when


def _kind(column: Headline, cells: Sequence[Cell]) -> int:
    record = next(filter(None, map(column.record, cells)), None)
    kind = record["kind"] if record else ""
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def _number(record: dict[str, Any] | None) -> str:
    if record is None:
        return ""
    value, low, high = (record.get(name) for name in ("value", "ci_low", "ci_high"))
    form = ".1f" if record.get("unit") == "%" else ".2f"
    if value is None:
        return "undefined"
    shown = format(value, form)
    return shown if low is None or high is None else f"{shown} [{low:{form}}, {high:{form}}]"


def main() -> None:
    """Print the table of the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m src.report.tuning", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder of a sweep")
    directory = parser.parse_args().directory
    try:
        if not directory.is_dir():
            raise InputError(f"{directory} is no folder; give the folder of a sweep.")
        cells = tuned(collect(directory))
        console = Console(width=None if Console().is_terminal else 160)
        console.print(table(cells))
        print(*lines(cells), sep="\n")
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
