"""Choosing the layers that are pruned, and giving them their new weights in place."""

from collections.abc import Mapping

import torch
from torch import nn

from src.compression.linears import linear_weight
from src.compression.pruning.config import PruningConfig
from src.compression.receipt import Change, describe_change
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


def set_weight(name: str, module: nn.Module, new: torch.Tensor) -> Change:
    """Give a layer a new weight, in place: what shares the weight has the new one too.

    Args:
        name: Its dotted name.
        module: An nn.Linear or a Conv1D.
        new: (out, in), any float dtype.

    Returns:
        The change; zeros are stored like any other weight.
    """
    weight = module.get_parameter("weight")
    old, new = linear_weight(module), new.to(weight.dtype)
    bits = 8.0 * weight.element_size()
    change = describe_change(name, type(module).__name__, old, new, bits)
    with torch.no_grad():
        weight.copy_(new if isinstance(module, nn.Linear) else new.t())
    return change


def kept_ties(subject: Subject, layers: Mapping[str, nn.Module]) -> list[str]:
    """Name the layers whose weight is the input embeddings', which are pruned along with them."""
    embedding = subject.model.get_input_embeddings().weight
    return [name for name, module in layers.items() if module.weight is embedding]
