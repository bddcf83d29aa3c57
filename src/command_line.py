"""The command line as every program reads it, before any config; it imports no heavy library."""

import atexit
import dataclasses
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from src.quiet import quiet_libraries

NOT_RUNS = ("help", "hydra_help", "cfg", "info", "shell_completion", "experimental_rerun")
"""Flags with which Hydra composes no new cell to run."""
PLACES = (
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir"),
    *("hydra.job_logging", "hydra.hydra_logging"),
)
"""Overrides that say where a process writes."""


UNWRITABLE = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
)
"""What the system says of a place that nothing can be written to."""


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


def key_of(override: str) -> str:
    """Give the dotted key of an override: of "+hydra/launcher@a=b", "hydra.launcher"."""
    return re.split("[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")


def overrides_in(arguments: Sequence[str]) -> list[str]:
    """Give the overrides on a command line, without its flags."""
    return [a for a in arguments if a.startswith("~") or ("=" in a and not a.startswith("-"))]


def explain(error: Exception, *confs: Path) -> str:
    """Say in a few lines what is wrong with a command line.

    Args:
        error: What Hydra or the checks raised.
        confs: The folders that the program's configs are in.

    Returns:
        The message; for an unknown key or option, with those there are.
    """
    lines = [f"error: {str(error).split('Config search path:')[0].strip()}"]
    if isinstance(error, MissingConfigException) and "Available options" not in lines[0]:
        # Hydra lists them for model=..., but not for one in a list as in benchmark=[...].
        group = Path(error.missing_cfg_file or "").parent
        options = [path for conf in confs for path in sorted((conf / group).glob("*.yaml"))]
        if group.name and options:
            lines += [f"the options of {group} there are:", *(f"  {path.stem}" for path in options)]
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


def explain_unwritable(error: Exception, setting: str) -> str:
    """Say what to do where Hydra cannot make a folder, or a file in it, before any job runs.

    Args:
        error: What came out of Hydra.
        setting: Which setting names the folder.

    Returns:
        The message.

    Raises:
        Exception: `error` itself, where it is of another kind.
    """
    # logging's own error of a log file that it cannot open only names the handler.
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError) or cause.errno not in UNWRITABLE:
        raise error
    return (
        f"error: {cause.filename or 'the output folder'} could not be written: {cause.strerror}. "
        f"Free some space there, or choose an output folder that can be written to ({setting})."
    )


def stop() -> NoReturn:
    """End a program that its user stopped (Ctrl-C) in a line, with the shell's code for that."""
    print("stopped; the same command goes on from here", file=sys.stderr)
    sys.exit(130)
