"""The files of a cell's directory: config.yaml, status.json, metrics.json, items.parquet, ...

Every file appears whole or not at all, and `status.json` says `done` only after all the others
are there, so a killed cell is never taken for a finished one.
"""

import dataclasses
import json
import os
import socket
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from src.errors import InputError, Unsupported
from src.tracking.atomic import remove_leftovers, replacing
from src.tracking.fingerprint import difference
from src.tracking.plain import plain
from src.tracking.read import (
    CONFIG,
    INTERVALS,
    ITEMS,
    METRICS,
    RECORDS,
    STATUS,
    Cell,
    parse,
    read_cell,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METRIC_FIELDS", "RECORDS", "Cell", "CellRecords", "read_cell"]

METRIC_FIELDS = (
    *("benchmark", "scorer", "category", "metric", "value", "unit", "n"),
    *("ci_low", "ci_high", "ideal", "kind", "reason", "ci_method", "mde"),
)
"""What each record of metrics.json holds, in this order."""


class CellRecords:
    """Writes the records of one cell."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is made before the first write.

        `started` tells whether the records in it are this run's.
        """
        self.directory = Path(directory)
        self.started = False

    def start(self, fingerprint: str, parts: Mapping[str, Any] | None = None) -> None:
        """Begin the cell: state `running`, and the records of an earlier run are removed.

        Args:
            fingerprint: Of this run.
            parts: What the fingerprint was made of, kept so that a later run with other settings
                can say which differ.

        Raises:
            InputError: The directory cannot be written to, another process on this host is
                running this cell in it, or it holds files of these names that are no cell's.
        """
        earlier = read_cell(self.directory)
        self._refuse_foreign_files(earlier)
        if earlier.state == "running" and earlier.status.get("host") == socket.gethostname():
            owner = earlier.status.get("pid")
            if owner != os.getpid():
                raise InputError(
                    f"{self.directory} is in use: process {owner} is running this cell. Wait for "
                    "it, stop it, or choose another output folder."
                )
        self._make_directory()
        # The status changes first: from here on nothing here counts as finished.
        status = {
            "state": "running",
            "fingerprint": fingerprint,
            "started": _now(),
            "ended": None,
            "error": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "pid_started": psutil.Process().create_time(),
            "parts": parts,
        }
        self.write_json(STATUS, status)
        self.started = True
        for name in (*RECORDS, INTERVALS):
            (self.directory / name).unlink(missing_ok=True)
        remove_leftovers(self.directory, (STATUS, *RECORDS, INTERVALS))

    def could_not_begin(self, config: Mapping[str, Any], error: BaseException) -> None:
        """Record a run that ended before it was known what it would measure.

        The results of an earlier, finished run are left as they are: with the model or the data
        out of reach for a moment, running a sweep again must not lose it.

        Raises:
            InputError: The directory cannot be written to, or is not this cell's.
        """
        if read_cell(self.directory).state != "done":
            self.start("")
            self.write_config(config)
            self.finish("unsupported" if isinstance(error, Unsupported) else "failed", error)

    def finish(
        self, state: Literal["done", "failed", "unsupported"], error: BaseException | None = None
    ) -> None:
        """End the cell; call it after everything else was written.

        Where `start` did not succeed this does nothing: the directory is another process's, or
        cannot be written to.

        Raises:
            InputError: The directory cannot be written to.
            ValueError: `state` is done, but a record is missing or damaged.
        """
        if not self.started:
            return
        if state == "done" and (faults := self._faults()):
            raise ValueError(f"{self.directory} cannot be marked done: {'; '.join(faults)}")
        status = dict(read_cell(self.directory).status)
        status |= {"state": state, "ended": _now(), "error": error and _describe(error)}
        self.write_json(STATUS, status)

    def unfinished_because(
        self, fingerprint: str, parts: Mapping[str, Any] | None = None
    ) -> str | None:
        """Say in one line why this cell has to be run, or None where it need not be.

        Args:
            fingerprint: Of the run that is wanted.
            parts: What it was made of, to name the settings that changed.
        """
        earlier = read_cell(self.directory)
        if not earlier.status:
            return "it was not run before"
        if not earlier.status.get("fingerprint"):
            return f"the earlier run is {earlier.state}"
        if earlier.status.get("fingerprint") != fingerprint:
            changed = difference(earlier.status.get("parts") or {}, parts) if parts else []
            return f"settings changed: {', '.join(changed) or 'which ones was not recorded'}"
        if earlier.state == "unsupported":
            return None
        if earlier.state != "done":
            return f"the earlier run is {earlier.state}"
        return "; ".join(self._faults()) or None

    def finished_with(self, fingerprint: str) -> bool:
        """Whether this cell is done with this fingerprint and all of its records are whole."""
        return self.unfinished_because(fingerprint) is None

    def write_config(self, config: Any) -> None:
        """Write the resolved settings (mapping, dataclass or DictConfig) to config.yaml.

        Raises:
            InputError: The directory cannot be written to.
        """
        from omegaconf import OmegaConf

        self._write_text(CONFIG, OmegaConf.to_yaml(OmegaConf.create(plain(config))))

    def write_json(self, name: str, content: Any) -> None:
        """Write a record; NaN and infinities become null.

        Raises:
            InputError: The directory cannot be written to.
            TypeError: `content` holds something that is no plain data.
        """
        text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
        self._write_text(name, text + "\n")

    def write_metrics(self, records: Iterable[Any]) -> None:
        """Write metrics.json; a value that is not finite becomes null and keeps its reason.

        Args:
            records: Mappings or dataclasses with the fields of `METRIC_FIELDS`.

        Raises:
            InputError: The directory cannot be written to.
            ValueError: A record lacks a field, or has one too many.
        """
        self.write_json(METRICS, [metric_record(record) for record in records])

    def write_items(self, table: "pd.DataFrame") -> None:
        """Write the item table, without its index, to items.parquet.

        Raises:
            InputError: The directory cannot be written to.
        """
        with replacing(self.directory / ITEMS) as handle:
            table.to_parquet(handle, index=False)

    def _write_text(self, name: str, text: str) -> None:
        with replacing(self.directory / name) as handle:
            handle.write(text.encode())

    def _refuse_foreign_files(self, earlier: Cell) -> None:
        foreign = [name for name in RECORDS if (self.directory / name).exists()]
        if foreign and not earlier.status:
            raise InputError(
                f"{self.directory} holds {', '.join(foreign)} but no {STATUS}: these are not this "
                "program's, and would be lost. Choose another output folder (hydra.run.dir)."
            )

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.directory} could not be made: {error.strerror}. Choose another output "
                "folder (hydra.run.dir, hydra.sweep.dir)."
            ) from error

    def _faults(self) -> list[str]:
        faults = []
        for name in RECORDS:
            try:
                parse(self.directory / name)
            except FileNotFoundError:
                faults.append(f"{name} is missing")
            except (OSError, ValueError):
                faults.append(f"{name} is damaged")
        return faults


def metric_record(record: Any) -> dict[str, Any]:
    """Give one record of metrics.json its fixed fields and order; undefined is None.

    Raises:
        ValueError: A field is missing, or there is one too many.
    """
    fields = dataclasses.asdict(record) if dataclasses.is_dataclass(record) else dict(record)  # type: ignore[arg-type]
    if set(fields) != set(METRIC_FIELDS):
        odd = sorted(set(fields) ^ set(METRIC_FIELDS))
        raise ValueError(f"a metric record has missing or unknown fields: {', '.join(odd)}")
    ordered = {name: plain(fields[name]) for name in METRIC_FIELDS}
    if ordered["value"] is None and not ordered["reason"]:
        ordered["reason"] = "undefined" if fields["value"] != fields["value"] else "infinite"
    return ordered


def _describe(error: BaseException) -> dict[str, str]:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
