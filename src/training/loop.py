"""One training run's loop: loss, optimisers, schedule, held-out loss."""

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from src.errors import InputError

WARMUP = 0.04
"""Share of the run over which the learning rate rises."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights, beside the text.

    Attributes:
        kind: "causal" (GPT-NeoX-shaped) or "masked" (BERT-shaped).
        steps: Optimiser steps; None for as many as `seconds` allow.
        seconds: Training time, without tokenizer and encoding; None for no limit.
        vocab: Tokens of the learned tokenizer.
        length: Longest row, in tokens.
        batch: Tokens a step.
        lr: Highest learning rate of AdamW (embeddings, norms, biases).
        muon_lr: Highest learning rate of Muon (the layers' matrices).
        bf16: Multiply in bfloat16: faster where the CPU has it, much slower where not.
        mask: Share of tokens predicted (masked only).
    """

    kind: str
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    vocab: int = 4096
    hidden: int = 192
    layers: int = 4
    heads: int = 4
    length: int = 64
    batch: int = 1536
    lr: float = 4e-3
    muon_lr: float = 1e-2
    mask: float = 0.2
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("causal", "masked"):
            raise InputError(f"kind is 'causal' or 'masked', not {self.kind!r}")
        if not (self.steps or self.seconds):
            raise InputError("a run needs an end: pass --steps or --seconds, more than 0")
        if self.length < 8 or self.heads < 1 or self.hidden % (2 * self.heads):
            raise InputError(
                "rows need a length of at least 8, and hidden must be a multiple of twice the "
                f"heads; got length {self.length}, hidden {self.hidden}, heads {self.heads}"
            )


class Objective:
    """The loss of one batch: next tokens, or masked tokens (masked by its own generator)."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.causal = recipe.kind == "causal"
        self.coin = random.Random(seed)
        self.collator = (
            None
            if self.causal
            else DataCollatorForLanguageModeling(tokenizer, mlm_probability=recipe.mask, seed=seed)
        )

    def __call__(self, model: Any, ids: torch.Tensor) -> torch.Tensor:
        """Mean loss (nats a token) of (batch, length) ids."""
        if self.collator is None:
            # Scorers ask with and without the start token, so half of the batches have none.
            ids = ids[:, self.coin.randrange(2) :]
            logits = model(input_ids=ids[:, :-1]).logits
            return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        batch = self.collator(list(ids))
        chosen = batch["labels"] != -100
        # The head on the masked places alone: it is the dearest layer, and the rest is unused.
        states = model.bert(input_ids=batch["input_ids"]).last_hidden_state[chosen]
        loss = F.cross_entropy(model.cls(states), batch["labels"][chosen], reduction="sum")
        # A batch of few short rows may have nothing masked: no loss, rather than 0 / 0.
        return loss / max(1, len(states))


def optimisers(model: torch.nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases.

    In runs of minutes Muon reaches a lower loss than AdamW alone, in the same time.
    """
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and "embed" not in name
        (matrices if inner else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=recipe.muon_lr, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=recipe.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def fit(
    model: torch.nn.Module, objective: Objective, data: Iterator[torch.Tensor], recipe: Recipe
) -> list[dict[str, float]]:
    """Train in place: linear warm-up, then decay to zero at the last step or second.

    Returns:
        The loss curve: about 40 points of step, seconds, and mean training loss since the last.
    """
    steps, seconds = recipe.steps or math.inf, recipe.seconds or math.inf
    used = optimisers(model, recipe)
    groups = [(group, group["lr"]) for one in used for group in one.param_groups]
    began, step, done = time.perf_counter(), 0, 0.0
    recent: list[float] = []
    curve: list[dict[str, float]] = []
    while done < 1:
        for group, highest in groups:
            group["lr"] = highest * min(1.0, max(done, 1e-3) / WARMUP) * (1 - done)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            loss = objective(model, next(data))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in used:
            one.step()
            one.zero_grad()
        recent.append(loss.item())
        step, spent = step + 1, time.perf_counter() - began
        done = max(step / steps, spent / seconds)
        if done >= (len(curve) + 1) / 40 or done >= 1:
            point = {"step": step, "seconds": round(spent, 1), "loss": sum(recent) / len(recent)}
            print(" ".join(f"{name}={value:.4g}" for name, value in point.items()), flush=True)
            curve.append(point)
            recent = []
    return curve


@torch.inference_mode()
def held_out_loss(model: torch.nn.Module, objective: Objective, rows: list[torch.Tensor]) -> float:
    """Mean loss over held-out batches, each weighted by its tokens."""
    weighed = [(objective(model, ids).item(), ids.numel()) for ids in rows]
    return sum(loss * n for loss, n in weighed) / sum(n for _, n in weighed)
