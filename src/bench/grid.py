"""From the times of some cells to that of the paper's grid."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from src.bench.shapes import CELLS, CellShape


@dataclass(frozen=True, slots=True)
class CellTime:
    """What one cell took.

    Attributes:
        size: A name in `CELLS`.
        dtype: Of its weights.
        compression: "none" or "ptq".
        seconds: From the beginning of its records to their end.
        process_seconds: What its process took beside its cells: imports, reading the settings,
            hashing a checkpoint that lies in a folder.
        phases: Seconds of its phases.
        measured: More of its system.json.
    """

    size: str
    dtype: str
    compression: str
    seconds: float
    process_seconds: float
    phases: dict[str, float]
    measured: dict[str, Any]

    def told(self) -> str:
        """Say it in a line."""
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.phases.items())
        return f"{self.size} {self.dtype} {self.compression}: {self.seconds:.1f} s ({phases})"


def print_cells(times: Sequence[CellTime], console: Console) -> None:
    """Print a row a cell."""
    table = Table(box=box.SIMPLE_HEAD)
    columns = ("cell s", "load", "drift", "compress", "evaluate", "model", "of peak", "GPU GB")
    for column in ("size", "dtype", "compression"):
        table.add_column(column)
    for column in columns:
        table.add_column(column, justify="right")
    for one in times:
        share, memory = (
            one.measured.get(key) for key in ("share_of_peak", "peak_device_allocated_bytes")
        )
        table.add_row(
            one.size,
            one.dtype,
            one.compression,
            f"{one.seconds:.1f}",
            *(f"{one.phases[phase]:.1f}" for phase in ("load", "drift", "compress", "evaluate")),
            f"{one.measured.get('model_seconds') or math.nan:.1f}",
            "" if share is None else f"{share:.2f}",
            "" if memory is None else f"{memory / 1e9:.1f}",
        )
    console.print(table)


def weights(shape: CellShape) -> float:
    """Count the weights of a size's linear layers: what its time is about proportional to."""
    return 12.0 * shape.layers * shape.width**2 + shape.vocabulary * shape.width


def pair_seconds(times: Sequence[CellTime], dtype: str = "float32") -> dict[str, float]:
    """Give what both cells took of each size of the paper's that has both, dense and int8."""
    paper = [size for size, shape in CELLS.items() if shape.checkpoints]
    of_size = {size: [t for t in times if t.size == size and t.dtype == dtype] for size in paper}
    return {size: sum(t.seconds for t in both) for size, both in of_size.items() if len(both) == 2}


def grid_seconds(pairs: Mapping[str, float]) -> dict[str, float]:
    """Estimate what the cells of each size of the paper's grid take, dense and int8.

    A size that was not measured lies on the line through the two that are nearest to it in weights;
    with one measured size alone it takes as long a weight as that one, which is too little for
    smaller ones: part of a cell's time does not depend on the model.

    Args:
        pairs: As from `pair_seconds`, at least one.

    Returns:
        Size -> seconds for all its checkpoints.
    """
    found = {}
    for size, shape in CELLS.items():
        if not shape.checkpoints:
            continue
        here = weights(shape)
        near = sorted(pairs, key=lambda one: abs(math.log(weights(CELLS[one]) / here)))[:2]
        first, last = weights(CELLS[near[0]]), weights(CELLS[near[-1]])
        slope = pairs[near[0]] / first
        if first != last:
            slope = max((pairs[near[-1]] - pairs[near[0]]) / (last - first), 0.0)
        found[size] = shape.checkpoints * max(pairs[near[0]] + slope * (here - first), 0.0)
    return found


def tell_grid(times: Sequence[CellTime]) -> str:
    """Say what the paper's grid would take, and which of its sizes were measured."""
    if not (pairs := pair_seconds(times)):
        return "the paper's grid needs a dense and an int8 cell of one of its sizes, in float32"
    found = grid_seconds(pairs)
    parts = ", ".join(
        f"{size} {seconds / 60:.1f}{'' if size in pairs else ' (not measured)'}"
        for size, seconds in found.items()
    )
    cells = 2 * sum(shape.checkpoints for shape in CELLS.values())
    least = "at least " if len(pairs) == 1 else ""
    return (
        f"the paper's grid, {cells} cells dense and int8, on one such device: {least}"
        f"{sum(found.values()) / 60:.0f} minutes without downloads ({parts})"
    )
