"""Choosing the layers that are pruned."""

from collections.abc import Mapping

from torch import nn

from src.compression.linears import linear_weight
from src.compression.pruning.config import PruningConfig
from src.compression.targets import linears_of
from src.models.subject import Subject


def find_layers(
    subject: Subject, settings: PruningConfig
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """List the layers to prune.

    Args:
        subject: The loaded subject.
        settings: Which modules, and the pattern that has to fit them.

    Returns:
        Dotted name -> layer, and those left alone -> why.
    """
    linears, skipped = linears_of(subject, settings.modules)
    widths = {name: linear_weight(module).shape[1] for name, module in linears.items()}
    for name, width in widths.items():
        if settings.m and width % settings.m:
            skipped[name] = f"its {width} inputs cannot be divided into groups of {settings.m}"
            del linears[name]
    return linears, skipped


def kept_ties(subject: Subject, layers: Mapping[str, nn.Module]) -> list[str]:
    """Name the layers whose weight is the input embeddings', which are pruned along with them."""
    embedding = subject.model.get_input_embeddings().weight
    return [name for name, module in layers.items() if module.weight is embedding]
