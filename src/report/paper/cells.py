"""The cells that a table or figure is made from, as one tidy table with the paper's row names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from src.errors import InputError
from src.report.cells import collect, labels, own_metrics
from src.report.paper.config import PaperConfig
from src.tracking.fingerprint import flatten
from src.tracking.read import Cell

ABOUT = ("kind", "row", "variant", "model", "compression", "size", "step", "bytes", "bits")
RECORD = ("benchmark", "scorer", "category", "metric", "value", "ci_low", "ci_high", "n")
COLUMNS = (*ABOUT, *RECORD, "unit", "ideal", "directory")
STEP, SIZE = "model.step", "model.size"


@dataclass(frozen=True, slots=True)
class PaperCell:
    """A cell and what it is in the paper.

    Attributes:
        cell: As read from disk.
        kind: Of its sweep: "masked", "pythia" or "ladder".
        row: The paper's name of its model ("BERT base", "410M").
        variant: "fp32" or "int8", or the label of another compression.
        step: Pretraining step; None where the model has none.
    """

    cell: Cell
    kind: str
    row: str
    variant: str
    step: int | None

    @property
    def done(self) -> bool:
        """Whether it has numbers."""
        return self.cell.state == "done"

    def record(self, benchmark: str, category: str, metric: str) -> dict[str, Any] | None:
        """Give one record of metrics.json, of the cell's own scorer; None where it has none."""
        wanted = {"benchmark": benchmark, "category": category, "metric": metric}
        rows = own_metrics(self.cell)
        return next((row for row in rows if wanted.items() <= row.items()), None)


@dataclass(frozen=True, eq=False)
class PaperCells:
    """All cells of some of the paper's sweeps.

    Attributes:
        paper: Which cells stand for which rows.
        folders: Kind -> folder of its sweep, which need not exist.
        cells: Those that stand for a row, whatever state they are in.
    """

    paper: PaperConfig
    folders: Mapping[str, Path]
    cells: tuple[PaperCell, ...]

    def of(self, kind: str, row: str, variant: str) -> list[PaperCell]:
        """Give the finished cells of a row in a precision, by pretraining step."""
        wanted = (kind, row, variant)
        found = [one for one in self.cells if (one.kind, one.row, one.variant) == wanted]
        return sorted((one for one in found if one.done), key=lambda one: one.step or 0)

    def one(self, kind: str, row: str, variant: str, step: int | None = None) -> PaperCell | None:
        """Give the finished cell of a row in a precision (at a step); None where there is none.

        Raises:
            InputError: There are several, so that the row would be one of them by chance.
        """
        found = [one for one in self.of(kind, row, variant) if step in (None, one.step)]
        if len(found) > 1:
            raise InputError(
                f"{len(found)} cells stand for {row} {variant}: "
                f"{', '.join(str(one.cell.directory) for one in found)}. Remove the folders of "
                f"those that do not, or say more about the row in conf/paper ({kind})."
            )
        return found[0] if found else None

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a finished cell and record of metrics.json of its own scorer.

        Columns: `kind`, `row`, `variant`, `model`, `compression`, `size`, `step` (nullable
        integer), `bytes` (of the model in memory), `bits` (stored, a weight of the changed layers;
        NaN uncompressed), then those of metrics.json, and `directory`. SEAT's single tests have
        the category "gender/sent-weat6" and the metrics `effect_size` and `p_value`.
        """
        rows = [row for one in self.cells if one.done for row in _rows(one)]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        numbers = ("value", "ci_low", "ci_high", "n", "ideal", "bytes", "bits")
        kinds = {"step": "Int64"} | dict.fromkeys(numbers, "float64")
        return table.astype(kinds)


def paper_cells(paper: PaperConfig, folders: Mapping[str, Path]) -> PaperCells:
    """Read the cells of the paper's sweeps.

    Args:
        paper: Which cells stand for which rows.
        folders: Kind -> folder of its sweep; one that does not exist has no cells.
    """
    found = [
        one
        for kind, folder in folders.items()
        if folder.is_dir()
        for one in _named(paper, kind, collect(folder))
    ]
    return PaperCells(paper, dict(folders), tuple(found))


def _named(paper: PaperConfig, kind: str, cells: list[Cell]) -> Iterator[PaperCell]:
    """Find the rows of a sweep's cells; a cell may stand for several, or for none."""
    precisions = {compression: name for name, compression in paper.precisions.items()}
    for cell, label in zip(cells, labels(cells), strict=True):
        settings = flatten(cell.config)
        variant = precisions.get(label.compression, label.compression)
        for row, wanted in paper.rows(kind).items():
            if all(str(settings.get(key)) == str(value) for key, value in wanted.items()):
                yield PaperCell(cell, kind, row, variant, _whole(settings.get(STEP)))


def _rows(one: PaperCell) -> Iterable[dict[str, Any]]:
    cell, settings = one.cell, flatten(one.cell.config)
    about = {
        "kind": one.kind,
        "row": one.row,
        "variant": one.variant,
        "model": settings.get("model.name"),
        "compression": settings.get("compression.name"),
        "size": settings.get(SIZE),
        "step": one.step,
        "bytes": cell.system.get("model_bytes"),
        "bits": cell.receipt.get("stored_bits"),
        "directory": str(cell.directory),
    }
    for record in own_metrics(cell):
        yield about | {name: record.get(name) for name in (*RECORD, "unit", "ideal")}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
