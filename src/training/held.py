"""Tuning a model that is compressed already, so that it stays compressed.

Pruned weights stay zero: no gradient reaches them, and each step sets them to zero again. Rounded
ones are computed with at each step, and their gradient goes straight through to full-precision
weights behind them (Bengio et al. 2013), which the compression rounds again where the checkpoint is
measured. Activations are not rounded while tuning.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import TrainerCallback
from transformers.pytorch_utils import Conv1D

from src.compression.calibration import Calibration
from src.compression.layers.dynamic_int8 import quantize_weight
from src.compression.layers.grid import Grid, dequantize, quantize
from src.compression.registry import compress
from src.errors import Unsupported
from src.models.subject import Subject

PRUNED = ("prune", "wanda", "sparsegpt")
Round = Callable[[torch.Tensor], torch.Tensor]
"""From a weight, (out, in), to the values that it is rounded to."""


def _uniform(settings: Any) -> Round:
    symmetric = settings.scheme == "symmetric"
    grid = Grid(settings.weight_bits, settings.granularity, settings.group_size, symmetric)
    return lambda weight: dequantize(quantize(weight, grid), grid, weight.shape[1])


def _ptq(settings: Any) -> Round:
    del settings

    def rounded(weight: torch.Tensor) -> torch.Tensor:
        values, scale = quantize_weight(weight)
        return values.float() * scale

    return rounded


ROUNDED: dict[str, Callable[[Any], Round]] = {"uniform": _uniform, "ptq": _ptq}
"""Kind of compression -> what makes its rounding of its settings."""


class KeptZeros(TrainerCallback):
    """Keeps weights that are zero so, whatever the optimiser."""

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        """Args: the weights, as the compression left them."""
        self.gone = [(weight, weight.detach() == 0) for weight in weights]
        for weight, gone in self.gone:
            # So that neither the gradient's norm nor moments know of them.
            weight.register_hook(partial(torch.Tensor.masked_fill, mask=gone, value=0))

    @torch.no_grad()
    def on_optimizer_step(self, *unused: Any, **also_unused: Any) -> None:
        """Set them to zero again: Muon moves all of a matrix, with a gradient or without."""
        del unused, also_unused
        for weight, gone in self.gone:
            weight.masked_fill_(gone, 0)


class StraightThrough(nn.Module):
    """Computes with a rounded weight; its gradient is taken for that of the weight behind it."""

    def __init__(self, rounded: Round, transposed: bool) -> None:
        """Args: the rounding, and whether the weight is stored as (in, out)."""
        super().__init__()
        self.rounded, self.transposed = rounded, transposed

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Give the rounded weight in the shape and dtype that it is stored in."""
        with torch.no_grad():
            wide = weight.t() if self.transposed else weight
            new = self.rounded(wide).to(weight.dtype)
            moved = (new.t() if self.transposed else new) - weight
        return weight + moved


def hold(
    subject: Subject, settings: Any, calibrations: Mapping[str, Calibration] | None = None
) -> list[TrainerCallback]:
    """Compress a subject so that training its weights leaves it compressed.

    Args:
        subject: Its weights are to be trained: they have gradients.
        settings: Of a compression.
        calibrations: What a calibrated method lets the model read, by its name.

    Returns:
        Callbacks that the training is to have.

    Raises:
        Unsupported: The compression leaves no weights that could be tuned within it.
        InputError: It changes nothing.
    """
    kind = settings.kind
    if kind in PRUNED:
        changes = compress(subject, settings, calibrations).changes
        modules = (subject.model.get_submodule(change.module) for change in changes)
        return [KeptZeros(module.get_parameter("weight") for module in modules)]
    if kind in ROUNDED:
        twin = replace(subject, model=copy.deepcopy(subject.model))
        for change in compress(twin, settings, calibrations).changes:
            module = subject.model.get_submodule(change.module)
            rounding = StraightThrough(ROUNDED[kind](settings), isinstance(module, Conv1D))
            parametrize.register_parametrization(module, "weight", rounding)
        return []
    raise Unsupported(
        f"compression={settings.name} cannot be held while the model is tuned: this is made "
        f"for {', '.join((*PRUNED, *ROUNDED))}. For a method that leaves an ordinary smaller "
        "model, export it (python -m src.export) and tune that folder."
    )


@contextmanager
def unheld(model: Any) -> Iterator[None]:
    """Let a model compute, in the block, with the weights that are behind the rounded ones."""
    held = [module for module in model.modules() if parametrize.is_parametrized(module, "weight")]
    roundings = [module.parametrizations.weight[0] for module in held]
    for module in held:
        # The parameter stays the object that an optimiser knows.
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    try:
        yield
    finally:
        for module, rounding in zip(held, roundings, strict=True):
            parametrize.register_parametrization(module, "weight", rounding)
