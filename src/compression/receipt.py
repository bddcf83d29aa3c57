"""The receipt: what a compression really did, measured on the model and not promised."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PART = 2**24
"""Weights that are compared at a time, in doubles: an fp32 norm of a large matrix rounds away what
a lossless change must not have, and a large head in doubles may not fit beside the model."""


@dataclass(frozen=True, slots=True)
class Change:
    """One module that was changed.

    Attributes:
        module: Its dotted name.
        kind: What it was ("Linear").
        elements: Weights in it.
        bits: Stored bits per weight, scales and zero points included.
        relative_error: ||W - W'||_F / ||W||_F of the weights; 0 for a lossless change, NaN where
            the new weights cannot be had.
        norm: ||W||_F, so that errors of several modules can be added up.
        sparsity: Share of the weights that are exactly 0 afterwards.
        untied_from: Name of the module whose weight it shared before, empty if none.
    """

    module: str
    kind: str
    elements: int
    bits: float
    relative_error: float
    norm: float
    sparsity: float = 0.0
    untied_from: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one method of a stack did; errors are against the weights that it was given.

    Attributes:
        step: Its name in the stack.
        method: Kind of the method.
        settings: Its settings.
        changes: One entry a changed module.
        skipped: Modules left alone -> why.
        details: Facts that only this method has.
        relative_error: Over all changed weights together.
        sparsity: Share of exact zeros among the changed weights afterwards.
        nominal_bits: Bits per weight as the method calls itself, where it says.
        memory_bytes_after: Bytes of all tensors afterwards.
        hash_before: Of the model that it was given.
        hash_after: Of the model that it left.
        seconds: Time it took.
    """

    step: str
    method: str
    settings: dict[str, Any]
    changes: tuple[Change, ...]
    skipped: dict[str, str]
    details: dict[str, Any]
    relative_error: float
    sparsity: float
    nominal_bits: float | None
    memory_bytes_after: int
    hash_before: str
    hash_after: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """All that one compression did, with sizes and hashes before and after.

    Attributes:
        method: Kind of the method; of a stack "prune+uniform".
        settings: Its settings; of a stack those of each step, and their order.
        changes: One entry a changed module, errors against the original weights (or, of a stack,
            those of the model that a step put into the place of the original).
        skipped: Modules left alone -> why.
        details: Facts that only this method has; of a stack by step.
        elements: Weights and buffers of the whole model before.
        elements_changed: Weights in changed modules.
        memory_bytes_before: Bytes of all tensors, shared storage counted once.
        memory_bytes_after: The same after.
        disk_bytes: Size of the safetensors file that the compressed model's state makes.
        mean_bits: Stored bits over all elements: 8 * memory_bytes_after / elements.
        stored_bits: Stored bits per weight over the changed weights; None where there are none.
        nominal_bits: Bits per weight as the (last) method calls itself, where it says.
        sparsity: Share of exact zeros among the changed weights.
        relative_error: Over all changed weights together (root of summed squares); NaN where they
            cannot be compared, as those of another model.
        hash_before: sha256 over names, dtypes and values of all tensors.
        hash_after: The same after.
        seconds: Time the transforms took.
        steps: Of a stack one entry a step; empty for a single method.
    """

    method: str
    settings: dict[str, Any]
    changes: tuple[Change, ...]
    skipped: dict[str, str]
    details: dict[str, Any]
    elements: int
    elements_changed: int
    memory_bytes_before: int
    memory_bytes_after: int
    disk_bytes: int
    mean_bits: float
    stored_bits: float | None
    nominal_bits: float | None
    sparsity: float
    relative_error: float
    hash_before: str
    hash_after: str
    seconds: float
    steps: tuple[Step, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any tensor is different from before."""
        return self.hash_before != self.hash_after


def describe_change(
    module: str,
    kind: str,
    before: "torch.Tensor",
    after: "torch.Tensor | None",
    bits: float,
    untied_from: str = "",
) -> Change:
    """Measure one module's change.

    Args:
        module: Its dotted name.
        kind: What it was.
        before: The weight as it was, any shape and dtype.
        after: The weight that the new module stands for, in the same shape; None where it cannot
            be had.
        bits: Stored bits per weight, scales and zero points included.
        untied_from: Name of the module whose weight it shared before, empty if none.
    """
    old = before.detach().reshape(-1)
    norm = math.sqrt(sum(float(part.double().square().sum()) for part in old.split(PART)))
    error, sparsity = math.nan, math.nan
    if after is not None:
        new = after.detach().to(old.device).reshape(-1)
        pairs = zip(old.split(PART), new.split(PART), strict=True)
        squares = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)
        error = math.sqrt(squares) / norm if norm else math.sqrt(squares)
        sparsity = 1 - int(new.count_nonzero()) / max(new.numel(), 1)
    return Change(module, kind, before.numel(), bits, error, norm, sparsity, untied_from)


def total_error(changes: Sequence[Change]) -> float:
    """Give the relative error over the weights of several modules together.

    Returns:
        sqrt(sum ||W - W'||^2 / sum ||W||^2); 0 where nothing changed, NaN where one is unknown.
    """
    total = sum(change.norm**2 for change in changes)
    squares = sum((change.relative_error * change.norm) ** 2 for change in changes)
    return math.sqrt(squares / total) if total else 0.0


def mean_over_weights(changes: Sequence[Change], name: str) -> float | None:
    """Average `bits` or `sparsity` of several modules over their weights; None without any."""
    elements = sum(change.elements for change in changes)
    weighted = sum(getattr(change, name) * change.elements for change in changes)
    return weighted / elements if elements else None
