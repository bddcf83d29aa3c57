"""Making the intervals of a finished cell anew from its items, without its model."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from src.benchmarks.base import Benchmark
from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.tracking.read import INTERVALS, ITEMS, read_cell
from src.tracking.records import METRIC_FIELDS, CellRecords


def refresh(
    records: CellRecords, benchmarks: Mapping[str, Benchmark], settings: StatisticsConfig
) -> bool:
    """Rewrite metrics.json where its intervals were made with other settings or other code.

    Args:
        records: Of a cell.
        benchmarks: The cell's, by name.
        settings: The wanted ones.

    Returns:
        Whether anything was written; never for a cell that is not done.

    Raises:
        InputError: The items lack a column that the intervals are made from.
    """
    cell = read_cell(records.directory)
    if cell.state != "done" or _made_with(records.directory) == made_with(settings):
        return False
    estimands = cell_estimands(benchmarks, pd.read_parquet(records.directory / ITEMS))
    known = [
        {name: record.get(name) for name in METRIC_FIELDS}
        | {"value": float("nan") if record.get("value") is None else record["value"]}
        for record in cell.metrics
    ]
    records.write_metrics(with_intervals(known, estimands, settings))
    records.write_json(INTERVALS, made_with(settings))
    return True


def made_with(settings: StatisticsConfig) -> dict[str, Any]:
    """Say what decides the intervals beside the items: the settings and the code."""
    return {"settings": asdict(settings), "code": _code()}


@functools.cache
def _code() -> str:
    # Comments count too, which costs a second a cell now and then.
    package = Path(__file__).parent
    files = sorted([*package.glob("*.py"), *(package.parent / "benchmarks").glob("*_units.py")])
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _made_with(directory: Path) -> Any:
    try:
        return json.loads((directory / INTERVALS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
