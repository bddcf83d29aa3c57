"""`system.keep_checkpoints=false`: a hub checkpoint leaves the cache when its last cell is done.

What a sweep is about to download is written down beside it first, so that a sweep that was killed
still knows, when it goes on, what was its own. Whatever was in the cache before stays.
"""

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from hydra import compose

from src.compression.stack import steps_of
from src.errors import Unsupported
from src.models.config import ModelConfig
from src.schema import Config, typed

log = logging.getLogger(__name__)
NOTES = "downloaded.json"
"""In the sweep's folder: the checkpoints that it downloaded and that are still to be removed."""
WEIGHTS = (".safetensors", ".bin", ".gguf", ".h5", ".msgpack", ".pt", ".pth", ".onnx")


@dataclass(slots=True)
class Expected:
    """What the cells of this process's sweep still need.

    Attributes:
        cells: Checkpoint, as "id@revision" -> how many cells to come load it.
    """

    cells: Counter[str] = field(default_factory=Counter)


EXPECTED = Expected()


def expect(axes: Mapping[str, Sequence[str]], config_name: str) -> None:
    """Count the cells that need each checkpoint; Hydra must be initialized.

    Args:
        axes: By key the overrides that each stands for; all combinations are the sweep's cells.
        config_name: The primary config.
    """
    EXPECTED.cells.clear()
    first = compose(config_name, [values[0] for values in axes.values()])
    if first.system.keep_checkpoints:
        return
    for cell in product(*axes.values()):
        EXPECTED.cells.update(checkpoints_of(typed(compose(config_name, list(cell)))))


def checkpoints_of(config: Config) -> set[str]:
    """Name the hub checkpoints that a cell loads, its compression's own included."""
    found: list[ModelConfig] = [config.model]
    for step in steps_of(config.compression).values():
        if hasattr(step, "checkpoint"):
            with contextlib.suppress(Unsupported):  # the cell says so
                found.append(step.checkpoint(config.model))
    return {f"{one.id}@{one.revision}" for one in found if not Path(one.id).expanduser().is_dir()}


@contextlib.contextmanager
def on_demand(config: Config, sweep: Path | None) -> Iterator[None]:
    """Run a cell in the block, and afterwards remove what no further cell needs.

    Does nothing with `system.keep_checkpoints=true`, and in processes other than the one that the
    sweep was started in, which do not know what is to come.

    Args:
        config: The cell's.
        sweep: The sweep's folder.
    """
    if config.system.keep_checkpoints or sweep is None or not EXPECTED.cells:
        yield
        return
    needed = checkpoints_of(config)
    notes = sweep / NOTES
    _write(notes, _read(notes) | {name for name in needed if snapshot(name) is None})
    try:
        yield
    finally:
        EXPECTED.cells.subtract(needed)
        done = {name for name in _read(notes) & needed if EXPECTED.cells[name] <= 0}
        for name in sorted(done):
            _remove(name)
        _write(notes, _read(notes) - done)


def snapshot(name: str) -> Path | None:
    """Find the folder of a checkpoint's weights in the cache; None if they are not there."""
    folder = _folder(name)
    if folder is None or not any(path.suffix in WEIGHTS for path in folder.rglob("*")):
        return None
    return folder


def _folder(name: str) -> Path | None:
    from huggingface_hub import constants

    repository, _, revision = name.rpartition("@")
    place = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    reference = place / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    folder = place / "snapshots" / commit
    return folder if folder.is_dir() else None


def _remove(name: str) -> None:
    """Take one revision out of the cache; files that other revisions share stay."""
    from huggingface_hub import constants, scan_cache_dir

    folder = _folder(name)
    if folder is None:  # it was never downloaded, or is gone
        return
    try:
        plan = scan_cache_dir(constants.HF_HUB_CACHE).delete_revisions(folder.name)
        plan.execute()
    except OSError as error:
        log.warning("%s could not be removed from the cache: %s", name, error)
    else:
        log.info("removed %s from the cache: %s", name, plan.expected_freed_size_str)


def _read(notes: Path) -> set[str]:
    try:
        return set(json.loads(notes.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, TypeError) as error:
        # Without the list nothing is known to be this sweep's own.
        log.warning("%s cannot be read, so what it names is kept: %s", notes, error)
        return set()


def _write(notes: Path, names: set[str]) -> None:
    from src.tracking.atomic import replacing

    if names == _read(notes) and (names or not notes.exists()):
        return
    if not names:
        notes.unlink(missing_ok=True)
        return
    notes.parent.mkdir(parents=True, exist_ok=True)
    with replacing(notes) as file:
        file.write(json.dumps(sorted(names)).encode())
