"""What a run trains, as the loop needs to know it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from transformers import TrainerCallback

from src.training.batches import Batch, Batches

Loss = Callable[[nn.Module, Batch], torch.Tensor]
"""Called with the model, or a wrapper of it, and one part of a step; gives its mean loss."""


@dataclass
class Task:
    """What a run trains.

    Attributes:
        model: The model; its loss is called with it or with a wrapper for several processes.
        batches: What each step reads.
        loss: Of one part of a step.
        save: Called with the number of a step and an empty folder, writes what is to be kept of
            the model there; the folder is then renamed, so that it is whole or not there.
        held_out: The batches of a held-out loss; without any there is none.
        held_out_loss: Of one of these; None: `loss`.
        callbacks: Further callbacks of the Trainer.
    """

    model: nn.Module
    batches: Batches
    loss: Loss
    save: Callable[[int, Path], None] | None = None
    held_out: list[Batch] = field(default_factory=list)
    held_out_loss: Loss | None = None
    callbacks: list[TrainerCallback] = field(default_factory=list)
