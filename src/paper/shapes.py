"""Shapes of the paper's checkpoints, known without the hub."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from src.models.config import ModelConfig
from src.models.misloaded import MisloadedConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Shape:
    """What is published of a checkpoint.

    Attributes:
        type: Model type of transformers.
        config: Its fields that are no defaults.
        bytes: Of a weight in its files.
    """

    type: str
    config: dict[str, Any]
    bytes: int

    def model(self) -> "PreTrainedModel":
        """Build the model on the meta device: a shape and no weights."""
        import torch
        from transformers import (
            CONFIG_MAPPING,
            MODEL_FOR_CAUSAL_LM_MAPPING,
            MODEL_FOR_MASKED_LM_MAPPING,
        )

        config = CONFIG_MAPPING[self.type](**self.config)
        classes = MODEL_FOR_CAUSAL_LM_MAPPING if self.causal else MODEL_FOR_MASKED_LM_MAPPING
        with torch.device("meta"):
            return classes[type(config)](config).eval()

    @property
    def causal(self) -> bool:
        """Whether it is a causal language model."""
        return self.type == "gpt_neox"

    def parameters(self) -> int:
        """Count its parameters, tied ones once."""
        return sum(one.numel() for one in self.model().parameters())

    def file_bytes(self) -> int:
        """Compute the size of its weights as published."""
        return self.parameters() * self.bytes


@functools.cache
def shapes() -> dict[str, Shape]:
    """Give the known shapes by hub id."""
    text = (Path(__file__).parent / "checkpoints.yaml").read_text(encoding="utf-8")
    return {name: Shape(**about) for name, about in yaml.safe_load(text).items()}


def scored_shape(model: ModelConfig) -> Shape | None:
    """Give the shape of what is scored for a model's settings; None where it is not known.

    A checkpoint loaded as another type is scored in that type's standard shape.
    """
    shape = shapes().get(model.id)
    if shape is None or not isinstance(model, MisloadedConfig):
        return shape
    return replace(shape, type=model.load_as, config={})
