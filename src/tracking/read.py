"""Reading a cell's directory back, whatever state it was left in."""

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

STATUS = "status.json"
ITEMS = "items.parquet"
CONFIG = "config.yaml"
METRICS = "metrics.json"
INTERVALS = "statistics.json"
"""With which settings and code the intervals in metrics.json were made."""
RECORDS = (CONFIG, METRICS, ITEMS, "receipt.json", "system.json", "environment.json")
"""Every record of a finished cell apart from its status."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as its directory shows it.

    Attributes:
        directory: Where it is.
        state: "done", "failed", "unsupported", "running", "killed" (its process is gone), or
            "unreadable" (its status file is no status).
        status: Content of status.json; empty where unreadable.
        config: The resolved settings; empty where missing.
        metrics: Records of metrics.json; an undefined value is None.
        receipt: Content of receipt.json; empty where missing.
        system: Content of system.json; empty where missing.
        environment: Content of environment.json; empty where missing.
    """

    directory: Path
    state: str
    status: dict[str, Any]
    config: dict[str, Any]
    metrics: list[dict[str, Any]]
    receipt: dict[str, Any]
    system: dict[str, Any]
    environment: dict[str, Any]


def read_cell(directory: Path) -> Cell:
    """Read a cell; what is missing or damaged is empty, never an error."""
    status = _table(directory / STATUS)
    metrics = _content(directory / METRICS)
    return Cell(
        directory=directory,
        state=_state(status),
        status=status,
        config=_table(directory / CONFIG),
        metrics=[row for row in metrics if isinstance(row, dict)]
        if isinstance(metrics, list)
        else [],
        receipt=_table(directory / "receipt.json"),
        system=_table(directory / "system.json"),
        environment=_table(directory / "environment.json"),
    )


def parse(path: Path) -> Any:
    """Give the content of a record; of items.parquet the number of rows.

    Raises:
        OSError: It is not there or cannot be read.
        ValueError: It is no whole file of its kind.
    """
    if path.suffix == ".parquet":
        import pyarrow.parquet

        # A parquet file ends with its footer, so one that was cut off has none.
        return pyarrow.parquet.read_metadata(path).num_rows
    if path.suffix == ".yaml":
        from omegaconf import OmegaConf
        from yaml import YAMLError

        try:
            content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        except YAMLError as error:
            raise ValueError(f"{path} is no YAML file") from error
        if not content:  # an empty file is valid YAML
            raise ValueError(f"{path} is empty")
        return content
    return json.loads(path.read_text(encoding="utf-8"))


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote `status` still runs; on another host it is assumed to."""
    if status.get("host") != socket.gethostname():
        return True
    with contextlib.suppress(psutil.Error, TypeError, ValueError):
        # Process ids are used again, so the time the process was born has to fit as well.
        born = psutil.Process(int(status["pid"])).create_time()
        return abs(born - float(status["pid_started"])) < 1
    return False


def _state(status: dict[str, Any]) -> str:
    state = status.get("state")
    if state in ("done", "failed", "unsupported"):
        return str(state)
    if state != "running":
        return "unreadable"
    return "running" if is_alive(status) else "killed"


def _content(path: Path) -> Any:
    try:
        return parse(path)
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, Any]:
    content = _content(path)
    return content if isinstance(content, dict) else {}
