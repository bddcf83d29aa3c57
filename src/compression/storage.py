"""What a model's tensors take: their bytes in memory and in a file, and a hash of their values."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from src.errors import Unsupported
from src.models.spread import is_spread, value_of

if TYPE_CHECKING:
    import torch
    from torch import nn

HASHERS = 8
"""Tensors that are hashed at a time; hashing is much slower than memory and disks are."""
DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
}
"""torch's dtypes by their names in a safetensors file, in its order, of which it is the reverse."""


def tensors(model: "nn.Module") -> "Iterator[tuple[str, torch.Tensor]]":
    """Give every tensor that a model holds once, also where two names share one.

    A tensor that wraps others (torchao's) gives those; what a layer saves without it being a
    parameter or a buffer (bitsandbytes' quantization state) counts too.
    """
    yield from _distinct(
        pair
        for source in (model.named_parameters(), model.named_buffers(), _state(model))
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
    """Give the size of the safetensors file that a model's state makes, without writing it.

    Writing it takes longer than scoring does for a model of billions of parameters on a GPU. The
    size follows from the format: 8 bytes, a JSON header filled up to a multiple of 8 bytes, and the
    values (https://github.com/huggingface/safetensors#format).

    Raises:
        Unsupported: The format has no such dtype.
    """
    # safetensors sorts like this, which decides how many digits the offsets have.
    named = sorted(
        _distinct(_state(model)),
        key=lambda pair: (-tuple(DTYPES).index(_dtype(pair[1])), pair[0]),
    )
    header: dict[str, dict[str, object]] = {}
    offset = 0
    for name, tensor in named:
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[_dtype(tensor)],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + len(text) + -len(text) % 8 + offset


def digest(model: "nn.Module") -> str:
    """Hash names, dtypes, shapes and values of all tensors of a model, several at a time."""
    total = hashlib.sha256()
    if is_spread(model):
        # One at a time: all together they do not fit. Listed first: fetching one puts others into
        # the model's places.
        for name, tensor in list(tensors(model)):
            lies_elsewhere = tensor.device.type == "meta"
            total.update(_digest((name, value_of(model, name) if lies_elsewhere else tensor)))
        return total.hexdigest()
    with ThreadPoolExecutor(HASHERS) as pool:
        for one in pool.map(_digest, tensors(model)):
            total.update(one)
    return total.hexdigest()


def _digest(named: "tuple[str, torch.Tensor]") -> bytes:
    import torch

    name, tensor = named
    one = hashlib.sha256(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    one.update(flat.view(torch.uint8).numpy().data)
    return one.digest()


def _dtype(tensor: "torch.Tensor") -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise Unsupported(f"a weight is of dtype {name}, which safetensors cannot hold")
    return name


def _state(model: "nn.Module") -> "Iterator[tuple[str, torch.Tensor]]":
    # What lies on disk is known by its parameter, of which a state's tensors are views elsewhere.
    state = model.state_dict(keep_vars=True) if is_spread(model) else model.state_dict()
    return iter(state.items())


def _distinct(named: "Iterator[tuple[str, torch.Tensor]]") -> "Iterator[tuple[str, torch.Tensor]]":
    import torch

    seen: set[int] = set()
    for name, value in named:
        if not isinstance(value, torch.Tensor):  # a layer may save other things, as its settings
            continue
        for part, tensor in _inner(name, value):
            # What lies on disk between two calls has no place in memory to be known by.
            place = id(value) if tensor.device.type == "meta" else tensor.data_ptr()
            if place not in seen or tensor.numel() == 0:
                seen.add(place)
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
