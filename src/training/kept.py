"""Checkpoints that a sweep's cells need: trained once, and kept under all that decides them.

The cells of a sweep ask for the same run (a checkpoint at each of its steps, a student for each of
its benchmarks), so that the first one trains it and the others find it. An interrupted run goes on.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock

from src.cache import cache_folder
from src.errors import InputError, Unsupported
from src.tracking.fingerprint import fingerprint, sources_digest
from src.training.config import TrainingConfig

if TYPE_CHECKING:
    from src.system.config import SystemConfig

log = logging.getLogger(__name__)
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate")
CODE = ("training",)
"""Parts of `src/` whose code decides what training gives."""
RUNS = "trained"
AnyLoop = TypeVar("AnyLoop", bound=TrainingConfig)
DONE = "final"
"""The folder that is written last."""


def here(training: AnyLoop, system: "SystemConfig") -> AnyLoop:
    """Give the settings of a loop that runs where a cell does, on the device that is there."""
    from src.device import resolve_device

    return replace(training, device=resolve_device(system.device), threads=system.threads)


def counted(training: TrainingConfig) -> dict[str, Any]:
    """Give what of a loop's settings decides what it gives, as plain data."""
    return {name: value for name, value in asdict(training).items() if name != "threads"}


def trained(
    kind: str,
    name: str,
    parts: Mapping[str, Any],
    train: Callable[[Path], object] | None,
    code: tuple[str, ...] = CODE,
) -> Path:
    """Give the folder of a run, which is trained now unless it was before.

    Args:
        kind: "finetuned", "distilled", …: the first part of the folder's name.
        name: What is trained, for messages.
        parts: Everything that decides the run besides code and libraries, as plain data.
        train: Trains it into a folder, from the last state in there if any; None: only look.
        code: Parts of `src/` that decide it.

    Returns:
        A folder in this project's cache with step<N>/ and final/.

    Raises:
        InputError: Several processes would have to train it, or it cannot be trained.
        Unsupported: It was not trained before, and is not to be now.
    """
    everything = {
        "parts": parts,
        "code": sources_digest(code),
        "versions": {library: version(library) for library in LIBRARIES},
    }
    out = cache_folder() / RUNS / f"{kind}-{fingerprint(everything)[:16]}"
    if (out / DONE).is_dir():
        return out
    if train is None:
        raise Unsupported(f"{name} was not trained yet; a cell that runs trains it first")
    _refuse_processes(name)
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{out}.lock"):
        if not (out / DONE).is_dir():
            log.info("training %s into %s", name, out)
            train(out)
            shutil.rmtree(out / "states", ignore_errors=True)  # nothing is left to go on with
    return out


def told(out: Path) -> dict[str, Any]:
    """Say of a run what a cell records: its folder and what it was made from."""
    try:
        decided = json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{out} is damaged ({error}); remove it, and it is trained again."
        ) from error
    return {"folder": str(out), "run": decided}


def _refuse_processes(name: str) -> None:
    from accelerate import PartialState

    if PartialState._shared_state and PartialState().num_processes > 1:
        raise InputError(
            f"{name} has to be trained first, which the several processes of a cell do not do: run "
            "the same command once with one process, or with debug.limit=1."
        )
