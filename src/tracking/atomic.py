"""Whole files or none: a reader never sees half of one, also after a kill or a full disk."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from src.errors import InputError

TORCH_WRITER = "PytorchStreamWriter failed|enforce fail at inline_container|iostream error"
"""What torch.save says where the system refuses a write; it does not pass on why."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    The data is on the disk before the name changes, so not even a power cut leaves a half file.
    Several writers of one path do not disturb each other: the last one to end wins, whole.

    Raises:
        InputError: The folder cannot be written to (full, read-only, not a folder).
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        # A plain open and not tempfile: the file gets the permissions the user's umask gives.
        with temporary.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"{path} could not be written: {error.strerror or error}. Free some space there, or "
            "choose an output folder that can be written to (hydra.run.dir, hydra.sweep.dir)."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # no such file: it was renamed, or never made
            temporary.unlink()


def why_unwritten(error: Exception) -> str | None:
    """Say why a file could not be written, whichever library tried.

    Args:
        error: What it raised: of its own kind, where it writes in Rust (safetensors, tokenizers) or
            in C++ (torch).

    Returns:
        The system's reason; None where the error is about something else.
    """
    if isinstance(error, InputError):  # it says what to do already
        return None
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if found := re.search(r"([^:]+) \(os error \d+\)", str(error)):
        return found[1].strip()
    return "the write failed" if re.search(TORCH_WRITER, str(error)) else None


def remove_leftovers(directory: Path, names: tuple[str, ...]) -> None:
    """Remove temporary files that killed writers of `names` left in `directory`."""
    for name in names:
        for leftover in directory.glob(f".{name}.*-*.tmp"):
            leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
