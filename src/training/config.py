"""Settings of the training programs; they import no torch, so that `--help` is quick."""

from dataclasses import dataclass, field
from typing import Any

from src.choices import at_least, help_, one_of
from src.errors import InputError

KINDS = ("gpt_neox", "bert", "roberta")
OPTIMIZERS = ("muon", "adamw")
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda")
STATES = ("all", "last", "none")
WEIGHTS = ("float16", "float32")
ATTENTIONS = ("auto", "eager", "sdpa")


@dataclass
class ArchitectureConfig:
    """The shape of a model that is trained from random weights."""

    kind: str = field(default="???", metadata=help_("architecture", KINDS))
    hidden_size: int = field(default=192, metadata=help_("columns of a hidden state"))
    layers: int = field(default=4, metadata=help_("blocks"))
    heads: int = field(default=4, metadata=help_("attention heads"))
    intermediate_size: int | None = field(
        default=None, metadata=help_("columns within a feed-forward part; null: 4 x hidden_size")
    )
    positions: int = field(default=512, metadata=help_("most tokens of a text"))
    rotary: float = field(
        default=0.25, metadata=help_("share of a head's columns that are rotated (gpt_neox)")
    )
    dropout: float = field(default=0.0, metadata=help_("of hidden states and attention"))
    tied: bool = field(default=True, metadata=help_("one matrix for input and output embeddings"))
    look_near: bool = field(
        default=True,
        metadata=help_("start with attention to near places; a masked model is slow to find them"),
    )
    attention: str = field(
        default="auto", metadata=help_("auto: sdpa on a GPU, eager on a CPU", ATTENTIONS)
    )

    def __post_init__(self) -> None:
        """Check the shape.

        Raises:
            InputError: No such model can be built.
        """
        one_of("architecture.kind", self.kind, KINDS)
        one_of("architecture.attention", self.attention, ATTENTIONS)
        for key in ("layers", "heads", "positions"):
            at_least(f"architecture.{key}", getattr(self, key), 1)
        if self.hidden_size < 1 or self.hidden_size % (2 * self.heads):
            raise InputError(
                f"architecture.hidden_size={self.hidden_size} is not possible; it must be a "
                f"multiple of twice the heads ({self.heads})."
            )
        share("architecture.rotary", self.rotary)
        share("architecture.dropout", self.dropout)

    @property
    def masked(self) -> bool:
        """Whether it predicts masked tokens, not next ones."""
        return self.kind != "gpt_neox"


