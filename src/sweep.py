"""Names of sweeps and cells, and checks of all cells of a sweep before the first one runs."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src.choices import one_of
from src.command_line import key_of, overrides_in
from src.errors import InputError
from src.measured import changes_numbers
from src.schema import Config, typed

LONGEST = 80
"""Most bytes of a readable name; a hash of 9 may follow, and file systems take 255."""
AGENT = "WANDB_SWEEP_ID"
"""Set in the environment where an agent of a W&B sweep starts a cell."""
SOURCES = {"-cd": "--config-dir", "-cn": "--config-name", "-cp": "--config-path"}
"""Flags that say where a config is composed from, so that they are part of a sweep's name."""


def register() -> None:
    """Register the resolvers that name sweeps and cells."""
    from src.paper import naming  # which names its own sweeps with the functions of this module

    # Cached: Hydra hands a multirun's cache to its jobs, which may run on another machine, so all
    # cells agree on what was asked for.
    OmegaConf.register_new_resolver(
        "command_line", lambda: list(sys.argv[1:]), use_cache=True, replace=True
    )
    OmegaConf.register_new_resolver(
        "sweep_name",
        lambda arguments: sweep_name(arguments, os.environ.get(AGENT)),
        use_cache=True,
        replace=True,
    )
    OmegaConf.register_new_resolver(
        "run_name",
        lambda overrides: run_name(overrides, os.environ.get(AGENT)),
        use_cache=True,
        replace=True,
    )
    OmegaConf.register_new_resolver("cell_name", cell_name, replace=True)
    OmegaConf.register_new_resolver("paper_sweep", naming.paper_sweep, replace=True)
    OmegaConf.register_new_resolver("paper_cell", naming.paper_cell, replace=True)
    OmegaConf.register_new_resolver("model_name", lambda model: Path(str(model)).name, replace=True)


def sweep_name(arguments: Sequence[str], agent: str | None = None) -> str:
    """Name a sweep after its command, so that the same command continues it.

    Args:
        arguments: The command line after the program's name.
        agent: Id of the W&B sweep whose agent started this cell: its cells are one sweep.
    """
    if agent:
        return slug(f"wandb-{agent}")
    # These set debug.dry and debug.plan and nothing else.
    kept = [
        override
        for override in overrides_in(arguments)
        if changes_numbers(key_of(override)) and override not in ("debug=dry", "debug=plan")
    ]
    # Long paths come last, because a long name is cut.
    return slug(joined(",".join([*sorted(kept), *sorted(_sources(arguments), key=len)])))


def run_name(overrides: Sequence[str], agent: str | None = None) -> str:
    """Name the cell of a run that is no multirun.

    Args:
        overrides: The cell's own.
        agent: Id of the W&B sweep whose agent started it: then its settings tell it from others.
    """
    own = sorted(override for override in overrides if key_of(override) != "sweep")
    return slug(joined(",".join(own))) if agent and own else "cell"


