"""Finding and replacing the linear layers of a model, and reading the weights they stand for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from src.compression.receipt import Change, describe_change
from src.compression.storage import weight_bytes
from src.models.blocks import block_names

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject

Build = Callable[["torch.Tensor", "torch.Tensor | None"], "nn.Module"]
"""From a layer's weight (out, in) and bias to a new module whose weight `dense_weight` knows."""


def find_linears(
    subject: "Subject", conv1d: bool, outside: bool = True
) -> tuple[dict[str, "nn.Module"], dict[str, str]]:
    """List the linear layers a model really computes with.

    Args:
        subject: The loaded subject.
        conv1d: Also take GPT-2's Conv1D, a linear layer with a transposed weight.
        outside: Also take those outside the repeated blocks: the language-model head, what lies
            before it (BERT's transform), poolers. A model without blocks is all block but its head.

    Returns:
        Dotted name -> module, and those left alone -> why. A layer whose weight is read without
        calling it (MobileBERT's decoder) cannot be replaced, and is left alone; so is one that an
        earlier step of a stack has compressed into something else, and one with arithmetic of its
        own.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found: dict[str, nn.Module] = {}
    skipped: dict[str, str] = {}
    output = subject.model.get_output_embeddings()
    for name, module in subject.model.named_modules():
        if type(module) is Conv1D and not conv1d:
            skipped[name] = "Conv1D is no nn.Linear; set compression.conv1d=true to include it"
        elif hasattr(module, "dense_weight") or not _is_plain(module):
            # One that consists of ordinary layers (of low rank) is compressed by way of those.
            if not any(type(part) is nn.Linear for part in module.children()):
                skipped[name] = f"it is compressed already ({type(module).__name__})"
        elif type(module) in (nn.Linear, Conv1D):
            if module is output and not outside:
                skipped[name] = "it is the language-model head, which the settings leave alone"
            else:
                found[name] = module
        elif isinstance(module, nn.Linear):
            skipped[name] = f"a {type(module).__name__} has arithmetic of its own"
    inside = block_names(subject.model, found)
    for name in [name for name in found if inside and not outside and name not in inside]:
        skipped[name] = "it is outside the blocks, which the settings leave alone"
        del found[name]
    called = called_modules(subject, found)
    for name in [name for name in found if name not in called]:
        skipped[name] = "its weight is used without calling the layer"
        del found[name]
    return found, skipped


def find_embeddings(subject: "Subject") -> tuple[dict[str, "nn.Module"], dict[str, str]]:
    """List the embedding tables (of tokens, positions, …) a model really looks up in.

    Returns:
        Dotted name -> module, and those left alone -> why.
    """
    from torch import nn

    found: dict[str, nn.Module] = {}
    skipped: dict[str, str] = {}
    for name, module in subject.model.named_modules():
        if type(module) is nn.Embedding:
            found[name] = module
        elif isinstance(module, nn.Embedding):
            skipped[name] = f"a {type(module).__name__} has arithmetic of its own"
    called = called_modules(subject, found)
    for name in [name for name in found if name not in called]:
        skipped[name] = "its weight is used without calling the layer"
        del found[name]
    return found, skipped


def ties(subject: "Subject", tables: dict[str, "nn.Module"]) -> dict[str, str]:
    """Name the linear layers that share their weight with an embedding -> the embedding."""
    from torch import nn

    return {
        name: table
        for name, module in subject.model.named_modules()
        if isinstance(module, nn.Linear)
        for table, embedding in tables.items()
        if module.weight is embedding.weight
    }


def replace_linears(
    subject: "Subject", linears: dict[str, "nn.Module"], build: Build
) -> tuple[Change, ...]:
    """Replace each layer by what `build` makes of its weight and bias.

    Args:
        subject: The loaded subject; its model is changed.
        linears: As from `find_linears`.
        build: From weight (out, in) and bias to the new module, for a weight of the same shape.

    Returns:
        One change a layer, bits as the new ones really store them.
    """
    embedding = subject.model.get_input_embeddings().weight
    changes = []
    for name, module in linears.items():
        weight = linear_weight(module)
        new = build(weight, getattr(module, "bias", None))
        dense = dense_weight(new)
        assert dense is not None
        tie = "input embeddings" if module.weight is embedding else ""
        kind, bits = type(module).__name__, stored_bits(new, dense)
        changes.append(describe_change(name, kind, weight, dense, bits, tie))
        put(subject.model, name, new)
    return tuple(changes)


def stored_bits(module: "nn.Module", dense: "torch.Tensor") -> float:
    """Count the bits per weight of a layer: all that it stores besides its bias.

    Args:
        module: The layer.
        dense: The weight that it stands for.
    """
    return 8 * weight_bytes(module) / dense.numel()


def put(model: "nn.Module", name: str, new: "nn.Module") -> None:
    """Put a module into the place that a dotted name says."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, new)


