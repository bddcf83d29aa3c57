"""How much work an engine's plan holds."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from src.models.subject import Subject
from src.scoring.batching import Budget, Forward
from src.scoring.packing import packs


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