def cell_name(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """Name a cell of a sweep by what sets it apart from the sweep's other cells.

    Args:
        overrides: The cell's own overrides.
        arguments: The sweep's command line; what stands there as it is holds for every cell.
    """
    return slug(joined(",".join(sorted(apart(overrides, arguments))) or "cell"))


def apart(overrides: Sequence[str], arguments: Sequence[str]) -> set[str]:
    """Leave out those of a cell's overrides that its sweep's command line has for every cell."""
    parsed = OverridesParser.create().parse_overrides(overrides_in(arguments))
    # Hydra gives a cell its overrides in a form of its own: [a, b] is [a,b], ~key is ~key=null.
    shared = {
        f"{override.get_key_element()}={override.get_value_element_as_str()}"
        for override in parsed
        if not override.is_sweep_override()
    }
    return set(overrides) - shared - set(arguments)


def slug(text: str) -> str:
    """Make a readable folder name of any text; different texts get different names."""
    plain = re.sub(r"(?:[^\w=.,+-]|\.{2,})+", "-", text).strip("-.,") or "default"
    short = plain.encode()[:LONGEST].decode(errors="ignore")
    if not text or short == text:
        return short
    return f"{short.rstrip('-.,')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def joined(text: str) -> str:
    """Write a list of plain words as a folder's name can hold it: [a, b] as a+b."""
    words = r"\[(\w[\w.-]*(?:, *\w[\w.-]*)+)\]"
    return re.sub(words, lambda found: re.sub(", *", "+", found[1]), text)


def _sources(arguments: Sequence[str]) -> Iterator[str]:
    for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
        flag, equals, value = argument.partition("=")
        flag = SOURCES.get(flag, flag)
        if flag in SOURCES.values():
            yield f"{flag.lstrip('-')}={value if equals else following}"


def check_cells(
    overrides: Sequence[str], multirun: bool = False, config_name: str = "config"
) -> dict[str, list[str]]:
    """Compose and check a sweep's settings before its first cell runs; Hydra must be initialized.

    Every value of every axis is checked once, with the first values of the other axes, which is
    quick also for a sweep of thousands of cells.

    Args:
        overrides: As on the command line, sweeps included.
        multirun: Whether they are a multirun's for sure; a config or an override can say so too.
        config_name: The primary config.

    Returns:
        By key the overrides that each stands for: all combinations are the sweep's cells.

    Raises:
        InputError: A value is not possible, or an axis has none.
        HydraException: A key, option or type is wrong.
    """
    axes = axes_of(overrides, multirun, config_name)
    first = [values[0] for values in axes.values()]
    _check(first, config_name)
    for index, values in enumerate(axes.values()):
        for value in values[1:]:
            _check([*first[:index], value, *first[index + 1 :]], config_name)
    return axes


def axes_of(
    overrides: Sequence[str], multirun: bool = False, config_name: str = "config"
) -> dict[str, list[str]]:
    """Find what a command sweeps over; Hydra must be initialized.

    Args:
        overrides: As on the command line, sweeps included.
        multirun: Whether they are a multirun's for sure; a config or an override can say so too.
        config_name: The primary config.

    Returns:
        By key the overrides that each stands for: all combinations are the sweep's cells.

    Raises:
        InputError: An axis has no value.
        HydraException: A key, option or type is wrong.
    """
    axes = _axes(overrides)
    # A setting may be one of an option that the config itself sweeps over; options are none.
    first = [v[0] for key, v in axes.items() if "." not in key or key.startswith("hydra.")]
    settings = compose(config_name, first, return_hydra_config=True).hydra
    if multirun or settings.mode == RunMode.MULTIRUN:
        # A config can sweep by itself; the command line goes before it.
        own = OmegaConf.select(settings, "sweeper.params") or {}
        axes = _axes([f"{key}={value}" for key, value in own.items()]) | axes
    return axes


def _check(overrides: list[str], config_name: str) -> None:
    config = compose(config_name, overrides)
    if OmegaConf.get_type(config) is not Config:
        raise InputError(f"config {config_name} lacks `schema` as the first of its defaults.")
    settings = typed(config)
    # A rule and its yaml have one name; the rules themselves would bring torch along.
    loader = GlobalHydra.instance().config_loader()
    for rule in settings.scorer.also:
        one_of("scorer.also", rule, loader.get_group_options("scorer"))
    name = settings.sweep
    if not name or name in (".", "..") or "/" in name or len(name.encode()) > 255:
        raise InputError(
            f"sweep={name} is not possible: it is the name of one folder in multirun/; use "
            "hydra.sweep.dir=FOLDER or hydra.run.dir=FOLDER for one elsewhere."
        )


def _axes(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Give by key the overrides that each stands for; of a swept one, one a value."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    axes = {}
    for override in parser.parse_overrides(list(overrides)):
        if not override.is_sweep_override():
            axes[override.get_key_element()] = [str(override.input_line)]
        elif override.is_discrete_sweep():  # an interval is for the sweeper to take values from
            axes[override.get_key_element()] = _values(override)
    return axes


def _values(override: Override) -> list[str]:
    """Write out a swept override.

    Raises:
        InputError: It has no value.
    """
    key = override.get_key_element()
    try:
        values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    except ValueError as error:  # as Python's range says it
        raise InputError(f"{override.input_line} is not possible: {error}.") from error
    if not values:
        raise InputError(f"{override.input_line} has no value, so there is nothing to run.")
    return values


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
        # Read here, the command line is known to jobs in other processes, which have their own.
        _ = config.hydra.sweep.subdir
