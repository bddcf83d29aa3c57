"""HQQ: half-quadratic quantization (Badri and Shaji 2023), which needs no calibration text.

Weights become integers in groups with a scale and a zero point, both in the model's precision,
found by a few steps that make a robust error small. It computes with the weight they stand for.
6 and 5 bits are stored in 8, ternary in 2. Quantizing is slower than rounding to nearest: seconds
for each ten million weights on a CPU.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from src.choices import at_least, help_, one_of
from src.compression.library import MODULES, dense_layer, library, replace_by_library
from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

BITS = (8, 6, 5, 4, 3, 2, 1.58, 1)


@dataclass
class HqqConfig:
    """Settings of HQQ."""

    libraries: ClassVar[tuple[str, ...]] = ("hqq",)

    kind: str = "hqq"
    name: str = "hqq"
    weight_bits: int | float = field(default=4, metadata=help_("bits of a weight", BITS))
    group_size: int = field(
        default=64, metadata=help_("weights of an output channel that share scale and zero point")
    )
    modules: str = field(default="blocks", metadata=help_("which linear layers", MODULES))

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible.
        """
        one_of("compression.modules", self.modules, MODULES)
        one_of("compression.weight_bits", self.weight_bits, BITS)
        at_least("compression.group_size", self.group_size, 8)


@compression("hqq", HqqConfig)
def quantize(subject: "Subject", settings: HqqConfig) -> Outcome:
    """Replace linear layers by those of HQQ."""
    library("hqq.core.quantize")
    from src.compression.layers.hqq import HalfQuadraticLinear

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        dense = dense_layer(weight, bias)
        return HalfQuadraticLinear(dense, settings.weight_bits, settings.group_size)

    def unfit(shape: "torch.Size") -> str:
        size = settings.group_size
        return (
            f"its {shape[1]} inputs are no multiple of compression.group_size={size}"
            if shape[1] % size
            else ""
        )

    outcome = replace_by_library(subject, settings.modules, build, unfit)
    return replace(outcome, nominal_bits=float(settings.weight_bits))
