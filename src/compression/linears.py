"""Finding and replacing the linear layers of a model."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from src.compression.receipt import Change

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject


def find_linears(subject: "Subject", conv1d: bool) -> tuple[dict[str, "nn.Module"], dict[str, str]]:
    """List the linear layers a model really computes with.

    Args:
        subject: The loaded subject.
        conv1d: Also take GPT-2's Conv1D, a linear layer with a transposed weight.

    Returns:
        Dotted name -> module, and those left alone -> why. A layer whose weight is read without
        calling it (MobileBERT's decoder) cannot be replaced, and is left alone.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found: dict[str, nn.Module] = {}
    skipped: dict[str, str] = {}
    for name, module in subject.model.named_modules():
        if type(module) is nn.Linear or (conv1d and type(module) is Conv1D):
            found[name] = module
        elif type(module) is Conv1D:
            skipped[name] = "Conv1D is no nn.Linear; set compression.conv1d=true to include it"
    called = _called(subject, found)
    for name in [name for name in found if name not in called]:
        skipped[name] = "its weight is used without calling the layer"
        del found[name]
    return found, skipped


def replace_linears(
    subject: "Subject",
    linears: dict[str, "nn.Module"],
    build: Callable[["torch.Tensor", "torch.Tensor | None"], tuple["nn.Module", "torch.Tensor"]],
    bits: float,
) -> tuple[Change, ...]:
    """Replace each layer by what `build` makes of its weight and bias.

    Args:
        subject: The loaded subject; its model is changed.
        linears: As from `find_linears`.
        build: From weight (out, in) and bias to the new module and the weight it stands for,
            in fp32 and the same shape.
        bits: Stored bits per weight.

    Returns:
        One change a layer.
    """
    embedding = subject.model.get_input_embeddings().weight
    changes = []
    for name, module in linears.items():
        weight, bias = _weight(module), getattr(module, "bias", None)
        new, stands_for = build(weight, bias)
        norm = float(weight.double().norm())
        error = float((weight.double() - stands_for.double()).norm())
        changes.append(
            Change(
                module=name,
                kind=type(module).__name__,
                elements=weight.numel(),
                bits=bits,
                relative_error=error / norm if norm else 0.0,
                norm=norm,
                untied_from="input embeddings" if module.weight is embedding else "",
            )
        )
        parent, _, leaf = name.rpartition(".")
        setattr(subject.model.get_submodule(parent), leaf, new)
    return tuple(changes)


def _weight(module: "nn.Module") -> "torch.Tensor":
    from torch import nn

    weight = module.get_parameter("weight").detach()
    return weight if isinstance(module, nn.Linear) else weight.t().contiguous()


def _called(subject: "Subject", modules: dict[str, "nn.Module"]) -> set[str]:
    import torch

    seen: set[str] = set()

    def note(name: str) -> Callable[..., None]:
        return lambda *_: seen.add(name)

    handles = [module.register_forward_pre_hook(note(name)) for name, module in modules.items()]
    try:
        with torch.inference_mode():
            subject.model(input_ids=torch.ones((1, 2), dtype=torch.long, device=subject.device))
    finally:
        for handle in handles:
            handle.remove()
    return seen
