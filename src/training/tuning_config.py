"""Settings of fine-tuning, beside those of the training loop; no torch is imported."""

from dataclasses import dataclass, field

from src.benchmarks.task_files import TASKS
from src.benchmarks.task_head import POOLINGS
from src.choices import at_least, help_, one_of
from src.errors import InputError
from src.training.config import OPTIMIZERS, STATES, WEIGHTS, TrainingConfig

HEADS = ("original", "tied")


@dataclass
class TuningConfig:
    """What a model is fine-tuned on, and how its states become answers."""

    task: str = field(default="sst2", metadata=help_("which task", TASKS))
    train: str | None = field(
        default=None,
        metadata=help_("labelled examples, below data.root; null: the task's training set"),
    )
    longest: int = field(default=128, metadata=help_("tokens that a text is cut to"))
    pooling: str = field(
        default="auto",
        metadata=help_(
            "state that the task's head reads; auto: of a masked model the first token's, of a "
            "causal one the last one's",
            ("auto", *POOLINGS),
        ),
    )
    dropout: float = field(default=0.1, metadata=help_("of the task's head"))
    head: str = field(
        default="original",
        metadata=help_(
            "language-model head of the checkpoints: as it was before (where it is one with the "
            "embeddings it gets a copy of its own), or tied to the tuned embeddings",
            HEADS,
        ),
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible.
        """
        one_of("tuning.task", self.task, TASKS)
        one_of("tuning.pooling", self.pooling, ("auto", *POOLINGS))
        one_of("tuning.head", self.head, HEADS)
        at_least("tuning.longest", self.longest, 4)
        if not 0 <= self.dropout < 1:
            raise InputError(f"tuning.dropout={self.dropout} must be at least 0 and below 1.")


@dataclass
class TuningLoopConfig(TrainingConfig):
    """The training loop with the defaults of fine-tuning (Devlin et al. 2019)."""

    steps: int = field(default=500, metadata=help_("optimiser steps"))
    batch_tokens: int = field(
        default=1024, metadata=help_("tokens of a step's examples, over all processes")
    )
    optimizer: str = field(
        default="adamw",
        metadata=help_("muon: for the matrices of the layers; adamw: for all", OPTIMIZERS),
    )
    lr: float = field(default=5e-5, metadata=help_("highest learning rate of AdamW"))
    betas: list[float] = field(
        default_factory=lambda: [0.9, 0.999], metadata=help_("decay of AdamW's two moments")
    )
    weight_decay: float = field(default=0.01, metadata=help_("of the matrices of the layers"))
    warmup: float = field(
        default=0.1, metadata=help_("share of the run over which the learning rate rises")
    )
    weights: str = field(default="float32", metadata=help_("dtype of the checkpoints", WEIGHTS))
    states: str = field(
        default="last", metadata=help_("which of the steps written can be resumed from", STATES)
    )

    @property
    def kept(self) -> list[int]:
        """All steps at which a checkpoint is written: the first and the last always are."""
        return sorted({0, *self.checkpoints, self.steps})
