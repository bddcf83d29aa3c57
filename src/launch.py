"""Around Hydra: several processes, early checks, readable errors, the table at the end."""

import argparse
import atexit
import dataclasses
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra._internal.utils import (
    compute_search_path_dir,
    create_config_search_path,
    get_args_parser,
)
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from src.ahead import expect_models
from src.checkpoints import expect
from src.errors import InputError
from src.progress import CELLS
from src.quiet import quiet_libraries
from src.schema import ROOT
from src.sweep import NoteDirectory, check_cells, key_of

NOT_RUNS = ("help", "hydra_help", "cfg", "info", "shell_completion", "experimental_rerun")
"""Flags with which Hydra composes no new cell to run."""
PLACES = (
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir"),
    *("hydra.job_logging", "hydra.hydra_logging"),
)
"""Overrides that say where a process writes."""


def is_first_process() -> bool:
    """Whether this is the only process, or rank 0 of `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def is_plan(arguments: Sequence[str]) -> bool:
    """Whether a command line asks what its cells would cost, which leaves nothing behind."""
    return any(argument in ("debug=plan", "debug.plan=true") for argument in arguments)


def prepare(arguments: Sequence[str]) -> list[str]:
    """Keep every process but the first from writing folders and logs of its own, and any plan.

    All else stays as it is, so that every process runs the same cells in the same order.

    Args:
        arguments: The command line after the program's name.

    Returns:
        The command line to give to Hydra.
    """
    quiet_libraries()
    if is_first_process() and not is_plan(arguments):
        return list(arguments)
    scratch = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    kept = [argument for argument in arguments if not key_of(argument).startswith(PLACES)]
    return [
        *kept,
        f"hydra.run.dir={scratch}",
        f"hydra.sweep.dir={scratch}",
        "hydra.output_subdir=null",
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
    ]


def check(arguments: Sequence[str]) -> None:
    """Check the cell, or all cells of a sweep, before anything runs.

    Raises:
        InputError: A value is not possible.
        HydraException: A key, option or type is wrong.
        OmegaConfBaseException: A value refers to something that is not there.
    """
    asked = get_args_parser().parse_args(list(arguments))
    if not is_first_process() or any(getattr(asked, name) for name in NOT_RUNS):
        return
    if asked.config_dir is not None and not Path(asked.config_dir).is_dir():
        return  # Hydra says so itself
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        if asked.config_path is not None or asked.config_dir is not None:
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2("main", _search_path(asked))
        name = asked.config_name or "config"
        axes = check_cells(asked.overrides, asked.multirun, name)
        expect(axes, name)
        CELLS.total = math.prod(map(len, axes.values()))
        expect_models(axes, name)


def _search_path(asked: argparse.Namespace) -> ConfigSearchPath:
    """Look for configs where Hydra does when it is started with these arguments."""
    # A relative path is one from the file that the program starts in.
    start = str(ROOT / "src" / "main.py")
    main = compute_search_path_dir(start, None, asked.config_path or str(ROOT / "conf"))
    path = create_config_search_path(main)
    if asked.config_dir is not None:
        folder = f"file://{Path(asked.config_dir).absolute()}"
        path.prepend("command-line", folder, SearchPathQuery(provider="schema"))
    return path


def explain(error: Exception) -> str:
    """Say in a few lines what is wrong with a command line.

    Args:
        error: What Hydra or the checks raised.

    Returns:
        The message; for an unknown key or option, with those there are.
    """
    lines = [f"error: {str(error).split('Config search path:')[0].strip()}"]
    if isinstance(error, MissingConfigException) and "Available options" not in lines[0]:
        # Hydra lists them for model=..., but not for one in a list as in benchmark=[...].
        group = Path(error.missing_cfg_file or "").parent
        options = sorted((ROOT / "conf" / group).glob("*.yaml")) if group.name else []
        lines += [f"the options of {group} there are:"] * bool(options)
        lines += [f"  {path.stem}" for path in options]
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        first_line = str(cause.msg or cause).splitlines()[0]
        lines = [f"error: {cause.full_key or cause.key}: {first_line}"]
        shape = cause.object_type
        if shape is not None and dataclasses.is_dataclass(shape) and "not in" in first_line:
            fields = dataclasses.fields(shape)
            lines.append("the keys there are:")
            lines += [f"  {field.name}: {field.metadata.get('help', '')}" for field in fields]
    return "\n".join(lines)


def conclude() -> None:
    """Print the table of the cells of this run or sweep, or the total of a plan."""
    if "src.forecast" in sys.modules:
        from src.forecast import print_total

        print_total()
    directory = NoteDirectory.directory
    if directory is not None and is_first_process() and any(directory.rglob("status.json")):
        from src.report.agreement import write_agreement
        from src.report.axes import write_axes
        from src.report.cells import collect
        from src.report.comparisons import track
        from src.report.compression import print_compressions
        from src.report.flips import write_flips
        from src.report.terminal import print_sweep

        cells = collect(directory)
        for write in (write_axes, write_agreement, write_flips):
            try:
                write(directory, cells)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
        compared = print_sweep(directory)
        # One compression and its dense twin are told in full by the table above.
        print_compressions(directory, least=2)
        if compared is not None and compared.changed:
            track(compared, directory)
