"""What an experiment tracker is to the rest of the program; it knows no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.tracking.config import TrackerConfig, WandbConfig

if TYPE_CHECKING:
    import pandas as pd


class Tracker:
    """One cell's run in a tracker: `start`, some `log_*`, and `finish` in every case.

    A tracker overrides what it has something to do for; the methods here do nothing.

    The records on disk are written first and are what counts: apart from `start` refusing a wrong
    setting, no method raises because of the tracker.
    """

    def start(
        self,
        config: Mapping[str, Any],
        name: str,
        group: str,
        tags: Sequence[str],
        directory: Path,
        *,
        job: str = "cell",
        again: bool = False,
    ) -> None:
        """Open the run.

        Args:
            config: The cell's resolved settings.
            name: Shown name of the run.
            group: The sweep it belongs to.
            tags: Besides those of the settings.
            directory: The cell's directory; the tracker's own files go below it.
            job: What kind of run it is: "cell", "comparisons" or "training".
            again: Continue the run that was last opened in this directory, if there is one.

        Raises:
            InputError: The settings ask for what cannot be.
        """

    def log_metrics(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log the records of metrics.json under the names of `src.tracking.keys`."""

    def log_training(self, values: Mapping[str, float], step: int) -> None:
        """Log a point of a loss curve as `train/<name>` at an optimiser step."""

    def log_system(self, system: Mapping[str, Any]) -> None:
        """Log the content of system.json as `system/<name>`."""

    def log_receipt(self, receipt: Any) -> None:
        """Log the compression receipt as `receipt/<name>`."""

    def log_items(self, table: "pd.DataFrame") -> None:
        """Log the item table, where the settings ask for it."""

    def log_comparisons(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log a sweep's comparisons as a table, and the headline ones under stable names."""

    def log_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log a sweep's curves as history: a row a place on an axis."""

    def log_flips(self, table: "pd.DataFrame") -> None:
        """Log the items of a sweep that changed sides between a compressed cell and its twin."""

    def finish(self, state: str) -> None:
        """Close the run with the cell's state."""


class NoTracker(Tracker):
    """Tracks nothing: the records on disk are all there is."""


def build_tracker(config: TrackerConfig) -> Tracker:
    """Give the tracker that `config` asks for; W&B is imported only where it is used."""
    if isinstance(config, WandbConfig):
        from src.tracking.wandb_tracker import WandbTracker

        return WandbTracker(config)
    return NoTracker()
