"""bitsandbytes: LLM.int8, and 4 bits as NF4 or FP4.

LLM.int8 (Dettmers et al. 2022) has int8 weights, one scale an output channel, and quantizes each
token's activations; input features in which any token exceeds a threshold are computed with half
precision activations instead. The library looks for them over its whole input, so that a token's
numbers depend on the other rows of the batch. Here each sequence is an input of its own: the
numbers of the sequences one by one, at any batch size. Within a sequence the dependence is the
method's own: a causal model's prediction depends a little on tokens that come later.

NF4 and FP4 (Dettmers et al. 2023) store 4 bits and a scale for each block of weights, and compute
with the weight they stand for. The library's kernels differ by device (with AVX512-BF16 they round
activations and scales to bfloat16); here the weight is unpacked and multiplied in the model's own
precision everywhere.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from src.choices import at_least, help_, one_of
from src.compression.library import MODULES, library, replace_by_library
from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

SCHEMES = ("int8", "nf4", "fp4")
BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)


@dataclass
class BitsAndBytesConfig:
    """Settings of bitsandbytes."""

    libraries: ClassVar[tuple[str, ...]] = ("bitsandbytes",)

    kind: str = "bitsandbytes"
    name: str = "bitsandbytes"
    scheme: str = field(default="int8", metadata=help_("what weights become", SCHEMES))
    threshold: float = field(
        default=6.0,
        metadata=help_(
            "scheme int8: input features beyond it are computed in half precision; 0: none are"
        ),
    )
    block_size: int = field(
        default=64, metadata=help_("schemes nf4 and fp4: weights that share a scale", BLOCKS)
    )
    double_quant: bool = field(
        default=False, metadata=help_("schemes nf4 and fp4: the scales are quantized to 8 bits too")
    )
    modules: str = field(default="blocks", metadata=help_("which linear layers", MODULES))

    @property
    def spans_sequences(self) -> bool:
        """Whether a choice is made over a whole sequence: that of outlier features is."""
        return self.scheme == "int8"

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible.
        """
        one_of("compression.modules", self.modules, MODULES)
        one_of("compression.scheme", self.scheme, SCHEMES)
        one_of("compression.block_size", self.block_size, BLOCKS)
        at_least("compression.threshold", self.threshold, 0)


@compression("bitsandbytes", BitsAndBytesConfig)
def quantize(subject: "Subject", settings: BitsAndBytesConfig) -> Outcome:
    """Replace linear layers by those of bitsandbytes."""
    library("bitsandbytes")
    if settings.scheme == "int8":
        build, details = _int8(subject, settings)
        outcome = replace_by_library(subject, settings.modules, build)
        return replace(outcome, details=details, nominal_bits=8.0)

    def unfit(shape: "torch.Size") -> str:
        whole = shape.numel() % settings.block_size == 0
        return "" if whole else "its weights are no multiple of compression.block_size"

    build, details = _four(settings)
    outcome = replace_by_library(subject, settings.modules, build, unfit)
    return replace(outcome, details=details, nominal_bits=4.0)


def _int8(subject: "Subject", settings: BitsAndBytesConfig) -> tuple[Any, dict[str, Any]]:
    from src.compression.layers.bitsandbytes import SequenceInt8Linear
    from src.models.batch_layout import BatchLayout

    layout = BatchLayout(subject.model)

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        return SequenceInt8Linear(weight, bias, layout, settings.threshold)

    return build, {
        "activations": "rounded to float16, then to int8 a token; outlier features in float16",
        "outlier_features": "found in each sequence, not in the whole batch",
    }


def _four(settings: BitsAndBytesConfig) -> tuple[Any, dict[str, Any]]:
    from src.compression.layers.bitsandbytes import FourBitLinear

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        return FourBitLinear(
            weight, bias, settings.scheme, settings.block_size, settings.double_quant
        )

    return build, {"activations": "in the model's own precision"}
