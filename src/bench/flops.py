"""How much work a plan holds, and how fast this machine multiplies matrices."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from src.models.subject import Subject
from src.scoring.batching import Budget, Forward
from src.scoring.packing import packs

SHAPE = (1024, 3072, 768)
"""Rows, inputs and outputs of the products that are timed; the base shape's own."""


def useful_flops(subject: Subject, forwards: Sequence[Forward], batch_tokens: int) -> float:
    """Count the floating-point operations of matrix products that a plan cannot do without.

    Linear layers on each distinct token, attention to what each token sees, and the head on the
    distinct positions asked for. Everything else (activations, norms, softmax) counts as nothing.

    Args:
        subject: The subject, not compressed.
        forwards: The plan.
        batch_tokens: Most tokens a batch, which also bounds what is shared.
    """
    model: Any = subject.model
    head = model.get_output_embeddings()
    layers = [m for m in model.base_model.modules() if isinstance(m, nn.Linear) and m is not head]
    per_token = 2 * sum(layer.weight.numel() for layer in layers)
    per_row = 2 * head.weight.numel()
    width = model.config.hidden_size * model.config.num_hidden_layers
    causal = subject.objective == "causal"
    total = 0.0
    for batch in packs(forwards, Budget(batch_tokens, 1), causal, model.config.hidden_size):
        assert batch.positions is not None
        if causal:
            seen = int(batch.positions.sum()) + batch.tokens
        else:
            seen = sum(len(ends) ** 2 for ends in batch.ends)
        nodes, pairs = batch.nodes, batch.forwards
        asked = {
            int(places[row])
            for places, forward in zip(nodes, pairs, strict=True)
            for row, _ in forward.pairs
        }
        total += batch.tokens * per_token + 4.0 * seen * width + len(asked) * per_row
    return total


def matrix_peak(seconds: float = 0.5) -> float:
    """Measure matrix products in fp32, by the faster of torch's two libraries.

    Args:
        seconds: How long to measure each.

    Returns:
        Floating-point operations a second; what else the machine does counts against it.
    """
    rows, inputs, outputs = SHAPE
    x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    kinds = (
        lambda: torch.mm(x, weight.t()),
        lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""),
    )
    best = 0.0
    with torch.inference_mode():
        for product in kinds:
            product()
            started, runs = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - started) < seconds:
                product()
                runs += 1
            best = max(best, 2.0 * rows * inputs * outputs * runs / elapsed)
    return best
