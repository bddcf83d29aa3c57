"""The command that runs one cell of a sweep again."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from src.tracking.read import Cell, parse

PROGRAM = ("python", "-m", "src.main")
OVERRIDES, HYDRA = ".hydra/overrides.yaml", ".hydra/hydra.yaml"
"""What Hydra notes of each job, below the cell's folder."""
COMMIT = re.compile("[0-9a-f]{40}")


def command(cell: Cell) -> str:
    """Give the command line that makes this cell again, in a folder of its own.

    It has the cell's own overrides as Hydra noted them. A checkpoint of the hub is named by the
    commit that was loaded, as a branch may have moved since.

    Returns:
        One line for a POSIX shell; "" where Hydra's notes are not there.
    """
    overrides = _read(cell.directory / OVERRIDES)
    if not isinstance(overrides, list):
        return ""
    own = [str(override) for override in overrides]
    return shlex.join([*PROGRAM, *_sources(cell), *own, *_revision(cell, own)])


def started_in(cell: Cell) -> str:
    """Give the folder that the cell was started in, which relative paths are from; "" unknown."""
    return str(_runtime(cell).get("cwd") or "")


def sweep_commands(cells: list[Cell]) -> list[str]:
    """Give the command lines that ran the cells, each once, in the order of the cells."""
    found: dict[str, None] = {}
    for cell in cells:
        arguments = cell.environment.get("command")
        if isinstance(arguments, list) and arguments:
            found[shlex.join([*PROGRAM, *map(str, arguments[1:])])] = None
    return list(found)


def _sources(cell: Cell) -> Iterator[str]:
    """Give the flags that say where else the cell's config came from."""
    job = _part(_part(_hydra(cell), "job"), "config_name")
    if isinstance(job, str) and job != "config":
        yield from ("--config-name", job)
    arguments = cell.environment.get("command") or [""]
    usual = str(Path(str(arguments[0])).parents[1] / "conf") if arguments[0] else None
    for source in _runtime(cell).get("config_sources") or ():
        provider, path = _part(source, "provider"), str(_part(source, "path"))
        if provider == "command-line":
            yield from ("--config-dir", path)
        elif provider == "main" and usual is not None and path != usual:
            yield from ("--config-path", path)


def _revision(cell: Cell, overrides: list[str]) -> Iterator[str]:
    model = cell.environment.get("model")
    commit = model.get("commit") if isinstance(model, dict) else None
    named = any(override.lstrip("+").startswith("model.revision=") for override in overrides)
    if isinstance(commit, str) and COMMIT.fullmatch(commit) and not named:
        yield f"model.revision={commit}"


def _runtime(cell: Cell) -> dict[str, Any]:
    runtime = _part(_hydra(cell), "runtime")
    return runtime if isinstance(runtime, dict) else {}


def _hydra(cell: Cell) -> Any:
    return _part(_read(cell.directory / HYDRA), "hydra")


def _part(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, Mapping) else None


def _read(path: Path) -> Any:
    try:
        return parse(path)
    except (OSError, ValueError):
        return None
