"""A language model with a task's head beside its own: what is trained, and how it is written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from src.benchmarks.task_files import Task
from src.benchmarks.task_head import HEAD, TENSORS
from src.training.folders import save_model
from src.training.held import unheld

if TYPE_CHECKING:
    from src.models.subject import Subject

Batch = Mapping[str, torch.Tensor]


class Head(nn.Module):
    """A hidden layer with tanh and a linear one (Liu et al. 2019, as in transformers' RoBERTa).

    Its weights come from torch's global generator.
    """

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        """Make the layers: (hidden -> hidden), (hidden -> outputs), both as BERT's are begun."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense, self.out = nn.Linear(width, width), nn.Linear(width, outputs)
        for layer in (self.dense, self.out):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute outputs, (n, outputs), of hidden states, (n, hidden)."""
        hidden = torch.tanh(self.dense(self.dropout(states)))
        result: torch.Tensor = self.out(self.dropout(hidden))
        return result


class TaskModel(nn.Module):
    """A language model's encoder or decoder with a task's head.

    Attributes:
        lm: The whole language model, its own head included, which the task does not use.
        head: The task's.
        pooling: Which hidden state the head reads: "first" or "last" token, or "mean".
    """

    def __init__(self, lm: Any, head: Head, pooling: str) -> None:
        super().__init__()
        self.lm, self.head, self.pooling = lm, head, pooling

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the task's outputs.

        Args:
            input_ids: (n, length), padded on the right.
            attention_mask: (n, length), 1 for tokens and 0 for padding.

        Returns:
            (n, outputs).
        """
        states = self.lm.base_model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: torch.Tensor = states.last_hidden_state
        result: torch.Tensor = self.head(pooled(hidden, attention_mask, self.pooling))
        return result

    def make_trainable(self) -> None:
        """Train what the task's gradient reaches; the language model's own head is none of it."""
        self.lm.requires_grad_(False)
        self.lm.base_model.requires_grad_(True)
        self.head.requires_grad_(True)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Take one state a sequence, (n, hidden), of (n, length, hidden) padded on the right."""
    if pooling == "first":
        return hidden[:, 0]
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    return (hidden * mask.unsqueeze(-1)).sum(dim=1) / lengths.unsqueeze(-1)


def task_loss(task: Task) -> Callable[[nn.Module, Batch], torch.Tensor]:
    """Give the loss of a task: cross-entropy of classes (nats), squared error of a number."""

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        outputs = model(batch["input_ids"], batch["attention_mask"]).float()
        if task.labels:
            return F.cross_entropy(outputs, batch["labels"].long())
        return F.mse_loss(outputs[:, 0], batch["labels"])

    return loss


def keep_head(model: Any) -> bool:
    """Give a model whose head is its embeddings a head of its own with the same values.

    Fine-tuning changes the embeddings. Bias is measured through the head that the model was
    pretrained with, so that head must not change along with them.

    Returns:
        Whether the two were one.
    """
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return False
    # All of it: BERT's bias is a parameter of the layer around it too, which loading ties as well.
    for name, parameter in list(head.named_parameters(recurse=False)):
        setattr(head, name, nn.Parameter(parameter.detach().clone()))
    model.config.tie_word_embeddings = False
    return True


def write(
    folder: Path,
    model: TaskModel,
    subject: "Subject",
    task: Task,
    longest: int,
    dtype: torch.dtype,
) -> None:
    """Write an ordinary checkpoint of the language model, with the task's head below it.

    Args:
        folder: Exists and is empty.
        model: What was trained; of weights that are rounded those behind them are written.
        subject: Whose tokenizer and objective the model has.
        task: What it was tuned on.
        longest: Tokens of the longest text.
        dtype: Of the language model's weights; the task's head is in fp32.
    """
    from safetensors.torch import save_file

    with unheld(model.lm):
        model.lm.config.use_cache = subject.objective == "causal"  # it is off for scoring
        save_model(model.lm, subject.text.tokenizer, folder, dtype)
    tensors = {name: model.head.get_parameter(name).detach().cpu().float() for name in TENSORS}
    told = {"task": task.name, "pooling": model.pooling, "longest": str(longest)}
    (folder / HEAD).parent.mkdir()
    save_file(tensors, folder / HEAD, told)
