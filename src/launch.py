"""Around Hydra: several processes, early checks, readable errors, the table at the end."""

import atexit
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Sequence

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from omegaconf.errors import OmegaConfBaseException

from src.schema import ROOT
from src.sweep import NoteDirectory, check_cells


def is_first_process() -> bool:
    """Whether this is the only process, or rank 0 of `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def prepare(arguments: Sequence[str]) -> list[str]:
    """Keep every process but the first from writing folders and logs of its own.

    Args:
        arguments: The command line after the program's name.

    Returns:
        The command line to give to Hydra.
    """
    if is_first_process():
        return list(arguments)
    scratch = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    kept = [argument for argument in arguments if not argument.startswith("hydra")]
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
    """
    asked = get_args_parser().parse_args(list(arguments))
    looks_only = asked.help or asked.hydra_help or asked.cfg or asked.info
    if not looks_only and is_first_process():
        with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            check_cells(asked.overrides)


def explain(error: Exception) -> str:
    """Say in a few lines what is wrong with a command line.

    Args:
        error: What Hydra or the checks raised.

    Returns:
        The message; for an unknown key, with the keys there are.
    """
    lines = [f"error: {str(error).split('Config search path:')[0].strip()}"]
    cause = error.__cause__
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
    """Print the table of the cells of this run or sweep."""
    directory = NoteDirectory.directory
    if directory is not None and is_first_process() and any(directory.rglob("status.json")):
        from src.report.terminal import print_sweep

        print_sweep(directory)
