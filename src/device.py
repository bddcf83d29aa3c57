"""Choosing the device, and starting Accelerate on it."""

import gc
import os

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState

from src.errors import InputError
from src.system.config import SystemConfig


def resolve_device(wanted: str) -> str:
    """Turn "auto" into the device type that is there.

    Args:
        wanted: "auto", "cpu" or "cuda".

    Raises:
        InputError: A GPU was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("system.device=cuda: torch sees no GPU here; use system.device=cpu.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def start_accelerator(system: SystemConfig) -> Accelerator:
    """Start Accelerate, alone or as one of the processes of `accelerate launch`.

    Raises:
        InputError: The device asked for is not there, or several processes that were started on
            one type of device are asked to go on on another, or are more than there are GPUs.
    """
    device = resolve_device(system.device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device == "cuda" and here > torch.cuda.device_count():
        raise InputError(
            f"{here} processes were started for {torch.cuda.device_count()} GPU(s), and each needs "
            "one of its own: start fewer, or use system.device=cpu."
        )
    if system.threads is not None:
        torch.set_num_threads(system.threads)
    # TF32 would round fp32 products to 10 bits; an environment variable can switch it on.
    torch.set_float32_matmul_precision("highest")
    if PartialState._shared_state and PartialState().device.type != device:
        if PartialState().num_processes > 1:
            raise InputError(
                f"system.device={system.device}: these processes were started for "
                f"{PartialState().device.type}; sweep over devices with one process."
            )
        # Accelerate keeps the first cell's device for the life of the process otherwise.
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device == "cpu", mixed_precision="no")


def release_memory() -> None:
    """Give back what the last cell's model held, so that a sweep does not grow."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
