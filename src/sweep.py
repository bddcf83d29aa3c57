"""Names of sweeps and cells, and checks of all cells of a sweep before the first one runs."""

import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.schema import typed

UNNAMED = ("resume", "sweep", "tracker", "system.progress", "hydra")
"""Overrides that are no part of what a sweep measures, so that it keeps its name without them."""
LONGEST = 80


def register() -> None:
    """Register the resolvers that name sweeps and cells."""
    # Cached: Hydra hands a multirun's cache to its jobs, so all cells agree on the sweep's name.
    OmegaConf.register_new_resolver(
        "sweep_name", lambda: sweep_name(sys.argv[1:]), use_cache=True, replace=True
    )
    OmegaConf.register_new_resolver(
        "cell_name", lambda overrides: cell_name(overrides, sys.argv[1:]), replace=True
    )
    OmegaConf.register_new_resolver("model_name", lambda model: Path(str(model)).name, replace=True)


def sweep_name(arguments: Sequence[str]) -> str:
    """Name a sweep after its command, so that the same command continues it.

    Args:
        arguments: The command line after the program's name.
    """
    overrides = sorted(
        argument
        for argument in arguments
        if "=" in argument
        and not argument.startswith("-")
        and not argument.lstrip("+~").startswith(UNNAMED)
    )
    return slug(",".join(overrides))


def cell_name(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """Name a cell of a sweep by what sets it apart from the sweep's other cells.

    Args:
        overrides: The cell's own overrides.
        arguments: The sweep's command line; what stands there as it is holds for every cell.
    """
    return slug(",".join(sorted(set(overrides) - set(arguments))) or "cell")


def slug(text: str) -> str:
    """Make a readable folder name of any text; different texts get different names."""
    plain = re.sub(r"[^\w=.,+-]+", "-", text).strip("-.,") or "default"
    if plain == text and len(plain) <= LONGEST:
        return plain
    if not text:
        return plain
    return f"{plain[:LONGEST].rstrip('-.,')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_cells(overrides: Sequence[str]) -> None:
    """Compose and check a sweep's settings before its first cell runs.

    Every value of every axis is checked once, with the first values of the other axes, which is
    quick also for a sweep of thousands of cells.

    Args:
        overrides: As on the command line, sweeps included.

    Raises:
        InputError: A value is not possible.
    """
    axes = [_values(override) for override in OverridesParser.create().parse_overrides(overrides)]
    first = [values[0] for values in axes]
    typed(compose(overrides=first, config_name="config"))
    for index, values in enumerate(axes):
        for value in values[1:]:
            varied = [*first[:index], value, *first[index + 1 :]]
            typed(compose(overrides=varied, config_name="config"))


def _values(override: Override) -> list[str]:
    line = override.input_line or ""
    if not override.is_sweep_override():
        return [line]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


class NoteDirectory(Callback):
    """Tells the program where Hydra puts a run or sweep.

    Attributes:
        directory: The sweep's folder, or the cell's for a single run; None before Hydra starts.
    """

    directory: Path | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a single run's folder."""
        del kwargs
        NoteDirectory.directory = Path(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a sweep's folder."""
        del kwargs
        NoteDirectory.directory = Path(config.hydra.sweep.dir)
