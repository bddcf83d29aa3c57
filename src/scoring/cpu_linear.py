"""Linear layers on the CPU by oneDNN, with weights laid out for it once.

torch multiplies fp32 matrices by MKL, which does not use all of every processor: on an AMD EPYC
with AVX-512 oneDNN is 1.2 times as fast. Results differ in the order of adding only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

MEMORY_SHARE = 0.25
"""Of the machine's memory, what the weights laid out a second time may take."""


class PackedLinears:
    """Gives a model's fp32 linear layers on the CPU another `forward` while it is in use.

    Their own weights stay, so that the model is the same one before and after.
    """

    def __init__(self, model: nn.Module) -> None:
        """Lay the weights out, if there is memory for it."""
        self._forwards: list[tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor]]] = []
        layers = list(_suited(model)) if _available() else []
        size = sum(layer.weight.nbytes for layer in layers)
        # Of all memory and not of what is free now: the same settings must give the same bits.
        if size > MEMORY_SHARE * psutil.virtual_memory().total:
            return
        for layer in layers:
            weight = layer.weight.detach()
            weight = weight.t().contiguous() if isinstance(layer, Conv1D) else weight
            packed = torch.ops.mkldnn._reorder_linear_weight(weight)
            self._forwards.append((layer, partial(_multiply, packed, layer.bias)))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Change the layers, and change them back."""
        for layer, forward in self._forwards:
            layer.forward = forward
        try:
            yield
        finally:
            for layer, _ in self._forwards:
                del layer.forward


def _multiply(packed: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return product


def _available() -> bool:
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )


def _suited(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        # A subclass, or a layer whose forward was replaced, computes something of its own.
        if type(module) in (nn.Linear, Conv1D) and "forward" not in vars(module):
            weight = module.weight
            # A weight of a library's own tensor type says float32 and is stored as something else.
            plain = type(weight) in (nn.Parameter, torch.Tensor)
            if plain and weight.device.type == "cpu" and weight.dtype == torch.float32:
                yield module
