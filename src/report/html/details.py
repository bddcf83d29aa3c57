"""Everything a cell's folder records, for the panel that opens when a cell is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.report.html.reproduce import command, started_in
from src.tracking.read import Cell

METRIC = (
    *("benchmark", "scorer", "category", "metric", "value", "ci_low", "ci_high", "unit", "n"),
    *("ideal", "reason", "ci_method", "mde"),
)


def details(cell: Cell) -> dict[str, Any]:
    """Give a cell's settings, receipt, environment, metrics and state as plain data."""
    status = {name: value for name, value in cell.status.items() if name != "parts"}
    receipt = {name: value for name, value in cell.receipt.items() if name != "changes"}
    return {
        "folder": str(cell.directory),
        "status": status,
        "config": cell.config,
        "receipt": receipt,
        "changes": _columns(cell.receipt.get("changes")),
        "system": cell.system,
        "environment": cell.environment,
        "metrics": {name: [row.get(name) for row in cell.metrics] for name in METRIC},
        "command": command(cell),
        "cwd": started_in(cell),
    }


def _columns(rows: Any) -> dict[str, list[Any]]:
    """Turn a list of mappings into columns, in the order of their names' first appearance."""
    members: Sequence[Mapping[str, Any]] = [
        row for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict)
    ]
    names = dict.fromkeys(name for row in members for name in row)
    return {name: [row.get(name) for row in members] for name in names}
