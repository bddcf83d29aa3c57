"""The typed shape of `conf/training/finetune.yaml`."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from src.choices import help_
from src.compression.stack import StackConfig
from src.data.config import DataConfig
from src.errors import InputError
from src.statistics.config import StatisticsConfig
from src.system.config import SystemConfig
from src.training.schema import RunConfig
from src.training.tuning_config import TuningConfig, TuningLoopConfig


@dataclass
class FinetuneConfig(RunConfig):
    """A model tuned on a task."""

    seed: int = field(default=0, metadata=help_("of the task's head, order and dropout"))
    model: Any = field(default=MISSING, metadata=help_("what is tuned"))
    compression: Any = field(
        default=MISSING, metadata=help_("what it is compressed by, before and all through tuning")
    )
    tuning: TuningConfig = field(
        default_factory=TuningConfig, metadata=help_("the task and its head")
    )
    training: TuningLoopConfig = field(
        default_factory=TuningLoopConfig, metadata=help_("how the loop runs")
    )
    data: DataConfig = field(default=MISSING, metadata=help_("where the task's files come from"))
    system: SystemConfig = field(
        default_factory=SystemConfig, metadata=help_("device and batches of the scoring")
    )
    statistics: StatisticsConfig = field(
        default_factory=StatisticsConfig, metadata=help_("intervals of the scores")
    )

    def __post_init__(self) -> None:
        """Check what concerns several groups.

        Raises:
            InputError: The model is one that a sweep trains.
        """
        if isinstance(self.compression, dict):
            self.compression = StackConfig(self.compression)
        if hasattr(self.model, "make"):
            raise InputError(
                "a model that a sweep trains (model=finetuned, model=twin) is not tuned here; the "
                "folder that it was trained into is (model=hf model.id=FOLDER): environment.json "
                "of its cell names it."
            )


def register() -> None:
    """Put the schema into Hydra's ConfigStore."""
    ConfigStore.instance().store(name="schema_finetune", node=FinetuneConfig)
