"""What is known of a cell before its model is loaded, and the parts of its fingerprint."""

import contextlib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from src.compression.calibration import Calibration, find_calibration
from src.compression.library import library_versions
from src.compression.stack import counted_settings, kinds_of, methods_of, steps_of
from src.data.locate import DataFiles, FileRecord
from src.device import resolve_device
from src.errors import Unsupported
from src.models.config import ModelConfig
from src.models.misloaded import MisloadedConfig
from src.models.source import find_source
from src.models.subject import Source
from src.questions import Question, find_questions
from src.schema import Config
from src.tracking.fingerprint import code_digest

LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "scipy")
"""Libraries whose version is part of a cell's fingerprint."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a cell before its model is loaded.

    Attributes:
        questions: Name -> benchmark with its items.
        data: Each benchmark file -> where it came from and its checksums.
        source: The exact checkpoint.
        calibrations: Name of each compression step that needs one -> what it lets the model read.
        parts: Everything that can change the cell's numbers; hashed to the fingerprint.
    """

    questions: dict[str, Question]
    data: dict[str, FileRecord]
    source: Source
    calibrations: dict[str, Calibration]
    parts: dict[str, Any]


def prepare(config: Config) -> Prepared:
    """Find the data and the checkpoint of a cell, and read the items.

    Raises:
        InputError: A file is missing or malformed, or the checkpoint cannot be found.
    """
    files = DataFiles(config.data)
    questions = find_questions(config, files)
    source, _ = find_source(config.model)
    calibrations = find_calibrations(config, files)
    kinds = kinds_of(config.compression) | set(config.scorer.names)
    kinds |= {settings.kind for settings in config.benchmark.values()}
    dense = config.compression.name == "none"
    parts = {
        "model": {
            "checkpoint": _exactly(source),
            "objective": config.model.objective,
            "dtype": config.model.dtype,
        }
        | _random_weights(config.model),
        "compression": counted_settings(config.compression),
        "other_checkpoints": _other_checkpoints(config),
        "drift": None if dense else asdict(config.drift),
        "benchmark": {name: asdict(settings) for name, settings in config.benchmark.items()},
        "scorer": asdict(config.scorer),
        "limit": config.debug.limit,
        "data": files.checksums(),
        "device": resolve_device(config.system.device),
        "versions": {name: version(name) for name in LIBRARIES}
        | library_versions(config.compression),
        "code": code_digest(kinds),
    }
    return Prepared(questions, dict(files.used), source, calibrations, parts)


def find_calibrations(config: Config, files: DataFiles) -> dict[str, Calibration]:
    """Locate the texts that steps of a cell's compression let the model read."""
    return find_calibrations_of(config.compression, files)


def find_calibrations_of(compression: Any, files: DataFiles) -> dict[str, Calibration]:
    """Locate the texts that steps of a compression let a model read: step -> calibration."""
    return {
        name: calibration
        for name, step in steps_of(compression).items()
        if (calibration := find_calibration(step, files)) is not None
    }


def _random_weights(model: ModelConfig) -> dict[str, Any]:
    """Say what decides the weights of a model that takes none from its checkpoint."""
    if not isinstance(model, MisloadedConfig):
        return {}
    return {"load_as": model.load_as, "seed": model.seed}


def _exactly(source: Source) -> str:
    return source.digest or f"{source.id}@{source.commit or source.revision}"


def _other_checkpoints(config: Config) -> dict[str, str]:
    """Name the checkpoints that steps of the compression put in the model's place."""
    found = {}
    for name, step in steps_of(config.compression).items():
        for method in methods_of(step):
            if hasattr(method, "checkpoint"):
                place = name if method is step else f"{name}.{method.kind}"
                # Where there is none the step itself says so, once the cell's records have begun.
                with contextlib.suppress(Unsupported):
                    found[place] = _exactly(find_source(method.checkpoint(config.model))[0])
    return found
