"""`compression=noise`: a control that disturbs each layer as much as another method does.

Each weight matrix that the other method changes gets Gaussian noise of the same relative Frobenius
error, ||W - W'|| / ||W||, so that what its way of erring does can be told from what any error of
that size does. What the method does besides to activations is not imitated.
"""

import copy
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from src.choices import help_
from src.compression.receipt import Change, describe_change
from src.compression.registry import METHODS, Outcome, compression
from src.compression.stack import is_dense
from src.errors import InputError, Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.compression.calibration import Calibration
    from src.models.subject import Subject


@dataclass
class NoiseConfig:
    """Settings of the matched noise."""

    kind: str = "noise"
    name: str = "noise"
    like: Any = field(
        default=MISSING,
        metadata=help_("the method whose error is matched; another: compression@compression.like="),
    )
    seed: int = field(default=0, metadata=help_("of the noise"))

    def __post_init__(self) -> None:
        """Check the method.

        Raises:
            InputError: It has no error to match.
        """
        kind = getattr(self.like, "kind", None)
        if kind in (None, "noise") or is_dense(self.like):
            raise InputError(
                f"compression.like={kind or 'a stack'} is not possible: noise is matched to one "
                "method that changes weights, as in compression@compression.like=ptq."
            )

    @property
    def calibration(self) -> Any:
        """What the other method calibrates on, where it does."""
        return getattr(self.like, "calibration", None)


@compression("noise", NoiseConfig, calibrated=lambda s: METHODS[s.like.kind].needs(s.like))
def add_noise(
    subject: "Subject", settings: NoiseConfig, calibration: "Calibration | None" = None
) -> Outcome:
    """Run the other method on a copy of the model, and disturb the model as much.

    Raises:
        Unsupported: The other method does not say how much it changes the weights of this model.
    """
    import torch

    from src.device import release_memory

    method = METHODS[settings.like.kind]
    twin = replace(subject, model=copy.deepcopy(subject.model))
    arguments = (calibration,) if method.needs(settings.like) else ()
    outcome = method.transform(twin, settings.like, *arguments)
    del twin
    release_memory()  # a copy of the model, held by cycles of hooks
    if not outcome.changes:
        raise Unsupported(
            f"compression={settings.like.name} changes no layers that noise could be added to"
        )
    generator = torch.Generator().manual_seed(settings.seed)
    changes = []
    for change in outcome.changes:
        module, name = _owner(subject, change, settings.like.name)
        weight = module.get_parameter(name)
        new = noisy(weight.detach(), change.relative_error, generator)
        bits = 8.0 * weight.element_size()
        tie = change.untied_from
        changes.append(describe_change(change.module, change.kind, weight, new, bits, tie))
        if tie:  # the other method has separated it from what it shared the weight with
            setattr(module, name, torch.nn.Parameter(new, requires_grad=False))
        else:
            weight.data.copy_(new)
    return Outcome(tuple(changes), outcome.skipped, {"like": settings.like.kind})


def noisy(
    weight: "torch.Tensor", relative_error: float, generator: "torch.Generator"
) -> "torch.Tensor":
    """Add Gaussian noise of a given relative Frobenius error to a weight.

    Args:
        weight: Any shape, float.
        relative_error: ||noise|| / ||weight||.
        generator: On the CPU, so that the noise is the same on every device.

    Returns:
        The new weight, of the same dtype.
    """
    import torch

    noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    size = relative_error * float(weight.double().norm()) / max(float(noise.norm()), 1e-300)
    return (weight.double() + (noise * size).to(weight.device)).to(weight.dtype)


def _owner(subject: "Subject", change: Change, method: str) -> "tuple[nn.Module, str]":
    """Find the weight that a change is about: its module, and its name there."""
    if math.isnan(change.relative_error):
        raise Unsupported(f"compression={method} does not tell its error in {change.module}")
    parameters = dict(subject.model.named_parameters(remove_duplicate=False))
    for path in (f"{change.module}.weight", change.module):
        if path in parameters:
            module, _, name = path.rpartition(".")
            return subject.model.get_submodule(module), name
    raise Unsupported(f"{change.module}, which compression={method} changes, has no weight here")