def linear_weight(module: "nn.Module") -> "torch.Tensor":
    """Give the weight of an nn.Linear or a Conv1D as (out_features, in_features)."""
    from transformers.pytorch_utils import Conv1D

    weight = module.get_parameter("weight").detach()
    return weight.t().contiguous() if isinstance(module, Conv1D) else weight


def set_weight(name: str, module: "nn.Module", new: "torch.Tensor") -> Change:
    """Give a layer a new weight, in place: what shares the weight has the new one too.

    Args:
        name: Its dotted name.
        module: An nn.Linear or a Conv1D.
        new: (out, in), any float dtype.

    Returns:
        The change; the new weight is stored like the old one, zeros too.
    """
    import torch
    from torch import nn

    weight = module.get_parameter("weight")
    old, new = linear_weight(module), new.to(weight.dtype)
    bits = 8.0 * weight.element_size()
    change = describe_change(name, type(module).__name__, old, new, bits)
    with torch.no_grad():
        weight.copy_(new if isinstance(module, nn.Linear) else new.t())
    return change


def dense_weight(module: "nn.Module") -> "torch.Tensor | None":
    """Give the weight matrix that a linear or embedding layer computes with.

    Args:
        module: Any; a compressed layer says it by a method `dense_weight()`.

    Returns:
        (out_features, in_features) or (rows, features), float; None of a module that is no such
        layer, or one of a library that does not tell.
    """
    import torch
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    own = getattr(module, "dense_weight", None)
    if callable(own):
        weight: torch.Tensor = own()
        return weight
    if not isinstance(module, nn.Linear | nn.Embedding | Conv1D):
        return None
    weight = module.get_parameter("weight").detach()
    if type(weight) is not torch.Tensor:
        weight = _unwrap(weight)
    if not weight.is_floating_point():
        return None
    return weight.t() if isinstance(module, Conv1D) else weight


def _unwrap(weight: "torch.Tensor") -> "torch.Tensor":
    """Give the dense weight that a tensor of torchao's stands for."""
    import torch
    from torch.nn import functional

    if type(weight).dequantize is not torch.Tensor.dequantize:
        dense: torch.Tensor = weight.dequantize()
        return dense
    # A layout that only its own product can read: the product with the identity.
    one = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    return functional.linear(one, weight).t()


def called_modules(subject: "Subject", modules: dict[str, "nn.Module"]) -> set[str]:
    """Name the modules among these that the model calls."""
    import torch

    seen: set[str] = set()

    def note(name: str) -> Callable[..., None]:
        return lambda *_: seen.add(name)

    handles = [module.register_forward_pre_hook(note(name)) for name, module in modules.items()]
    try:
        with torch.inference_mode():
            # Of eight tokens: a model that pools (Funnel) takes no short input.
            subject.model(input_ids=torch.ones((1, 8), dtype=torch.long, device=subject.device))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _is_plain(module: Any) -> bool:
    """Whether the weight of a layer, if it has one, is an ordinary tensor of floats."""
    import torch

    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor):
        return True
    return type(weight.detach()) is torch.Tensor and weight.is_floating_point()
