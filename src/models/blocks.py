"""The repeated blocks of a model, found by their structure and not by an architecture's names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def outermost_lists(model: "nn.Module") -> dict[str, "nn.ModuleList"]:
    """Find the module lists that lie in no other one: the blocks, and rarely something else.

    Args:
        model: Any model.

    Returns:
        Dotted name -> list, in the model's order.
    """
    from torch import nn

    found: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and not inside:
            found[name] = module
    return found


def block_names(model: "nn.Module", modules: Iterable[str]) -> dict[str, str]:
    """Say for each module in which block of the model it lies.

    Args:
        model: Any model.
        modules: Dotted names of some of its modules.

    Returns:
        Dotted name of the module -> dotted name of its block ("bert.encoder.layer.3"); of those
        outside (head, pooler, projections) there is none.
    """
    lists = outermost_lists(model)
    found = {}
    for name in modules:
        for outer in lists:
            if name.startswith(f"{outer}."):
                index = name[len(outer) + 1 :].partition(".")[0]
                found[name] = f"{outer}.{index}"
    return found
