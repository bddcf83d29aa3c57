"""Turning compressed layers back into ordinary ones with the weights that they stand for."""

from typing import TYPE_CHECKING

from src.compression.linears import dense_weight, put
from src.errors import Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel


def make_plain(model: "PreTrainedModel") -> list[str]:
    """Give a compressed model the layers of its architecture again, in place.

    Args:
        model: As a compression left it.

    Returns:
        The names of the layers that were turned back.

    Raises:
        Unsupported: A layer computes what no ordinary one does.
    """
    import torch

    with torch.device("meta"):
        shell = type(model)(model.config)
    turned: list[str] = []
    for name, ordinary in list(shell.named_modules()):
        if any(name.startswith(f"{outer}.") for outer in turned):
            continue
        module = model.get_submodule(name)
        if type(module) is not type(ordinary) or _is_packed(module):
            put(model, name, _plain(name, module, ordinary, model.dtype))
            turned.append(name)
    _settle_tie(model)
    return turned


def _plain(
    name: str, module: "nn.Module", ordinary: "nn.Module", dtype: "torch.dtype"
) -> "nn.Module":
    """Fill an ordinary layer, which has no memory yet, with what a compressed one stands for."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    kind = type(module).__name__
    if getattr(module, "takes_rows", False):
        raise Unsupported(
            f"{name} quantizes its input at each call ({kind}), which a checkpoint cannot hold: "
            "its weights alone would give other scores"
        )
    weight = dense_weight(module)
    if weight is None or not isinstance(ordinary, nn.Linear | nn.Embedding | Conv1D):
        raise Unsupported(f"it cannot be told which weights {name} ({kind}) stands for")
    weight = weight.t() if isinstance(ordinary, Conv1D) else weight
    ordinary.weight = _parameter(weight, dtype)
    if getattr(ordinary, "bias", None) is not None:
        biases = [value for key, value in module.state_dict().items() if key.endswith("bias")]
        ordinary.bias = _parameter(biases[-1], dtype)
    return ordinary.eval()


def _parameter(values: "torch.Tensor", dtype: "torch.dtype") -> "nn.Parameter":
    from torch import nn

    # A copy: what shares its memory with another parameter would be saved once.
    copied = values.detach().to(dtype, copy=True).contiguous()
    return nn.Parameter(copied, requires_grad=False)


def _is_packed(module: "nn.Module") -> bool:
    """Whether a layer of an ordinary class holds a weight of another kind (torchao's)."""
    import torch

    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor):
        return False
    return type(weight.detach()) is not torch.Tensor or not weight.is_floating_point()


def _settle_tie(model: "PreTrainedModel") -> None:
    """Let the config say of head and embeddings what holds now, so that loading keeps it."""
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or not getattr(model.config, "tie_word_embeddings", False):
        return
    if head.weight is embedding.weight:
        return
    if torch.equal(head.weight, embedding.weight):
        head.weight = embedding.weight
    else:
        model.config.tie_word_embeddings = False
