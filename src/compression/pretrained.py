"""`compression=pretrained`: a checkpoint that is quantized already, as it is.

Either the model itself is one (`model.id` is quantized, or `model.gguf` names a GGUF file), or
`compression.id` is the quantized version of the model that `model.id` is, and takes its place: then
the receipt has the errors of its weights, and the cell compares with the model's own twin.

GPTQ and AWQ checkpoints are read by this project, the others by transformers with the library that
their config names. GGUF files hold llama.cpp's formats, which transformers turns into
floating-point numbers: the values are those of the file, the memory that of a dense model.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from src.choices import help_
from src.compression.library import library
from src.compression.linears import dense_weight, put, stored_bits
from src.compression.receipt import Change, describe_change
from src.compression.registry import Outcome, compression
from src.errors import InputError
from src.models.config import ModelConfig
from src.models.quantized import quantization_method, quantization_settings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Source, Subject


@dataclass
class QuantizedConfig:
    """Where the quantized checkpoint is."""

    may_use: ClassVar[tuple[str, ...]] = (
        *("bitsandbytes", "torchao", "hqq", "gguf", "compressed-tensors", "optimum-quanto"),
    )

    kind: str = "pretrained"
    name: str = "pretrained"
    id: str | None = field(
        default=None,
        metadata=help_(
            "hub id or local folder of the model's quantized version; null: model.id is quantized"
        ),
    )
    revision: str = field(default="main", metadata=help_("of compression.id on the hub"))
    gguf: str = field(default="", metadata=help_("a GGUF file in compression.id"))

    def checkpoint(self, model: ModelConfig) -> ModelConfig:
        """Say which checkpoint is measured.

        Args:
            model: The `model` group.
        """
        if self.id is None:
            return model
        return ModelConfig(
            name=self.name,
            id=self.id,
            revision=self.revision,
            objective=model.objective,
            dtype=model.dtype,
            gguf=self.gguf,
        )


@compression("pretrained", QuantizedConfig, may_change_nothing=True)
def take(subject: "Subject", settings: QuantizedConfig) -> Outcome:
    """Measure a quantized checkpoint, in the model's place or as the model."""
    if settings.id is None:
        if not quantization_method(subject.model.config):
            raise InputError(
                f"{subject.source.id} is not quantized; compression=pretrained takes a model that "
                "is, or its quantized version by compression.id=FOLDER_OR_HUB_ID."
            )
        return describe(subject, None)
    dtype = str(subject.model.dtype).removeprefix("torch.")
    wanted = ModelConfig(
        name=settings.name, id=settings.id, objective=subject.objective, dtype=dtype
    )
    return replace_model(subject, settings.checkpoint(wanted))


def replace_model(subject: "Subject", checkpoint: ModelConfig) -> Outcome:
    """Put the quantized version of a model in its place.

    Args:
        subject: The dense model; becomes the quantized one.
        checkpoint: Its quantized version.

    Returns:
        What was found, errors against the dense model's weights.

    Raises:
        InputError: It is another model, or not quantized.
    """
    from src.models.load import load_subject, with_weight_files

    new = load_subject(checkpoint, subject.device, subject.start_token)
    if not quantization_method(new.model.config):
        raise InputError(f"compression.id={checkpoint.id} is not quantized.")
    same = type(new.model) is type(subject.model)
    if not (same and new.text.tokenizer.get_vocab() == subject.text.tokenizer.get_vocab()):
        raise InputError(
            f"compression.id={checkpoint.id} is not a version of {subject.source.id}: it is of "
            "another architecture or has another vocabulary. Measure it as a model of its own: "
            f"model=hf model.id={checkpoint.id} compression=pretrained."
        )
    dense, original = subject.model, subject.source
    subject.model, subject.source = new.model, with_weight_files(new.source)
    outcome = describe(subject, dense)
    return replace(outcome, details={"version_of": asdict(original), **outcome.details})


def describe(subject: "Subject", dense: "nn.Module | None") -> Outcome:
    """Say what a quantized model holds, and make its numbers independent of the batch.

    Args:
        subject: The quantized model; layers of bitsandbytes are replaced by this project's.
        dense: What it is a version of; None if not known.
    """
    model, source = subject.model, subject.source
    method, settings = quantization_method(model.config), quantization_settings(model.config)
    _stand_in(subject)
    originals = dict(dense.named_modules()) if dense is not None else {}
    # AWQ moves scales from one layer into the next, so that their weights alone tell nothing.
    compare = method != "awq"
    changes, skipped = [], {}
    for name, module in _quantized(model, everything=bool(source.gguf)):
        weight = dense_weight(module)
        if weight is None:
            skipped[name] = "the library that holds its weights does not tell them"
            continue
        original = dense_weight(originals[name]) if compare and name in originals else None
        changes.append(_change(name, module, original, weight))
    details = {
        "method": method,
        "quantization_config": {key: value for key, value in settings.items() if key != "meta"},
        "errors_of_weights": "against the dense model" if originals and compare else "not known",
        "checkpoint_bytes": source.weight_bytes,
    }
    nominal: float | None = _nominal(settings)
    if source.gguf:
        told, nominal = _gguf(source)
        details |= told | {"in_memory": f"as {str(model.dtype).removeprefix('torch.')} numbers"}
    return Outcome(tuple(changes), skipped, details, nominal)


def _quantized(model: "nn.Module", everything: bool) -> "Iterator[tuple[str, nn.Module]]":
    """Give the modules with quantized weights; of a GGUF file that is every matrix."""
    import torch

    seen = set()
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if hasattr(module, "dense_weight"):
            yield name, module
        if not isinstance(weight, torch.Tensor) or weight.dim() != 2:
            continue
        if type(weight.detach()) is not torch.Tensor or not weight.is_floating_point():
            if not hasattr(module, "dense_weight"):
                yield name, module
        elif everything and weight.data_ptr() not in seen:
            seen.add(weight.data_ptr())
            yield name, module


def _change(
    name: str, module: "nn.Module", original: "torch.Tensor | None", weight: "torch.Tensor"
) -> Change:
    kind, bits = type(module).__name__, stored_bits(module, weight)
    if original is not None and original.shape == weight.shape:
        return describe_change(name, kind, original, weight, bits)
    return replace(describe_change(name, kind, weight, weight, bits), relative_error=math.nan)


def _nominal(settings: dict[str, Any]) -> float | None:
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        return 4.0 if settings.get("load_in_4bit") else 8.0
    bits = settings.get("bits") or settings.get("w_bit")
    return None if bits is None else float(bits)


def _gguf(source: "Source") -> tuple[dict[str, Any], float]:
    """Read from a GGUF file how its tensors are stored."""
    from src.models.source import folder_of

    folder = folder_of(source) or Path()
    reader = library("gguf").GGUFReader(folder / source.gguf)
    types: dict[str, int] = {}
    for tensor in reader.tensors:
        kind = tensor.tensor_type.name
        types[kind] = types.get(kind, 0) + int(tensor.n_elements)
    stored = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    told = {"file": source.gguf, "elements_by_type": types, "tensor_bytes": stored}
    return told, 8 * stored / sum(types.values())


def _stand_in(subject: "Subject") -> None:
    """Replace bitsandbytes' layers, whose numbers depend on the batch, by this project's."""
    if quantization_method(subject.model.config) != "bitsandbytes":
        return
    library("bitsandbytes")
    from src.compression.layers.bitsandbytes import stand_in
    from src.models.batch_layout import BatchLayout

    layout = BatchLayout(subject.model)
    for name, module in list(subject.model.named_modules()):
        new = stand_in(module, layout)
        if new is not None:
            put(subject.model, name, new)
