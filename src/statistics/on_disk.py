"""What a finished cell's directory holds, as benchmarks and estimands again."""

import json

import pandas as pd

import src.benchmarks
from src.benchmarks.base import Benchmark
from src.benchmarks.registry import BENCHMARKS
from src.errors import InputError
from src.modules import import_modules
from src.statistics.cell import cell_estimands
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand
from src.tracking.read import INTERVALS, ITEMS, Cell

Key = tuple[str, str, str, str]
"""Benchmark, scorer, category and metric."""


def benchmarks_of(cell: Cell) -> dict[str, Benchmark]:
    """Build the benchmarks that a cell was asked, by the names it has them under.

    Raises:
        InputError: Its settings name none, or one that does not exist (any more).
    """
    import_modules(src.benchmarks)
    found = {}
    for name, settings in (cell.config.get("benchmark") or {}).items():
        kind = settings.get("kind")
        if kind not in BENCHMARKS:
            raise InputError(f"{cell.directory}: benchmark {name} is of an unknown kind, {kind}.")
        shape, build = BENCHMARKS[kind]
        try:
            found[str(name)] = build(shape(**settings))
        except TypeError as error:
            raise InputError(
                f"{cell.directory}: the settings of benchmark {name} are those of another version "
                f"of this program ({error})."
            ) from error
    if not found:
        raise InputError(f"{cell.directory}: its config.yaml names no benchmark.")
    return found


def estimands_of(cell: Cell, only: str | None = None) -> dict[Key, Estimand]:
    """Give a finished cell's metrics as functions of its items, by their keys.

    Args:
        cell: The cell.
        only: Name of the one benchmark whose metrics are wanted, which is quicker than all.

    Raises:
        InputError: Its items or settings are missing, or of another version.
    """
    path = cell.directory / ITEMS
    if not path.is_file():
        raise InputError(f"{path} is missing, so its numbers cannot be made again.")
    try:
        items = pd.read_parquet(path, filters=[("benchmark", "==", only)] if only else None)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    return {estimand.key: estimand for estimand in cell_estimands(benchmarks_of(cell), items)}


def settings_of(cell: Cell) -> StatisticsConfig:
    """Give the settings with which a cell's intervals were made last; by default the usual ones."""
    try:
        known = json.loads((cell.directory / INTERVALS).read_text(encoding="utf-8"))["settings"]
        return StatisticsConfig(**known)
    except (OSError, ValueError, KeyError, TypeError):
        # Not there yet, or of another version: then what the cell itself was run with.
        known = cell.config.get("statistics")
    return StatisticsConfig(**known) if isinstance(known, dict) else StatisticsConfig()
