"""The next checkpoint of a sweep is read while the present one is scored.

Its weight files are read once from end to end, so that the system has them in memory that nothing
else needs, and loading them afterwards waits for no disk. Nothing is downloaded ahead.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import Thread

import psutil
from hydra import compose

from src.checkpoints import snapshot
from src.errors import InputError
from src.models.config import ModelConfig
from src.schema import typed

log = logging.getLogger(__name__)
SHARE = 0.5
"""Of the memory that is free, what the files may take."""
CHUNK = 2**24


@dataclass(slots=True)
class Order:
    """The checkpoints of this process's sweep.

    Attributes:
        models: In the order in which its cells come to them.
        again: Whether they come to all of them again, for the next value of another axis.
    """

    models: list[ModelConfig] = field(default_factory=list)
    again: bool = False


ORDER = Order()


def expect_models(axes: Mapping[str, Sequence[str]], config_name: str) -> None:
    """Note the checkpoints that a sweep goes through; Hydra must be initialized.

    Args:
        axes: By key the overrides that each stands for; all combinations are the sweep's cells.
        config_name: The primary config.
    """
    ORDER.models.clear()
    own = {key: values for key, values in axes.items() if key.partition(".")[0] == "model"}
    rest = [values[0] for key, values in axes.items() if key not in own]
    if all(len(values) == 1 for values in own.values()):
        return
    if not compose(config_name, [values[0] for values in axes.values()]).system.load_ahead:
        return
    keys = list(axes)
    before = keys[: max(keys.index(key) for key in own if len(own[key]) > 1)]
    ORDER.again = any(len(axes[key]) > 1 for key in before if key not in own)
    for cell in product(*own.values()):
        ORDER.models.append(typed(compose(config_name, [*rest, *cell])).model)


def read_ahead(present: ModelConfig) -> Thread | None:
    """Begin to read the weight files of the checkpoint after `present`, beside all else.

    Returns:
        The thread that reads; None where there is nothing to read.
    """
    if present not in ORDER.models:
        return None
    at = ORDER.models.index(present) + 1
    if at == len(ORDER.models) and not ORDER.again:
        return None
    following = ORDER.models[at % len(ORDER.models)]
    files = _files(following)
    size = sum(path.stat().st_size for path in files)
    if not files or size > SHARE * psutil.virtual_memory().available:
        return None
    log.info("reading %s ahead (%.1f GB)", following.id, size / 1e9)
    thread = Thread(target=_read, args=(files,), name="read-ahead", daemon=True)
    thread.start()
    return thread


def _files(model: ModelConfig) -> list[Path]:
    """List the weight files of a checkpoint that are on this machine."""
    from src.models.source import weight_files

    folder = Path(model.id).expanduser()
    if not folder.is_dir():
        cached = snapshot(f"{model.id}@{model.revision}")
        if cached is None:
            return []
        folder = cached
    try:
        files = [folder / model.gguf] if model.gguf else weight_files(folder)
    except InputError:  # its own cell will say so
        return []
    return [path for path in files if path.is_file()]


def _read(files: Sequence[Path]) -> None:
    buffer = bytearray(CHUNK)
    for path in files:
        try:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
        except OSError as error:  # loading it will say so where it matters
            log.info("%s could not be read ahead: %s", path, error)
