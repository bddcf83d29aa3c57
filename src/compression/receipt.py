"""The receipt: what a compression really did, measured on the model and not promised."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Change:
    """One module that was changed.

    Attributes:
        module: Its dotted name.
        kind: What it was ("Linear").
        elements: Weights in it.
        bits: Stored bits per weight, scales and zero points included.
        relative_error: ||W - W'||_F / ||W||_F of the weights; 0 for a lossless change.
        norm: ||W||_F, so that errors of several modules can be added up.
        untied_from: Name of the module whose weight it shared before, empty if none.
    """

    module: str
    kind: str
    elements: int
    bits: float
    relative_error: float
    norm: float
    untied_from: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """All changes of one compression, with sizes and hashes before and after.

    Attributes:
        method: Kind of the method.
        settings: Its settings.
        changes: One entry a changed module.
        skipped: Modules left alone -> why.
        elements: Weights and buffers of the whole model before.
        elements_changed: Weights in changed modules.
        memory_bytes_before: Bytes of all parameters and buffers, shared storage counted once.
        memory_bytes_after: The same after.
        mean_bits: Stored bits over all elements: 8 * memory_bytes_after / elements.
        relative_error: Over all changed weights together (root of summed squares).
        hash_before: sha256 over names, dtypes and values of all tensors.
        hash_after: The same after.
        seconds: Time the transform took.
    """

    method: str
    settings: dict[str, Any]
    changes: tuple[Change, ...]
    skipped: dict[str, str]
    elements: int
    elements_changed: int
    memory_bytes_before: int
    memory_bytes_after: int
    mean_bits: float
    relative_error: float
    hash_before: str
    hash_after: str
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether any tensor is different from before."""
        return self.hash_before != self.hash_after


def measure(
    model: "torch.nn.Module",
    settings: Any,
    transform: Callable[[], tuple[tuple[Change, ...], dict[str, str]]],
) -> Receipt:
    """Run a transform and measure the model before and after it.

    Args:
        model: The model the transform changes in place.
        settings: The method's settings dataclass (has `kind`).
        transform: Does the work, returns the changes and what was skipped.
    """
    before, bytes_before = digest(model), memory_bytes(model)
    elements = sum(tensor.numel() for _, tensor in unique_tensors(model))
    started = time.perf_counter()
    changes, skipped = transform()
    seconds = time.perf_counter() - started
    bytes_after = memory_bytes(model)
    total = sum(change.norm**2 for change in changes)
    squares = sum((change.relative_error * change.norm) ** 2 for change in changes)
    return Receipt(
        method=settings.kind,
        settings=asdict(settings),
        changes=changes,
        skipped=skipped,
        elements=elements,
        elements_changed=sum(change.elements for change in changes),
        memory_bytes_before=bytes_before,
        memory_bytes_after=bytes_after,
        mean_bits=8 * bytes_after / elements,
        relative_error=(squares / total) ** 0.5 if total else 0.0,
        hash_before=before,
        hash_after=digest(model),
        seconds=seconds,
    )


def unique_tensors(model: "torch.nn.Module") -> "Iterator[tuple[str, torch.Tensor]]":
    """Give every parameter and buffer once, also where two names share one storage."""
    seen: set[int] = set()
    for source in (model.named_parameters, model.named_buffers):
        for name, tensor in source():
            if tensor.data_ptr() not in seen or tensor.numel() == 0:
                seen.add(tensor.data_ptr())
                yield name, tensor


def memory_bytes(model: "torch.nn.Module") -> int:
    """Bytes of all parameters and buffers, shared storage counted once."""
    return sum(tensor.numel() * tensor.element_size() for _, tensor in unique_tensors(model))


def digest(model: "torch.nn.Module") -> str:
    """Hash names, dtypes, shapes and values of all parameters and buffers."""
    import torch

    total = hashlib.sha256()
    for name, tensor in unique_tensors(model):
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()
