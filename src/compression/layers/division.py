"""Division that rounds alike on every device."""

import torch


def divide(values: torch.Tensor, divisor: float) -> torch.Tensor:
    """Divide by a number, correctly rounded.

    On CUDA torch multiplies by the reciprocal of a Python number, which can end one step off. As a
    scale that decides how the many exact halves of 16-bit weights round, and with them the codes.

    Args:
        values: Any shape, floating point.
        divisor: Not zero.

    Returns:
        The shape and dtype of `values`.
    """
    return values / torch.tensor(divisor, dtype=values.dtype, device=values.device)
