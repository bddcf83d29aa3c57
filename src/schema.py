"""The typed shape of every config group, so that a typo fails before anything runs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

import src.benchmarks
import src.compression
from src import groups, stacks
from src.benchmarks.registry import BENCHMARKS
from src.choices import help_
from src.compression.registry import METHODS
from src.compression.stack import StackConfig
from src.data.config import DataConfig
from src.errors import InputError
from src.models.config import ModelConfig, PythiaConfig, TinyPythiaConfig, TrainedConfig
from src.models.misloaded import MisloadedConfig
from src.modules import import_modules
from src.report.paper.config import PaperConfig
from src.scoring.config import DriftConfig, ScorerConfig
from src.statistics.config import StatisticsConfig
from src.system.config import DebugConfig, SystemConfig
from src.tracking.config import NoTrackerConfig, WandbConfig
from src.training.finetuned_config import FinetunedConfig
from src.training.twin_config import TwinConfig

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
MODELS: dict[str, type[Any]] = {
    "checkpoint": ModelConfig,
    "pythia": PythiaConfig,
    "tiny_pythia": TinyPythiaConfig,
    "trained": TrainedConfig,
    "misloaded": MisloadedConfig,
    "finetuned": FinetunedConfig,
    "twin": TwinConfig,
}
TRACKERS: dict[str, type[Any]] = {"wandb": WandbConfig, "none": NoTrackerConfig}


@dataclass
class Config:
    """One cell: one model, one compression, some benchmarks."""

    model: Any = field(default=MISSING, metadata=help_("what is measured"))
    compression: Any = field(default=MISSING, metadata=help_("how it is made smaller"))
    benchmark: dict[str, Any] = field(
        default_factory=dict, metadata=help_("what is asked: name -> settings")
    )
    scorer: ScorerConfig = field(default=MISSING, metadata=help_("how it is asked"))
    drift: DriftConfig = field(
        default=MISSING, metadata=help_("how far predictions move when the model is compressed")
    )
    tracker: Any = field(
        default=MISSING, metadata=help_("where results are logged, beside the disk")
    )
    data: DataConfig = field(default=MISSING, metadata=help_("where benchmark files come from"))
    system: SystemConfig = field(
        default=MISSING, metadata=help_("device, threads, batch budget, progress")
    )
    statistics: StatisticsConfig = field(
        default_factory=StatisticsConfig, metadata=help_("intervals and tests; runs no model again")
    )
    debug: DebugConfig = field(
        default_factory=DebugConfig, metadata=help_("short-cuts for trying things out")
    )
    paper: Any = field(
        default=None, metadata=help_("which cells stand for the paper's rows; of its experiments")
    )
    sweep: str = field(default=MISSING, metadata=help_("name of the sweep; its cells are compared"))
    resume: bool = field(
        default=True, metadata=help_("skip cells that are finished with the same settings")
    )

    def __post_init__(self) -> None:
        """Check what concerns several groups.

        Raises:
            InputError: No benchmark was chosen.
        """
        if not self.benchmark:
            raise InputError(f"benchmark=[] measures nothing; choose from {', '.join(BENCHMARKS)}.")
        if isinstance(self.compression, dict):
            self.compression = StackConfig(self.compression)


def register() -> None:
    """Put every schema into Hydra's ConfigStore, and the resolvers that the yaml files use."""
    for package in (src.benchmarks, src.compression):
        import_modules(package)
    stacks.register()
    groups.register()
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    schemas: dict[str, dict[str, type[Any]]] = {
        "model": MODELS,
        "compression": {kind: method.settings for kind, method in METHODS.items()},
        "benchmark": {kind: settings for kind, (settings, _) in BENCHMARKS.items()},
        "scorer": {"scorer": ScorerConfig},
        "drift": {"drift": DriftConfig},
        "tracker": TRACKERS,
        "data": {"data": DataConfig},
        "system": {"system": SystemConfig},
        "statistics": {"statistics": StatisticsConfig},
        "paper": {"paper": PaperConfig},
    }
    for group, kinds in schemas.items():
        for name, schema in kinds.items():
            store.store(group=f"{group}/schema", name=name, node=schema)
    OmegaConf.register_new_resolver("shipped", lambda path: str(ROOT / "src" / path), replace=True)


def typed(config: DictConfig) -> Config:
    """Turn a composed config into checked objects.

    Args:
        config: As Hydra composed it.

    Raises:
        InputError: A value is missing or not possible; names the key.
    """
    # Before anything is resolved, because other values may be interpolated from a missing one.
    for key in _missing(OmegaConf.to_container(config, resolve=False), ""):
        raise InputError(f"{key} is required; give it as {key}=VALUE.")
    _check_methods(config.compression, "compression")
    checked = OmegaConf.to_object(config)
    assert isinstance(checked, Config)
    return checked


def _check_methods(settings: Any, path: str) -> None:
    """Check methods within others (steps of a stack), whose own checks do not know their place."""
    for name, inner in settings.items():
        if not isinstance(inner, DictConfig) or "kind" not in inner:
            continue
        place = f"{path}.{name}"
        _check_methods(inner, place)
        try:
            OmegaConf.to_object(inner)
        except InputError as error:
            raise InputError(re.sub(r"\bcompression\.", f"{place}.", str(error))) from error


def _missing(tree: Any, prefix: str) -> Iterator[str]:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if value == MISSING:
            yield f"{prefix}{key}"
        yield from _missing(value, f"{prefix}{key}.")
