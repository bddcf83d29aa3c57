"""Kernels that always give the same result."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from src.errors import InputError


@contextmanager
def repeatable(deterministic: bool) -> Iterator[None]:
    """Let torch use only kernels that always give the same result.

    Raises:
        InputError: The model has an operation without one.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled, cudnn = memory.fill_uninitialized_memory, torch.backends.cuda.cudnn_sdp_enabled()
    # Only to warn would not do: attention takes its repeatable backward in the strict mode alone.
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cuda.enable_cudnn_sdp(cudnn and not deterministic)
    # Filling what nobody reads takes time, and no result depends on it.
    memory.fill_uninitialized_memory = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise InputError(
            f"training.deterministic: {str(error).splitlines()[0]} Use training.deterministic="
            "false; the run is then not the same each time."
        ) from error
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        memory.fill_uninitialized_memory = filled
