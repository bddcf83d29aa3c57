"""One Weights & Biases run a cell. W&B may fail as it likes; the cell goes on."""

import contextlib
import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import wandb

from src.errors import InputError
from src.tracking import agent
from src.tracking.config import WandbConfig
from src.tracking.credentials import choose_mode
from src.tracking.keys import cell_values, comparison_values, metric_values, scalars
from src.tracking.plain import plain
from src.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_unreachable: set[str] = set()
"""Servers that did not answer in this process: the sweep's next cells do not wait for them."""

INIT_TIMEOUT_S = 30.0
FINISH_TIMEOUT_S = 300.0
LONGEST_TAG = 64  # W&B refuses the whole run for a longer one, and for an empty one
LONGEST_NAME = 128


class WandbTracker(Tracker):
    """Logs a cell to W&B, online or to an offline run below the cell's directory."""

    def __init__(self, config: WandbConfig) -> None:
        """Keep the settings; nothing is started yet."""
        self._config = config
        self._directory = Path()
        self._run: Any = None
        self._warned = False
        self._scorer: str | None = None

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
        """Open the run; where the server does not answer, an offline run.

        Raises:
            InputError: `tracker.mode` is online, and there are no credentials.
        """
        self._directory = directory
        self._scorer = (config.get("scorer") or {}).get("name")
        about = {
            "name": _cut(name, LONGEST_NAME) or directory.name,
            "group": _cut(group, LONGEST_NAME),
            "tags": sorted({_cut(tag, LONGEST_TAG) for tag in (*tags, *self._config.tags)} - {""}),
            "dir": str(directory),
            "job_type": job,
            "config": plain(config),
        }
        try:
            mode = choose_mode(self._config.mode)
            self._run = self._open(about | self._place(again), mode)
        except InputError:
            raise
        except Exception as error:
            self._warn("start", error)
        else:
            online = not self._run.offline and mode == "online"
            log.info("W&B run %s: %s", name, self._run.url if online else self._run.dir)
            self._say_what(plain(config), job)

    def log_metrics(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log metrics as history, and so also in the summary."""
        self._attempt("log metrics", lambda run: run.log(metric_values(records, self._scorer)))

    def log_training(self, values: Mapping[str, float], step: int) -> None:
        """Log a point of a loss curve at its step."""
        named = {f"train/{name}": value for name, value in values.items()}
        self._attempt("log the loss", lambda run: run.log(named, step=step))

    def log_system(self, system: Mapping[str, Any]) -> None:
        """Put system metrics in the summary."""
        self._attempt("log system", lambda run: run.summary.update(scalars("system", system)))

    def log_receipt(self, receipt: Any) -> None:
        """Put the receipt in the summary."""
        self._attempt("log receipt", lambda run: run.summary.update(scalars("receipt", receipt)))

    def log_items(self, table: "pd.DataFrame") -> None:
        """Log the item table (its first `max_rows` rows) where `log_items` is on."""
        if self._config.log_items:
            with _data_below(self._directory):
                self._attempt("log items", lambda run: run.log({"items": self._table(table)}))

    def log_comparisons(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log a sweep's comparisons as a table, and the headline ones in the summary."""
        flat = [_flat(row) for row in rows]
        columns = sorted({name for row in flat for name in row})
        data = [[row.get(name) for name in columns] for row in flat]

        def log_both(run: Any) -> None:
            run.summary.update(comparison_values(rows))
            run.log({"comparisons": wandb.Table(columns=columns, data=data)})

        with _data_below(self._directory):
            self._attempt("log comparisons", log_both)

    def log_curves(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log each row as a step of the run's history."""
        for row in rows:
            self._attempt("log curves", functools.partial(_log, row))

    def log_flips(self, table: "pd.DataFrame") -> None:
        """Log the first `max_rows` items that changed sides as a table."""
        with _data_below(self._directory):
            self._attempt("log flips", lambda run: run.log({"flips": self._table(table)}))

    def finish(self, state: str) -> None:
        """Close the run: exit code 0 where the cell is done or unsupported, 1 otherwise."""
        failed = state not in ("done", "unsupported")
        self._attempt("log the state", lambda run: run.summary.update({"state": state}))
        self._attempt("finish", lambda run: run.finish(exit_code=int(failed)))
        if self._run is not None and agent.of_agent():
            agent.leave()
        self._run = None

    def _say_what(self, config: dict[str, Any], job: str) -> None:
        """Name the cell in the summary, and save settings that a W&B sweep's values hide."""
        if job == "cell":
            values = cell_values(config, self._directory.name)
            self._attempt("log what it is", lambda run: run.summary.update(values))
        if agent.of_agent() and (hidden := agent.hidden(config, dict(self._run.config))):
            self._attempt("log settings", lambda run: run.config.update({"settings": hidden}))

    def _place(self, again: bool) -> dict[str, Any]:
        """Say which run of which project it is; an agent of a W&B sweep knows both by itself."""
        if agent.of_agent():
            return {}
        place = {"project": self._config.project, "entity": self._config.entity}
        earlier = _last_run(self._directory) if again else None
        return place | ({"id": earlier, "resume": "allow"} if earlier else {})

    def _open(self, about: dict[str, Any], mode: str) -> Any:
        server = str(wandb.setup(_settings()).settings.base_url)
        if mode == "online" and server not in _unreachable:
            earlier = set(self._directory.glob("wandb/run-*"))
            try:
                return wandb.init(**about, mode="online", reinit="create_new", settings=_settings())
            except Exception as error:
                _unreachable.add(server)
                self._warn(f"reach {server}, so this sweep is kept offline", error)
                # What the attempt left would be uploaded by `wandb sync` as an empty second run.
                for attempt in set(self._directory.glob("wandb/run-*")) - earlier:
                    shutil.rmtree(attempt, ignore_errors=True)
        local: Literal["disabled", "offline"] = "disabled" if mode == "disabled" else "offline"
        return wandb.init(**about, mode=local, reinit="create_new", settings=_settings())

    def _table(self, table: "pd.DataFrame") -> Any:
        rows = table.head(self._config.max_rows)
        return wandb.Table(columns=list(rows), data=plain(rows.to_numpy(object)))

    def _attempt(self, what: str, action: Callable[[Any], object]) -> None:
        if self._run is not None:
            try:
                action(self._run)
            except Exception as error:
                self._warn(what, error)

    def _warn(self, what: str, error: Exception) -> None:
        """Warn once a cell: what follows the first failure is mostly the same failure."""
        if not self._warned:
            self._warned = True
            log.warning(
                "W&B could not %s: %s: %s. The cell goes on; its records on disk do not need W&B.",
                *(what, type(error).__name__, " ".join(str(error).split())),
            )


def _log(row: Mapping[str, float], run: Any) -> None:
    run.log(dict(row))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Put what nests in a comparison beside its other fields; a table's cells are single values."""
    joint = {f"joint_{k}": v for k, v in (row.get("joint") or {}).items() if k != "covariance"}
    return {k: v for k, v in row.items() if k != "joint"} | joint


def _last_run(directory: Path) -> str | None:
    """Give the id of the run that was last opened in a directory, online or offline."""
    # W&B calls its folders [offline-]run-<date>_<time>-<id>.
    folders = [path.name.removeprefix("offline-") for path in directory.glob("wandb/*run-*-*")]
    return max(folders).split("-", 2)[2] if folders else None


def _cut(text: str, most: int) -> str:
    return text.strip()[:most].strip()


def _settings() -> wandb.Settings:
    # Nothing printed, nothing captured: the terminal and its log belong to Hydra. Uploading what
    # is left must not hold the next cell for ever when the network goes.
    wanted = {"silent": True, "console": "off", "finish_timeout": FINISH_TIMEOUT_S}
    if "WANDB_INIT_TIMEOUT" not in os.environ:
        wanted["init_timeout"] = INIT_TIMEOUT_S
    # The oldest W&B that is supported has no finish_timeout, and refuses what it does not know.
    return wandb.Settings(**{k: v for k, v in wanted.items() if k in wandb.Settings.model_fields})


@contextlib.contextmanager
def _data_below(directory: Path) -> Iterator[None]:
    """Keep the files of an offline run's tables with the run and not in the user's home."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(directory / "wandb" / "data")
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]
