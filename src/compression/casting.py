"""Narrower floating-point numbers: fp16 as the paper's code has it, bf16, fp8, or a whole model."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import help_, one_of
from src.compression.linears import find_linears, replace_linears
from src.compression.receipt import describe_change
from src.compression.registry import Outcome, compression
from src.errors import InputError, Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

FORMATS = {
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp8_e4m3": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2",
}
"""Name in the settings -> torch's."""
MODES = ("weights", "model")


@dataclass
class CastConfig:
    """Settings of a cast."""

    kind: str = "cast"
    name: str = "fp16"
    format: str = field(
        default="fp16", metadata=help_("of the stored numbers; fp8 has a scale a layer", FORMATS)
    )
    mode: str = field(
        default="weights",
        metadata=help_(
            "weights: those of linear layers, activations in fp32, as the official code; "
            "model: everything, activations too",
            MODES,
        ),
    )
    conv1d: bool = field(
        default=False,
        metadata=help_("mode weights: also GPT-2's Conv1D, which the official code leaves alone"),
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not among its choices, or two do not go together.
        """
        one_of("compression.format", self.format, FORMATS)
        one_of("compression.mode", self.mode, MODES)
        if self.mode == "model" and self.format.startswith("fp8"):
            raise InputError(
                f"compression.mode=model is not possible with compression.format={self.format}: "
                "fp8 is a format to store weights in, and models do not compute in it."
            )


@compression("cast", CastConfig)
def cast(subject: "Subject", settings: CastConfig) -> Outcome:
    """Store linear layers, or the whole model, in a narrower format.

    Raises:
        Unsupported: This torch or device cannot convert to the format.
    """
    dtype = _dtype(settings.format, subject.device)
    bits = 8.0 * dtype.itemsize
    if settings.mode == "model":
        changes = tuple(
            describe_change(name, "parameter", parameter, parameter.to(dtype), bits)
            for name, parameter in subject.model.named_parameters()
        )
        _cast_all(subject.model, dtype)
        return Outcome(changes, {}, nominal_bits=bits)
    from src.compression.layers.cast_weight import CastLinear

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        return CastLinear(weight, bias, dtype)

    linears, skipped = find_linears(subject, settings.conv1d)
    changes = replace_linears(subject, linears, build)
    return Outcome(changes, skipped, nominal_bits=bits)


def _cast_all(model: "nn.Module", dtype: "torch.dtype") -> None:
    """Give a model the format that a checkpoint loaded in it has.

    What the model computes by itself and saves in no checkpoint stays as it is: rotary positions in
    16 bits would be other positions.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    saved = model.state_dict().keys()
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name in saved and buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)


def _dtype(name: str, device: "torch.device") -> "torch.dtype":
    """Give torch's name of a format, if this torch and device can convert to it and back."""
    import torch

    dtype = getattr(torch, FORMATS[name], None)
    try:
        if dtype is None:
            raise NotImplementedError(f"torch {torch.__version__} has no {FORMATS[name]}")
        torch.ones(2, device=device).to(dtype).float()
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Unsupported(f"{name} cannot be stored on {device}: {reason}") from error
    assert isinstance(dtype, torch.dtype)
    return dtype
