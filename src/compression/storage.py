"""What a model's tensors take: their bytes in memory and in a file, and a hash of their values."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

SHARD_BYTES = 2**30
"""Most bytes a file that is written to be measured; a larger tensor has a file of its own."""


def tensors(model: "nn.Module") -> "Iterator[tuple[str, torch.Tensor]]":
    """Give every tensor that a model holds once, also where two names share one.

    A tensor that wraps others (torchao's) gives those; what a layer saves without it being a
    parameter or a buffer (bitsandbytes' quantization state) counts too.
    """
    yield from _distinct(
        pair
        for source in (model.named_parameters(), model.named_buffers(), model.state_dict().items())
        for pair in source
    )


def memory_bytes(model: "nn.Module") -> int:
    """Bytes of all tensors of a model, shared storage counted once."""
    return sum(tensor.numel() * tensor.element_size() for _, tensor in tensors(model))


def weight_bytes(module: "nn.Module") -> int:
    """Bytes that a layer stores besides its bias."""
    return sum(
        tensor.numel() * tensor.element_size()
        for name, tensor in tensors(module)
        if name.rpartition(".")[2] != "bias"
    )


def disk_bytes(model: "nn.Module") -> int:
    """Save a model's state as safetensors into a temporary folder, and give the files' size.

    It is saved in pieces, each of which is deleted when it has been measured.

    Raises:
        InputError: The folder for temporary files is too small for a piece.
    """
    from safetensors.torch import save_file

    total = 0
    with tempfile.TemporaryDirectory(prefix="compression-bias-") as folder:
        path = Path(folder) / "model.safetensors"
        for piece in _pieces(_distinct(iter(model.state_dict().items()))):
            try:
                save_file({name: _savable(tensor) for name, tensor in piece.items()}, path)
            except Exception as error:  # safetensors has an error class of its own for a full disk
                raise InputError(
                    f"the compressed model could not be saved to measure its size ({error}); "
                    f"{folder} needs {SHARD_BYTES / 1e9:.1f} GB, or TMPDIR another folder."
                ) from error
            total += path.stat().st_size
            path.unlink()
    return total


def digest(model: "nn.Module") -> str:
    """Hash names, dtypes, shapes and values of all tensors of a model."""
    import torch

    total = hashlib.sha256()
    for name, tensor in tensors(model):
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()


def _distinct(named: "Iterator[tuple[str, torch.Tensor]]") -> "Iterator[tuple[str, torch.Tensor]]":
    import torch

    seen: set[int] = set()
    for name, value in named:
        if not isinstance(value, torch.Tensor):  # a layer may save other things, as its settings
            continue
        for part, tensor in _inner(name, value):
            if tensor.data_ptr() not in seen or tensor.numel() == 0:
                seen.add(tensor.data_ptr())
                yield part, tensor


def _inner(name: str, tensor: "torch.Tensor") -> "Iterator[tuple[str, torch.Tensor]]":
    """Give the plain tensors that a tensor consists of: itself, or what it wraps."""
    tensor = tensor.detach()
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield name, tensor
        return
    for attribute in flatten()[0]:
        yield from _inner(f"{name}.{attribute}", getattr(tensor, attribute))


def _pieces(
    named: "Iterator[tuple[str, torch.Tensor]]",
) -> "Iterator[dict[str, torch.Tensor]]":
    piece: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in named:
        bytes_ = tensor.numel() * tensor.element_size()
        if piece and size + bytes_ > SHARD_BYTES:
            yield piece
            piece, size = {}, 0
        piece[name] = tensor
        size += bytes_
    yield piece


def _savable(tensor: "torch.Tensor") -> "torch.Tensor":
    plain = tensor.detach().cpu().contiguous()
    # A view of a larger storage would be refused, or saved with all of it.
    whole = plain.untyped_storage().nbytes() == plain.numel() * plain.element_size()
    return plain if whole else plain.clone()
