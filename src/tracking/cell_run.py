"""A cell's run in a tracker: opened as the cell begins, or logged again from its records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.tracking.config import TrackerConfig
from src.tracking.keys import cell_values
from src.tracking.read import ITEMS, Cell
from src.tracking.tracker import Tracker, build_tracker


def open_run(
    tracker: Tracker, config: Mapping[str, Any], directory: Path, again: bool = False
) -> None:
    """Open a cell's run, named and tagged by what it measures.

    Args:
        tracker: Not started yet.
        config: The cell's resolved settings.
        directory: Of the cell.
        again: Continue the run that the cell has, if it has one.

    Raises:
        InputError: The tracker's settings ask for what cannot be.
    """
    what = cell_values(config, directory.name)
    model, compression = str(what["cell/model"]), str(what["cell/compression"])
    scorers = [config["scorer"]["name"], *config["scorer"].get("also", [])]
    name = " ".join([f"{model}-{compression}", *_beside(directory.name, model, compression)])
    tags = [model, compression, *scorers]
    tracker.start(config, name, str(config["sweep"]), tags, directory, again=again)


def log_again(settings: TrackerConfig, cell: Cell, statistics: Mapping[str, Any]) -> None:
    """Log a cell that has ended from its records, into the run that it has.

    Args:
        settings: Of the tracker.
        cell: As it is on disk, done or unsupported.
        statistics: The settings with which its intervals were made, which may not be those that
            the cell was run with.

    Raises:
        InputError: The tracker's settings ask for what cannot be.
    """
    if settings.kind == "none":
        return
    import pandas as pd

    tracker = build_tracker(settings)
    open_run(tracker, cell.config | {"statistics": dict(statistics)}, cell.directory, again=True)
    if cell.state == "done":
        tracker.log_metrics(cell.metrics)
        tracker.log_system(cell.system)
        tracker.log_receipt(cell.receipt)
        tracker.log_items(pd.read_parquet(cell.directory / ITEMS))
    tracker.finish(cell.state)


def _beside(directory_name: str, model: str, compression: str) -> list[str]:
    """Give the settings in a cell's folder name that its model and compression do not tell."""
    told = {model, compression}
    settings = (part.partition("=") for part in directory_name.split(","))
    return [
        f"{key.rpartition('.')[2]}={value}"
        for key, _, value in settings
        if value and value not in told and key not in ("model", "compression")
        # A checkpoint's name has its size and step in it.
        if not (key.startswith("model.") and value in model)
    ]
