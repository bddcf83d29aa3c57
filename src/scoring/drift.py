"""Drift: how far a compressed model's predictions are from the ones that it made before.

The dense model answers a sample of what the benchmarks will ask before it is compressed, in the
same cell, and the compressed one is compared with these answers over the whole vocabulary. Nothing
of it reaches the scores.
"""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from src.benchmarks.base import Skipped
from src.benchmarks.items import Item
from src.errors import InputError, Unsupported
from src.models.subject import Subject
from src.scoring.batching import Batch, Forward, merge
from src.scoring.config import DriftConfig
from src.scoring.engine import Engine
from src.scoring.head import pairs_of
from src.scoring.layer_drift import LayerOutputs, layer_errors, layer_outputs
from src.scoring.requests import Answer, LogProbs
from src.scoring.scorer import plan_items

LAYER_INPUTS = 32
"""Inputs on which the outputs of blocks are compared; all of their tokens count."""
CHUNK = 64
"""Predictions that are compared at once, in fp64."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a model predicted before it was compressed.

    Attributes:
        vocabulary: Token -> id of its tokenizer.
        forwards: Inputs, each with the positions that are compared.
        logits: For each input fp32 logits, (positions, vocabulary); in memory, not on the device.
        layers: What its blocks put out, if asked for.
    """

    vocabulary: dict[str, int]
    forwards: list[Forward]
    logits: list[Answer]
    layers: LayerOutputs | None


def draw(
    subject: Subject,
    questions: Iterable[Sequence[Item]],
    scorers: Sequence[str],
    settings: DriftConfig,
    skip_long: bool = False,
) -> list[LogProbs]:
    """Draw predictions from those that the benchmarks ask for, at most one an input.

    Args:
        subject: The subject.
        questions: The items of each benchmark.
        scorers: Names of the scorers.
        settings: How many, and the seed.
        skip_long: Whether items with a text that is longer than the model takes are left out.

    Returns:
        Requests of one position each; fewer than asked for where there are no more.
    """
    generator = random.Random(settings.seed)
    items = [item for question in questions for item in question]
    generator.shuffle(items)
    drawn: dict[tuple[int, ...], LogProbs] = {}
    for item, scorer in itertools.product(items, scorers):
        if len(drawn) >= settings.requests:
            break
        try:
            (plan,), _ = plan_items([item], subject.text, scorer, subject.objective, skip_long)
        except Unsupported:
            continue
        for request in () if isinstance(plan, Skipped) else plan.requests:
            if isinstance(request, LogProbs):
                at = generator.randrange(len(request.rows))
                one = LogProbs(request.ids, (request.rows[at],), (request.targets[at],))
                drawn.setdefault(request.ids, one)
    return list(drawn.values())[: settings.requests]


def remember(
    subject: Subject, requests: Sequence[LogProbs], settings: DriftConfig, budget: tuple[int, int]
) -> Before | str:
    """Let a dense model predict.

    Args:
        subject: The subject before compression.
        requests: As from `draw`.
        settings: Whether blocks are looked at too.
        budget: Most tokens and most logits a batch.

    Returns:
        The predictions, or why there is nothing to compare with.
    """
    if getattr(subject.model.config, "quantization_config", None) is not None:
        return "the checkpoint was quantized already, so there is no dense model to compare with"
    if not requests:
        return "no log-probabilities are asked for"
    forwards, _ = merge(requests)
    try:
        logits = Logits(subject, *budget).run(forwards)
    except InputError as error:
        return str(error)
    inputs = [forward.ids for forward in forwards[:LAYER_INPUTS]]
    layers = layer_outputs(subject.model, inputs, subject.device) if settings.layers else None
    vocabulary = subject.text.tokenizer.get_vocab()
    return Before(vocabulary, forwards, logits, layers)


def compare(subject: Subject, before: Before | str, budget: tuple[int, int]) -> dict[str, Any]:
    """Compare a compressed model's predictions with those before.

    Args:
        subject: The subject after compression.
        before: As from `remember`.
        budget: Most tokens and most logits a batch.

    Returns:
        `mean_kl` and `max_kl`, KL(before || after) in nats over the whole vocabulary;
        `top1_agreement`, the share of predictions whose likeliest token is the same; `requests`,
        how many there were; `layers`, see `layer_errors`; where they are None, the `reason`.
    """
    if isinstance(before, str):
        return undefined(before)
    if subject.text.tokenizer.get_vocab() != before.vocabulary:
        return undefined("the compressed model has another vocabulary")
    run = Divergences(subject, *budget, before=_by_input(before))
    try:
        found = np.concatenate(run.run(before.forwards))
    except InputError as error:
        return undefined(str(error))
    layers, why = None, ""
    if before.layers is not None:
        inputs = [forward.ids for forward in before.forwards[:LAYER_INPUTS]]
        layers, why = layer_errors(
            before.layers, layer_outputs(subject.model, inputs, subject.device)
        )
    return undefined(why) | {
        "requests": len(found),
        "mean_kl": float(found[:, 0].mean()),
        "max_kl": float(found[:, 0].max()),
        "top1_agreement": float(found[:, 1].mean()),
        "layers": layers,
    }


def undefined(reason: str) -> dict[str, Any]:
    """Give a comparison without numbers, and why it has none."""
    numbers = ("requests", "mean_kl", "max_kl", "top1_agreement", "layers")
    return {**dict.fromkeys(numbers), "reason": reason}


def _by_input(before: Before) -> dict[tuple[int, ...], Answer]:
    pairs = zip(before.forwards, before.logits, strict=True)
    return {forward.ids: logits for forward, logits in pairs}


@dataclass(slots=True)
class Logits(Engine):
    """Answers with the logits of the whole vocabulary, (positions, vocabulary) an input."""

    direct: bool | None = False  # all logits of a batch are wanted at once

    def _values(self, batch: Batch, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._head.logits(inputs, pairs_of(batch)[0]).float().cpu()


@dataclass(slots=True)
class Divergences(Engine):
    """Answers with the divergence from earlier logits and whether the first choice is the same.

    Attributes:
        before: Input -> its logits before, (positions, vocabulary).
    """

    direct: bool | None = False
    before: dict[tuple[int, ...], Answer] = field(default_factory=dict)

    def _values(self, batch: Batch, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = self._head.logits(inputs, pairs_of(batch)[0])
        old = np.concatenate([self.before[forward.ids] for forward in batch.forwards])
        if old.shape != tuple(logits.shape):
            raise InputError(
                f"the compressed model predicts {logits.shape[-1]} tokens, and {old.shape[-1]} "
                "before"
            )
        parts = [
            divergence(torch.from_numpy(one).to(logits.device), other)
            for one, other in zip(
                np.split(old, range(CHUNK, len(old), CHUNK)), logits.split(CHUNK), strict=True
            )
        ]
        return torch.cat(parts)


def divergence(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Compare predictions.

    Args:
        before: Logits, (n, vocabulary).
        after: The same later.

    Returns:
        (n, 2), fp64: KL(before || after) in nats, and 1 where the likeliest token is the same,
        else 0.
    """
    # Normalised in fp64: a divergence is the small difference of large sums.
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    kl = torch.where(p == -torch.inf, 0.0, p.exp() * (p - q)).sum(-1)
    same = before.argmax(-1) == after.argmax(-1)
    return torch.stack([kl, same.double()], dim=1)
