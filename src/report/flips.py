"""flips.parquet: every item that changed sides between a compressed cell and its twin."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from src.errors import InputError
from src.report.cells import labels, twin
from src.statistics.comparable import check_comparable
from src.statistics.flip_tests import flipped
from src.statistics.flips import write
from src.statistics.sides import matched
from src.tracking.read import ITEMS, Cell

FILE = "flips.parquet"


def write_flips(directory: Path, cells: Sequence[Cell]) -> None:
    """Write the flipped items of all twins of a sweep; without any there is no file.

    A row is an item and comparison, as `src.statistics.sides.matched` has them, with `moved` (how
    far the margin went) and `cell` (the label of the compressed one).

    Args:
        directory: Of the sweep.
        cells: All of its cells.

    Raises:
        InputError: The directory cannot be written to.
    """
    parts = list(_flips(cells))
    if not parts:
        (directory / FILE).unlink(missing_ok=True)
        return
    write(pd.concat(parts, ignore_index=True), directory / FILE)


def read_flips(directory: Path) -> pd.DataFrame:
    """Read a sweep's flips.parquet; empty where there is none."""
    path = directory / FILE
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _flips(cells: Sequence[Cell]) -> Iterator[pd.DataFrame]:
    for cell, label in zip(cells, labels(cells), strict=True):
        uncompressed = twin(cell, cells) if cell.state == "done" else None
        if uncompressed is None:
            continue
        try:
            check_comparable(uncompressed, cell)
            both = (pd.read_parquet(each.directory / ITEMS) for each in (uncompressed, cell))
            rows = flipped(matched(*both))
        except (InputError, OSError, ValueError):
            continue  # comparisons.json says why these two cannot be compared
        if len(rows):
            yield rows.assign(cell=label.text)
