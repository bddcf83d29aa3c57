"""The other interpreter: which it is, what it has installed, and running a script in it."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path

from src.errors import InputError, Unsupported

DEFAULT = Path(__file__).parents[3] / ".venv-gptq" / "bin" / "python"
"""What `make gptq-env` makes."""
LIBRARIES = ("gptqmodel", "torch", "transformers")
_ASK = (
    "import importlib.metadata as m, json; "
    f"print(json.dumps({{name: m.version(name) for name in {LIBRARIES}}}))"
)
_FOREIGN = re.compile(
    "PYTHON|ACCELERATE_|TORCHELASTIC_|MASTER_|(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)$"
)
"""Variables that are about this process and its fellows, which the other one is not among."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LAST_LINES = 12


def find_interpreter(python: str | None) -> Path:
    """Give the interpreter that has gptqmodel.

    Args:
        python: `compression.python`; None for the one that `make gptq-env` makes.

    Raises:
        Unsupported: There is none, and no other was named.
        InputError: The one that was named is not there.
    """
    found = DEFAULT if python is None else Path(python).expanduser().absolute()
    if found.is_file():
        return found
    # As where a library of this environment is missing: the rest of the sweep can do without it.
    if python is None:
        raise Unsupported(_how_to_get())
    raise InputError(f"compression.python={python} is no file. {_how_to_get()}")


def versions(python: str | None) -> dict[str, str]:
    """Ask the interpreter for the versions of what decides its numbers.

    Args:
        python: `compression.python`.

    Returns:
        Name -> version; the names of what this environment has too say that it is the other's.

    Raises:
        Unsupported: There is no interpreter, and none was named.
        InputError: The one that was named is not there, or it does not run or has no gptqmodel.
    """
    interpreter = find_interpreter(python)
    found = _ask(interpreter, interpreter.stat().st_mtime_ns)
    return {name if name == "gptqmodel" else f"gptqmodel's {name}": found[name] for name in found}


def run(
    interpreter: Path, script: Path, argument: Path, log: Path, env: dict[str, str], timeout: float
) -> int:
    """Run a script in the other interpreter, what it prints going to a file.

    Args:
        interpreter: As from `find_interpreter`.
        script: The script; it may import nothing of this project.
        argument: A file; its folder is the working directory.
        log: Where standard output and error go.
        env: Variables that are set beside those of this process.
        timeout: Seconds; 0 for no limit.

    Returns:
        Its exit code.

    Raises:
        InputError: It cannot be started, or took too long; then it was stopped.
    """
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    # -I: neither the script's folder nor variables nor the user's packages add to its imports.
    command = [str(interpreter), "-I", str(script), str(argument)]
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                command,
                cwd=argument.parent,
                env=kept | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout or None,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"gptqmodel was stopped after compression.timeout={timeout:g} seconds; its last lines "
            f"were:\n{last_lines(log)}"
        ) from error
    except OSError as error:
        raise InputError(f"{interpreter} cannot be run ({error.strerror}).") from error
    return done.returncode


def last_lines(log: Path) -> str:
    """Give the last lines that a program printed, of a progress bar its last state."""
    text = _ESCAPES.sub("", log.read_bytes().decode("utf-8", errors="replace"))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join([line for line in lines if line][-LAST_LINES:])


@functools.lru_cache
def _ask(interpreter: Path, changed: int) -> dict[str, str]:
    del changed  # in the key, so that another interpreter in the same place is asked again
    try:
        done = subprocess.run(
            [str(interpreter), "-I", "-c", _ASK], capture_output=True, timeout=120, check=False
        )
        found: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f"{interpreter} is no Python that runs ({error}). {_how_to_get()}"
        ) from error
    if not found:
        raise InputError(f"{interpreter} has no gptqmodel. {_how_to_get()}")
    return found


def _how_to_get() -> str:
    return (
        "This compression needs gptqmodel in an environment of its own: `make gptq-env` makes one "
        f"in {DEFAULT.parents[1].name}, which is found there; the interpreter of another is named "
        "by compression.python=PATH."
    )
