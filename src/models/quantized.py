"""Checkpoints that are quantized already: what their config says, and reading GPTQ's and AWQ's."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import InputError, Unsupported
from src.models.source import folder_of
from src.models.subject import Source

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    from src.models.packed import PackedLinear

PACKED = ("gptq", "awq")
"""Methods whose checkpoints this project reads itself."""
LAYOUTS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
BITS = {"gptq": (2, 3, 4, 8), "awq": (4,)}


def quantization_settings(architecture: "PretrainedConfig") -> dict[str, Any]:
    """Give the `quantization_config` of a checkpoint's config as plain data; empty if none."""
    found = getattr(architecture, "quantization_config", None) or {}
    settings: dict[str, Any] = found if isinstance(found, dict) else found.to_dict()
    return settings


def quantization_method(architecture: "PretrainedConfig") -> str:
    """Name the method that a checkpoint was quantized with ("gptq"); empty if it was not."""
    method = quantization_settings(architecture).get("quant_method", "")
    return str(getattr(method, "value", method))


def load_packed(
    model_class: Any, architecture: "PretrainedConfig", files: list[Path], dtype: "torch.dtype"
) -> tuple["PreTrainedModel", dict[str, Any]]:
    """Load a GPTQ or AWQ checkpoint, its layers as they are packed.

    Args:
        model_class: What the checkpoint's config names.
        architecture: That config.
        files: The checkpoint's weight files.
        dtype: Of all weights that are not packed.

    Returns:
        The model, on the CPU, and what transformers says about the loading.

    Raises:
        Unsupported: The checkpoint packs its integers in a way that is not read here.
    """
    from transformers.modeling_utils import load_state_dict

    bits, layout = _layout(architecture)
    weights = {key: value for file in files for key, value in load_state_dict(file).items()}
    layers = _take_layers(weights, bits, layout)
    dense = copy.deepcopy(architecture)
    del dense.quantization_config
    transposed = _transposed(model_class, dense)
    # As a dense checkpoint first, so that whatever is missing or left over is found as always.
    for name, layer in layers.items():
        weight = layer.dense_weight()
        weights[f"{name}.weight"] = weight.t().contiguous() if name in transposed else weight
        if layer.bias is not None:
            weights[f"{name}.bias"] = layer.bias
    model, report = model_class.from_pretrained(
        None, config=dense, state_dict=weights, dtype=dtype, output_loading_info=True
    )
    for name, layer in layers.items():
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer)
    model.config.quantization_config = quantization_settings(architecture)
    return model, report


def download(source: Source) -> Path:
    """Give the folder of a checkpoint, from the hub if it is not there yet."""
    if source.digest is None:
        from huggingface_hub import snapshot_download

        patterns = ["*.safetensors", "*.bin", "*.json"]
        revision = source.commit or source.revision
        return Path(snapshot_download(source.id, revision=revision, allow_patterns=patterns))
    folder = folder_of(source)
    if folder is None:
        raise InputError(f"{source.id} is no folder any more.")
    return folder


def settle(model: "nn.Module") -> None:
    """Keep bitsandbytes from packing weights anew, with rounded scales, where AVX512-BF16 is."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010


def _layout(architecture: "PretrainedConfig") -> tuple[int, str]:
    method = quantization_method(architecture)
    settings = quantization_settings(architecture)
    bits = int(settings.get("bits") or settings.get("w_bit") or 0)
    # Older files of AutoAWQ say "version".
    named = settings.get("checkpoint_format") or settings.get("format") or settings.get("version")
    layout = str(named or LAYOUTS[method][0]).lower()
    width = str(settings.get("pack_dtype") or "int32").removeprefix("torch.")
    if layout not in LAYOUTS[method] or bits not in BITS[method] or width != "int32":
        raise Unsupported(
            f"a {method} checkpoint of {bits} bits in the layout {layout!r}, packed in {width}, is "
            f"not read here; {' and '.join(LAYOUTS[method])} of {BITS[method]} bits in int32 are"
        )
    return bits, layout


def _transposed(model_class: Any, architecture: "PretrainedConfig") -> set[str]:
    """Name the layers (GPT-2's Conv1D) whose weight is (in, out) in a dense checkpoint."""
    import torch
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        shell = model_class(architecture)
    return {name for name, module in shell.named_modules() if isinstance(module, Conv1D)}


def _take_layers(
    weights: dict[str, "torch.Tensor"], bits: int, layout: str
) -> dict[str, "PackedLinear"]:
    """Take the packed layers out of a checkpoint's weights."""
    from src.models.packed import PARTS, PackedLinear

    names = [key.removesuffix(".qweight") for key in weights if key.endswith(".qweight")]
    layers = {}
    for name in names:
        parts: Mapping[str, torch.Tensor] = {
            part: weights.pop(f"{name}.{part}") for part in PARTS if f"{name}.{part}" in weights
        }
        layers[name] = PackedLinear(parts, bits, layout)
    return layers
