"""`compression=fp16`: half precision, as the paper's code has it or of the whole model."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import help_, one_of
from src.compression.linears import find_linears, replace_linears
from src.compression.receipt import describe_change
from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

MODES = ("weights", "model")


@dataclass
class Fp16Config:
    """Settings of half precision."""

    kind: str = "fp16"
    name: str = "fp16"
    mode: str = field(
        default="weights",
        metadata=help_(
            "weights: fp16 weights of linear layers, fp32 activations, as the official code; "
            "model: everything in fp16",
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
            InputError: `mode` is not among its choices.
        """
        one_of("compression.mode", self.mode, MODES)


@compression("fp16", Fp16Config)
def halve(subject: "Subject", settings: Fp16Config) -> Outcome:
    """Store linear layers, or the whole model, in fp16."""
    return _whole_model(subject) if settings.mode == "model" else _weights(subject, settings)


def _weights(subject: "Subject", settings: Fp16Config) -> Outcome:
    from src.compression.layers.half_weight import HalfWeightLinear

    def build(
        weight: "torch.Tensor", bias: "torch.Tensor | None"
    ) -> tuple["nn.Module", "torch.Tensor"]:
        layer = HalfWeightLinear(weight, bias)
        return layer, layer.dense_weight()

    linears, skipped = find_linears(subject, settings.conv1d)
    changes = replace_linears(subject, linears, build, bits=16.0)
    return Outcome(changes, skipped, nominal_bits=16.0)


def _whole_model(subject: "Subject") -> Outcome:
    changes = tuple(
        describe_change(name, "parameter", parameter, parameter.half(), bits=16.0)
        for name, parameter in subject.model.named_parameters()
    )
    subject.model.half()
    return Outcome(changes, {}, nominal_bits=16.0)
