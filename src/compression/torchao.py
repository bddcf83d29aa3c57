"""torchao's quantizers: int8, dynamic int8, 1 to 8 bits, int4.

`int8` and `int8_dynamic` are torchao's own defaults: a scale for each output channel, symmetric;
`int8_dynamic` quantizes each token's activations too, so that a token's numbers depend on no other.
`intx` rounds weights to a few bits and computes with what they stand for. torchao stores each of
them in a whole byte on CPU and CUDA, so the receipt has the nominal bits and the stored ones.
`int4` is stored packed, in a layout that only CUDA has kernels for.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from src.choices import at_least, help_, one_of
from src.compression.library import MODULES, dense_layer, library, replace_by_library
from src.compression.registry import Outcome, compression
from src.errors import InputError, Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

SCHEMES = ("int8", "int8_dynamic", "intx", "int4")
SCALES = ("range", "search")
INT4_GROUPS = (32, 64, 128, 256)


@dataclass
class TorchaoConfig:
    """Settings of torchao's quantizers."""

    libraries: ClassVar[tuple[str, ...]] = ("torchao",)

    kind: str = "torchao"
    name: str = "torchao"
    scheme: str = field(
        default="int8", metadata=help_("what weights and activations become", SCHEMES)
    )
    weight_bits: int = field(default=4, metadata=help_("scheme intx: 1 to 8"))
    group_size: int | None = field(
        default=None,
        metadata=help_(
            "schemes intx and int4: weights of an output channel that share a scale; null: all of "
            "them (intx), 128 (int4)"
        ),
    )
    symmetric: bool = field(
        default=True, metadata=help_("scheme intx: no zero point beside the scale")
    )
    scales: str = field(
        default="range",
        metadata=help_(
            "scheme intx: range: from the smallest and largest weight; search: those that make the "
            "error smallest (HQQ without zero points)",
            SCALES,
        ),
    )
    modules: str = field(default="blocks", metadata=help_("which linear layers", MODULES))

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible, or would make every weight zero.
        """
        one_of("compression.modules", self.modules, MODULES)
        one_of("compression.scheme", self.scheme, SCHEMES)
        one_of("compression.weight_bits", self.weight_bits, range(1, 9))
        one_of("compression.scales", self.scales, SCALES)
        at_least("compression.group_size", self.group_size, 2)
        if self.scheme == "int4":
            one_of("compression.group_size", self.group_size or 128, INT4_GROUPS)
        if self.scheme == "intx" and self.weight_bits == 1 and self.scales == "range":
            raise InputError(
                "compression.weight_bits=1 with compression.scales=range rounds every weight to "
                "zero; add compression.scales=search."
            )


@compression("torchao", TorchaoConfig)
def quantize(subject: "Subject", settings: TorchaoConfig) -> Outcome:
    """Quantize linear layers with torchao."""
    quantization = library("torchao.quantization")
    if settings.scheme == "int4":
        _check_int4(subject)
    config = _config(quantization, settings)
    size = (settings.group_size or 128) if settings.scheme == "int4" else settings.group_size

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        from torch import nn

        # torchao works on the children of a module.
        holder = nn.Sequential(dense_layer(weight, bias))
        quantization.quantize_(holder, config)
        holder.requires_grad_(False)
        return holder[0]

    def unfit(shape: "torch.Size") -> str:
        grouped = settings.scheme in ("intx", "int4") and size is not None
        if grouped and size is not None and shape[1] % size:
            return f"its {shape[1]} inputs are no multiple of compression.group_size={size}"
        return ""

    outcome = replace_by_library(subject, settings.modules, build, unfit)
    bits = {"int4": 4.0, "intx": float(settings.weight_bits)}.get(settings.scheme, 8.0)
    return replace(outcome, nominal_bits=bits)


def _config(quantization: Any, settings: TorchaoConfig) -> Any:
    import torch

    # set_inductor_config would change torch.compile's settings for the whole process.
    match settings.scheme:
        case "int8":
            return quantization.Int8WeightOnlyConfig(set_inductor_config=False)
        case "int8_dynamic":
            return quantization.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
        case "int4":
            return quantization.Int4WeightOnlyConfig(
                group_size=settings.group_size or 128,
                int4_packing_format="tile_packed_to_4d",
                set_inductor_config=False,
            )
    size = settings.group_size
    return quantization.IntxWeightOnlyConfig(
        weight_dtype=getattr(torch, f"int{settings.weight_bits}"),
        granularity=quantization.PerAxis(0) if size is None else quantization.PerGroup(size),
        mapping_type=quantization.MappingType["SYMMETRIC" if settings.symmetric else "ASYMMETRIC"],
        intx_choose_qparams_algorithm="affine" if settings.scales == "range" else "hqq_scale_only",
    )


def _check_int4(subject: "Subject") -> None:
    import torch

    if subject.device.type != "cuda":
        raise Unsupported(
            f"torchao has no int4 layout for {subject.device.type}; compression=torchao_intx "
            "rounds to 4 bits on any device"
        )
    if torch.cuda.get_device_capability(subject.device) < (8, 0):
        raise Unsupported("torchao's int4 layout needs a GPU of compute capability 8.0 or newer")
    if subject.model.dtype != torch.bfloat16:
        raise Unsupported("torchao's int4 layout takes bfloat16 only: set model.dtype=bfloat16")
