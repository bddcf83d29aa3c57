"""Choosing the device, and starting Accelerate on it."""

import gc
import os

import torch
from accelerate import Accelerator

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
        InputError: The device asked for is not there.
    """
    device = resolve_device(system.device)
    if system.threads is not None:
        torch.set_num_threads(system.threads)
    if device == "cpu":
        # Accelerate warns about unset thread counts; torch's own choice is the one wanted.
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return Accelerator(cpu=device == "cpu", mixed_precision="no")


def release_memory() -> None:
    """Give back what the last cell's model held, so that a sweep does not grow."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
