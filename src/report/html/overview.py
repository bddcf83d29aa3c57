"""What the report's tables and plots are drawn from: cells, metrics, comparisons, series."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.report.cells import Label, own_metrics
from src.report.comparisons import Sweep
from src.report.html.summary import tone
from src.report.main_table import Row
from src.statistics.config import StatisticsConfig
from src.statistics.series import series
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

COMPARED = (
    *("benchmark", "scorer", "category", "metric", "kind", "unit", "n", "value_a", "value_b"),
    *("difference", "ci_low", "ci_high", "p", "p_holm", "q_bh", "margin", "mde"),
    *("distance_difference", "distance_ci_low", "distance_ci_high"),
    *("flips_to_stereo", "flips_to_anti", "family", "verdict", "conclusion", "test", "ci_method"),
)
"""Fields of a comparison that the report shows."""


def overview(rows: Sequence[Row], sweep: Sweep, directory: Path) -> dict[str, Any]:
    """Give everything that is needed at once as plain data; items and records come on demand.

    Args:
        rows: The sweep's cells with their labels and twins.
        sweep: Their comparisons.
        directory: Of the sweep.
    """
    cells = [row.cell for row in rows]
    places = {path(cell, directory): index for index, cell in enumerate(cells)}
    settings = sweep.settings or StatisticsConfig()
    return {
        "sweep": sweep.name,
        "settings": asdict(settings),
        "short": HEADLINES,
        "cells": [_cell(row, places, directory) for row in rows],
        "metrics": _metrics(cells),
        "comparisons": _comparisons(sweep, places, settings.alpha),
        "series": [
            {
                "axis": one.axis,
                "label": one.label,
                "at": one.at,
                "cells": [places[path(cell, directory)] for cell in one.cells],
            }
            for one in series(cells)
        ],
    }


def path(cell: Cell, directory: Path) -> str:
    """Give a cell's folder as comparisons.json names it."""
    return cell.directory.relative_to(directory).as_posix()


def model_bytes(cell: Cell) -> float | None:
    """Give a model's size in memory, as measured; None where unknown."""
    size = cell.system.get("model_bytes", cell.receipt.get("memory_bytes_after"))
    return float(size) if isinstance(size, int | float) else None


def _cell(row: Row, places: Mapping[str, int], directory: Path) -> dict[str, Any]:
    label: Label = row.label
    return {
        "model": label.model,
        "compression": f"{label.compression} {label.settings}".strip(),
        "state": row.cell.state,
        "folder": path(row.cell, directory),
        "twin": places[path(row.twin, directory)] if row.twin else None,
        "dense": row.cell.receipt.get("method") == "none",
        "bytes": model_bytes(row.cell),
        "disk": row.cell.receipt.get("disk_bytes"),
        "bits": row.cell.receipt.get("stored_bits"),
        "seconds": row.cell.system.get("evaluate_seconds"),
    }


def _metrics(cells: Sequence[Cell]) -> dict[str, Any]:
    """Put the metrics of all cells' own scorers into columns, a row a metric."""
    keys: dict[tuple[str, ...], int] = {}
    about: list[dict[str, Any]] = []
    columns: dict[str, list[list[Any]]] = {"value": [], "ci_low": [], "ci_high": [], "n": []}
    for index, cell in enumerate(cells):
        for record in own_metrics(cell):
            if record.get("kind") == "count":
                continue
            names = ("benchmark", "category", "metric")
            key = tuple(str(record.get(name)) for name in names)
            if key not in keys:
                keys[key] = len(keys)
                about.append({name: record.get(name) for name in (*names, "kind", "unit", "ideal")})
                for column in columns.values():
                    column.append([None] * len(cells))
            for name, column in columns.items():
                column[keys[key]][index] = record.get(name)
    return {"about": about, **columns}


def _comparisons(sweep: Sweep, places: Mapping[str, int], alpha: float) -> dict[str, Any]:
    """Put the comparisons into columns; texts that repeat are named once."""
    known = [row for row in sweep.rows if row["cell_a"] in places and row["cell_b"] in places]
    columns: dict[str, Any] = {
        "a": [places[row["cell_a"]] for row in known],
        "b": [places[row["cell_b"]] for row in known],
        "tone": _named(tone(row, alpha) for row in known),
        "reading": _named((row.get("joint") or {}).get("reading") or "" for row in known),
    }
    for name in COMPARED:
        values = [row.get(name) for row in known]
        texts = any(isinstance(value, str) for value in values)
        columns[name] = _named(value or "" for value in values) if texts else values
    return {"n": len(known), "columns": columns}


def _named(values: Iterable[str]) -> dict[str, Any]:
    """Write a column of texts as the different ones and each row's place among them."""
    texts: dict[str, int] = {}
    rows = [texts.setdefault(value, len(texts)) for value in values]
    return {"names": list(texts), "rows": rows}
