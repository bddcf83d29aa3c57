"""Attention weights, which only the eager implementation of attention gives."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from src.errors import Unsupported


def received_attention(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Average the attention that each token receives over layers, heads and queries.

    Args:
        model: Any model whose layers attend from all tokens to all tokens.
        ids: Token ids, (batch, length), none of them padding.

    Returns:
        Weights, (batch, length), fp32; each row sums to 1.

    Raises:
        Unsupported: The model gives no such weights.
    """
    with eager_attention(model):
        layers = model.base_model(input_ids=ids, output_attentions=True).attentions
    square = (len(ids), ids.shape[1], ids.shape[1])
    if not layers or any((len(one), *one.shape[-2:]) != square for one in layers):
        raise Unsupported(
            f"{type(model).__name__} gives no weights of every token's attention to every token, "
            "which scorer aula needs; aul does without"
        )
    # Layer by layer, because the stacked weights of all layers are needed nowhere.
    means = [one.float().mean(dim=(1, 2)) for one in layers]
    return torch.stack(means).mean(0)


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Compute attention the plain way in here; the model is afterwards as it was before."""
    before = model.config._attn_implementation
    if before != "eager":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if before != "eager":
            model.set_attn_implementation(before)