@dataclass
class TrainingConfig:
    """How the loop runs: everything that decides the weights beside data, model and seed."""

    steps: int = field(default=1000, metadata=help_("optimiser steps"))
    seconds: float | None = field(
        default=None,
        metadata=help_(
            "also end at the clock, the learning rate decaying by whichever is nearer; such a run "
            "is not repeatable and cannot be resumed"
        ),
    )
    batch_tokens: int = field(
        default=16384, metadata=help_("tokens of a step, over all processes and accumulation")
    )
    accumulation: int = field(
        default=1, metadata=help_("parts that a process computes its share of a step in")
    )
    optimizer: str = field(
        default="muon",
        metadata=help_(
            "muon: for the matrices of the layers, with AdamW for all else; adamw: for all",
            OPTIMIZERS,
        ),
    )
    lr: float = field(default=4e-3, metadata=help_("highest learning rate of AdamW"))
    muon_lr: float = field(default=1e-2, metadata=help_("highest learning rate of Muon"))
    betas: list[float] = field(
        default_factory=lambda: [0.9, 0.98], metadata=help_("decay of AdamW's two moments")
    )
    weight_decay: float = field(default=0.1, metadata=help_("of the matrices of the layers"))
    warmup: float = field(
        default=0.04, metadata=help_("share of the run over which the learning rate rises")
    )
    clip: float = field(default=1.0, metadata=help_("largest norm of the gradient; 0: any"))
    mask: float = field(default=0.2, metadata=help_("share of tokens predicted (masked models)"))
    precision: str = field(
        default="auto", metadata=help_("auto: bf16 on a GPU that has it, else fp32", PRECISIONS)
    )
    device: str = field(default="auto", metadata=help_("auto: a GPU if there is one", DEVICES))
    threads: int | None = field(default=None, metadata=help_("CPU threads; null: torch's choice"))
    deterministic: bool = field(
        default=True, metadata=help_("only kernels that give the same result each time")
    )
    checkpoints: list[int] = field(
        default_factory=list,
        metadata=help_("steps (0: before the first) after which step<N>/ is written"),
    )
    weights: str = field(default="float16", metadata=help_("dtype in these folders", WEIGHTS))
    states: str = field(
        default="all",
        metadata=help_("which of the steps written can be resumed from", STATES),
    )
    state_every: int | None = field(
        default=None, metadata=help_("also keep a state to resume from every so many steps")
    )
    log_every: int = field(default=50, metadata=help_("steps between points of the loss curve"))
    eval_every: int | None = field(
        default=None,
        metadata=help_("steps between held-out losses; null: at checkpoints and the end only"),
    )
    held_out_tokens: int = field(
        default=400_000, metadata=help_("held-out tokens that a loss is taken over, at most")
    )
    stop_at: int | None = field(
        default=None,
        metadata=help_("stop after this step of the same run, as if it were interrupted there"),
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: A value is not possible.
        """
        one_of("training.optimizer", self.optimizer, OPTIMIZERS)
        one_of("training.precision", self.precision, PRECISIONS)
        one_of("training.device", self.device, DEVICES)
        one_of("training.states", self.states, STATES)
        one_of("training.weights", self.weights, WEIGHTS)
        for key in ("steps", "batch_tokens", "accumulation", "threads", "state_every", "log_every"):
            at_least(f"training.{key}", getattr(self, key), 1)
        for key in ("eval_every", "held_out_tokens", "stop_at"):
            at_least(f"training.{key}", getattr(self, key), 1)
        for key in ("lr", "muon_lr", "weight_decay", "clip"):
            at_least(f"training.{key}", getattr(self, key), 0)
        share("training.warmup", self.warmup)
        share("training.mask", self.mask)
        if len(self.betas) != 2:
            raise InputError(f"training.betas={self.betas} is not possible; two numbers are needed")
        for beta in self.betas:
            share("training.betas", beta)
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"training.seconds={self.seconds} is not possible; use more than 0.")
        wrong = [step for step in self.checkpoints if not 0 <= step <= self.steps]
        if wrong:
            raise InputError(
                f"training.checkpoints={wrong} are not among the steps 0 to {self.steps}."
            )


@dataclass
class DistillationConfig:
    """What a student learns from its teacher (Sanh et al. 2019), and what it starts from."""

    teacher: str = field(default="???", metadata=help_("hub id, or a folder, of the teacher"))
    revision: str = field(default="main", metadata=help_("branch, tag or commit of the teacher"))
    layers: float = field(
        default=0.5, metadata=help_("the student's layers as a share of the teacher's")
    )
    teacher_layers: list[int] | None = field(
        default=None,
        metadata=help_("which layers, from 0; null: evenly spaced, the first and last among them"),
    )
    start: str = field(
        default="teacher",
        metadata=help_("the student's first weights", ("teacher", "random")),
    )
    temperature: float = field(default=2.0, metadata=help_("of both models' soft targets"))
    soft: float = field(default=5.0, metadata=help_("weight of the soft targets' KL, times T^2"))
    hard: float = field(default=2.0, metadata=help_("weight of the loss on the text itself"))
    cosine: float = field(
        default=1.0, metadata=help_("weight of 1 - cosine of the last hidden states")
    )
    soft_targets: str = field(
        default="predicted",
        metadata=help_("places that the KL is taken at (masked models)", ("predicted", "all")),
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: A value is not possible.
        """
        one_of("distillation.start", self.start, ("teacher", "random"))
        one_of("distillation.soft_targets", self.soft_targets, ("predicted", "all"))
        for key in ("soft", "hard", "cosine"):
            at_least(f"distillation.{key}", getattr(self, key), 0)
        if not self.soft + self.hard + self.cosine:
            raise InputError("distillation: soft, hard and cosine are all 0, so nothing is learned")
        if not self.temperature > 0:
            raise InputError(f"distillation.temperature={self.temperature} must be more than 0.")
        if self.teacher_layers is None and not 0 < self.layers <= 1:
            raise InputError(f"distillation.layers={self.layers} is no share of 0 to 1.")


def share(key: str, value: Any) -> None:
    """Check that `value` is at least 0 and below 1.

    Raises:
        InputError: It is not.
    """
    if not 0 <= value < 1:
        raise InputError(f"{key}={value} is not possible; it must be at least 0 and below 1.")
