"""Models that are larger than a device: Accelerate spreads them over several, memory and disk."""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Spread:
    """Whether and how far a model is spread.

    Attributes:
        on: Whether Accelerate decides where its parts go.
        gpu_memory: Most memory for weights on each GPU ("10GiB"); None for what is free.
        cpu_memory: The same of main memory. What fits nowhere stays on disk.
    """

    on: bool = False
    gpu_memory: str | None = None
    cpu_memory: str | None = None

    def max_memory(self, device: "torch.device") -> dict[int | str, int]:
        """Say how many bytes of weights each device may hold.

        Args:
            device: The cell's; with "cpu" no GPU is used.
        """
        from accelerate.utils import convert_file_size_to_int, get_max_memory

        memory = get_max_memory()
        for name in memory:
            limit = self.cpu_memory if name == "cpu" else self.gpu_memory
            if limit is not None:
                memory[name] = convert_file_size_to_int(int(limit) if limit.isdigit() else limit)
        return {n: most for n, most in memory.items() if n == "cpu" or device.type != "cpu"}

    def load(
        self, load: "Callable[..., Any]", device: "torch.device"
    ) -> "tuple[PreTrainedModel, dict[str, Any]]":
        """Call `load` with these arguments and a folder for weights that have to be written anew.

        Safetensors are read where they are; other files' weights that stay on disk go there.

        Returns:
            The model and what `load` says besides.
        """
        folder = tempfile.mkdtemp(prefix="compression-bias-offload-")
        try:
            model, report = load(
                device_map="auto", max_memory=self.max_memory(device), offload_folder=folder
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(model, shutil.rmtree, folder, True)
        return model, report


WHOLE = Spread()
"""On one device."""


def is_spread(model: "nn.Module") -> bool:
    """Whether parts of a model lie on other devices than the first, or on disk."""
    places = {str(place) for place in (getattr(model, "hf_device_map", None) or {}).values()}
    return len(places) > 1 or "disk" in places


def refuse_spread(model: "nn.Module", what: str) -> None:
    """Refuse what was written for models on one device.

    Raises:
        Unsupported: The model is spread.
    """
    if is_spread(model):
        places = sorted({str(place) for place in model.hf_device_map.values()})  # type: ignore[operator]
        raise Unsupported(
            f"{what} was not tried on a model that is spread over {', '.join(places)} "
            "(system.device_map=auto): give it a device that holds it, or a smaller model."
        )


def entry_device(model: "PreTrainedModel") -> "torch.device":
    """Give the device on which a model takes its input."""
    import torch

    weight = model.get_input_embeddings().weight
    if weight.device.type != "meta":
        return torch.device(weight.device)
    # Its weights lie elsewhere between two calls; Accelerate's hook knows where they are used.
    hook = getattr(model.get_input_embeddings(), "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return torch.device("meta" if device is None else device)


def value_of(model: "nn.Module", name: str) -> "torch.Tensor":
    """Give a parameter or buffer by its dotted name, fetched from disk where it lies there."""
    from accelerate.utils import align_module_device

    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    with align_module_device(module):
        tensor: torch.Tensor = getattr(module, leaf).detach()
    return tensor
