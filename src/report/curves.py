"""The headline numbers along a sweep's axes, as a tracker draws curves."""

from collections.abc import Iterable, Mapping
from typing import Any

from src.report.cells import own_metrics
from src.statistics.series import series
from src.tracking.keys import HEADLINES, axis_key, curve_key, metric_values
from src.tracking.read import Cell


def curves(cells: Iterable[Cell]) -> list[dict[str, float]]:
    """Give a row for each place on each axis of a sweep, with the numbers of all series there.

    Args:
        cells: Of the sweep.

    Returns:
        Rows in the order of the axes and places, named as `src.tracking.keys` says; none where
        the sweep has no axis of three cells.
    """
    rows: dict[tuple[str, float], dict[str, float]] = {}
    taken: set[tuple[str, str]] = set()
    for one in series(cells):
        label, number = one.label, 1
        while (one.axis, label) in taken:  # series that differ in a setting without a word for it
            number += 1
            label = f"{one.label} {number}"
        taken.add((one.axis, label))
        for at, cell in zip(one.at, one.cells, strict=True):
            row = rows.setdefault((one.axis, at), {axis_key(one.axis): at})
            values = _headline_values(cell)
            row |= {curve_key(one.axis, label, name): value for name, value in values.items()}
    return [rows[place] for place in sorted(rows)]


def _headline_values(cell: Cell) -> dict[str, float]:
    chosen: list[Mapping[str, Any]] = [
        record for record in own_metrics(cell) if record.get("metric") in HEADLINES
    ]
    return metric_values(chosen)
