"""Untrained models of a given shape."""

import math
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from src.training.config import ArchitectureConfig

ROBERTA_OFFSET = 2
"""RoBERTa numbers its positions from the padding token's id + 1 on."""


def build(
    shape: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast, device: torch.device, seed: int
) -> PreTrainedModel:
    """Make an untrained model.

    Args:
        shape: Its architecture and sizes.
        tokenizer: Says how many embeddings there are, and which tokens are special.
        device: Where it will be trained; the model returned is still on the CPU.
        seed: Of the random weights.
    """
    torch.manual_seed(seed)
    attention = shape.attention
    if attention == "auto":  # at short lengths on a CPU the fused one's backward is slower
        attention = "sdpa" if device.type == "cuda" else "eager"
    config = AutoConfig.for_model(shape.kind, **_sizes(shape, tokenizer))
    auto = AutoModelForMaskedLM if shape.masked else AutoModelForCausalLM
    model: PreTrainedModel = auto.from_config(
        config, attn_implementation=attention, dtype=torch.float32
    )
    if shape.masked and shape.look_near:
        look_near(model)
    return model


def _sizes(shape: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size or 4 * shape.hidden_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.positions,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if not shape.masked:
        sizes |= {"rotary_pct": shape.rotary, "hidden_dropout": shape.dropout}
        return sizes | {"attention_dropout": shape.dropout}
    if shape.kind == "roberta":
        sizes["max_position_embeddings"] += ROBERTA_OFFSET
        sizes["type_vocab_size"] = 1
    sizes |= {"hidden_dropout_prob": shape.dropout, "attention_probs_dropout_prob": shape.dropout}
    return sizes | {"pad_token_id": tokenizer.pad_token_id}


@torch.no_grad()
def look_near(model: PreTrainedModel) -> None:
    """Start a masked model with attention to near places, which it is slow to find by itself.

    Until it finds its neighbours it predicts word frequencies, for thousands of steps. So:
    sinusoidal positions, larger than the words' embeddings; queries equal to keys, so that near
    places match best (mimetic initialisation, Trockman and Kolter 2023); other matrices at a
    scale for this width (BERT's 0.02 is meant for 768 columns).
    """
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed" not in name:
            weight.mul_(2.5)
    embedding = model.base_model.embeddings.position_embeddings
    positions = embedding.weight
    places, width = positions.shape
    waves = 100.0 ** (-torch.arange(width // 2) / (width // 2))
    angles = torch.arange(places)[:, None] * waves
    positions.copy_(torch.cat([angles.sin(), angles.cos()], dim=1) * 0.04 * math.sqrt(2))
    if embedding.padding_idx is not None:
        positions[embedding.padding_idx].zero_()
    for layer in model.base_model.encoder.layer:
        attention = layer.attention.self
        nn.init.normal_(attention.query.weight, 0.0, 0.8 / math.sqrt(width))
        attention.key.weight.copy_(attention.query.weight)
