"""A model's weights before the first step of a stack, for errors against what it once was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.compression.linears import dense_weight
from src.compression.receipt import Change, describe_change
from src.compression.storage import weight_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(slots=True)
class _Original:
    """One module's weight as it was, and where what became of the module is now.

    Attributes:
        name: Its name in the original model.
        kind: What it was.
        weight: As from `dense_weight`, on the CPU.
        module: What stands in its place; None where a step removed it.
        now: The name of that.
        changed: Whether a step changed it.
        untied_from: Name of the module whose weight it shared, empty if none.
    """

    name: str
    kind: str
    weight: "torch.Tensor"
    module: "nn.Module | None"
    now: str
    changed: bool = False
    untied_from: str = ""


class Originals:
    """Keeps a copy of every weight matrix, and follows the modules through the steps."""

    def __init__(self, model: "nn.Module") -> None:
        """Copy the weights of `model`; tied ones once."""
        copies: dict[int, torch.Tensor] = {}
        self._originals = []
        for name, module in model.named_modules():
            weight = dense_weight(module)
            if weight is not None:
                copy = copies.setdefault(weight.data_ptr(), weight.detach().cpu().clone())
                kind = type(module).__name__
                self._originals.append(_Original(name, kind, copy, module, name))

    def follow(self, model: "nn.Module", changes: Sequence[Change]) -> None:
        """Find each module again after a step.

        A step may change a module in place, put another in its place, remove it, or remove one
        before it, after which the later ones have other names.

        Args:
            model: As the step left it.
            changes: What the step reports, under the names that it met.
        """
        touched = {name for change in changes for name in _within(change.module)}
        untied = {change.module: change.untied_from for change in changes}
        modules = dict(model.named_modules())
        names = {id(module): name for name, module in modules.items()}
        known = {id(one.module) for one in self._originals if one.module is not None}
        for one in self._originals:
            if one.module is None:
                continue
            one.changed = one.changed or one.now in touched
            one.untied_from = untied.get(one.now, "") or one.untied_from
            if id(one.module) in names:
                one.now = names[id(one.module)]
            else:
                there = modules.get(one.now)
                one.module = None if there is None or id(there) in known else there

    def changes(self) -> tuple[Change, ...]:
        """Compare what has become of each changed module with what it was.

        Returns:
            One change a module under its original name; a removed one is all zeros in no bits. Two
            that share a weight to the end, as embeddings and a tied head, are one change.
        """
        changed = [one for one in self._originals if one.changed or not one.module]
        different: dict[tuple[int, int], _Original] = {}
        for one in changed:
            now = getattr(one.module, "weight", None)
            different.setdefault((id(one.weight), id(now)), one)
        return tuple(_compared(one) for one in different.values())


def _compared(one: _Original) -> Change:
    if one.module is None:
        nothing = one.weight.new_zeros(()).expand_as(one.weight)
        return describe_change(one.name, one.kind, one.weight, nothing, bits=0.0)
    after = dense_weight(one.module)
    after = None if after is None else after.cpu()
    bits = 8 * weight_bytes(one.module) / one.weight.numel()
    return describe_change(one.name, one.kind, one.weight, after, bits, one.untied_from)


def _within(name: str) -> list[str]:
    """Name a module and all that it lies in: a step may change a part of what an earlier one made.

    A parameter, where a step casts all of them, lies in its module.
    """
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
