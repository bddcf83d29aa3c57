"""The typed shape of the training programs' configs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from src import groups
from src.choices import help_
from src.tracking.config import NoTrackerConfig, WandbConfig
from src.training.config import ArchitectureConfig, DistillationConfig, TrainingConfig
from src.training.data_config import CorpusConfig, TokenizerConfig
from src.training.transforms.registry import schemas

CONF = Path(__file__).parents[2] / "conf" / "training"


@dataclass
class RunConfig:
    """What every training program has."""

    name: str = field(default=MISSING, metadata=help_("short name for W&B and folders"))
    seed: int = field(default=0, metadata=help_("of first weights, order of the data and masks"))
    out: str = field(default=MISSING, metadata=help_("folder that the run is written to"))
    resume_step: int | None = field(
        default=None, metadata=help_("state in `out` to go on from; null: the last, if any")
    )
    tracker: Any = field(
        default=MISSING, metadata=help_("where the loss curve is logged, beside the disk")
    )
    dry: bool = field(default=False, metadata=help_("compose, check and print only"))


@dataclass
class TextRunConfig(RunConfig):
    """What those have that train on running text."""

    corpus: CorpusConfig = field(default=MISSING, metadata=help_("the text"))
    training: TrainingConfig = field(
        default_factory=TrainingConfig, metadata=help_("how the loop runs")
    )


@dataclass
class PretrainConfig(TextRunConfig):
    """A model trained from random weights."""

    architecture: ArchitectureConfig = field(default=MISSING, metadata=help_("the model's shape"))
    tokenizer: TokenizerConfig = field(default=MISSING, metadata=help_("how text becomes tokens"))


@dataclass
class DistillConfig(TextRunConfig):
    """A student trained to be like its teacher."""

    distillation: DistillationConfig = field(
        default=MISSING, metadata=help_("teacher, student and losses")
    )


def register() -> None:
    """Put the schemas into Hydra's ConfigStore, and the resolver that the help uses."""
    groups.register()
    store = ConfigStore.instance()
    store.store(name="schema_pretrain", node=PretrainConfig)
    store.store(name="schema_distill", node=DistillConfig)
    known: dict[str, dict[str, type[Any]]] = {
        "architecture": {"architecture": ArchitectureConfig},
        "corpus": {"corpus": CorpusConfig},
        "corpus/transform": schemas(),
        "tokenizer": {"tokenizer": TokenizerConfig},
        "training": {"training": TrainingConfig},
        "distillation": {"distillation": DistillationConfig},
        "tracker": {"wandb": WandbConfig, "none": NoTrackerConfig},
    }
    for group, kinds in known.items():
        for name, node in kinds.items():
            store.store(group=f"{group}/schema", name=name, node=node)
