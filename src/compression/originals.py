"""A model's weights before the first step of a stack, for errors against what it once was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.compression.linears import dense_weight
from src.compression.receipt import Change, Step, describe_change

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
    """

    name: str
    kind: str
    weight: "torch.Tensor"
    module: "nn.Module | None"
    now: str


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
        self._model = model

    def follow(self, model: "nn.Module") -> None:
        """Find each module again after a step.

        A step may change a module in place, put another in its place, remove it, or remove one
        before it, after which the later ones have other names.
        """
        modules = dict(model.named_modules())
        names = {id(module): name for name, module in modules.items()}
        known = {id(one.module) for one in self._originals if one.module is not None}
        for one in self._originals:
            if one.module is None:
                continue
            if id(one.module) in names:
                one.now = names[id(one.module)]
                continue
            there = modules.get(one.now)
            one.module = None if there is None or id(there) in known else there

    def changes(self, steps: Sequence[Step]) -> tuple[Change, ...]:
        """Compare what has become of each module that a step changed with what it was.

        Args:
            steps: What the steps did.

        Returns:
            One change a module under its original name; a removed one is all zeros in no bits.
        """
        # Where all parameters are cast, a change is one of a parameter.
        every = [(c.module.removesuffix(".weight"), c) for step in steps for c in step.changes]
        last = dict(every)
        untied = {name: change.untied_from for name, change in every if change.untied_from}
        found = []
        for one in self._originals:
            if one.module is None:
                nothing = one.weight.new_zeros(()).expand_as(one.weight)
                found.append(describe_change(one.name, one.kind, one.weight, nothing, 0.0))
            elif one.now in last:
                after = dense_weight(one.module)
                after = None if after is None else after.cpu()
                bits = last[one.now].bits
                tie = untied.get(one.now, "")
                found.append(describe_change(one.name, one.kind, one.weight, after, bits, tie))
        return tuple(found)
