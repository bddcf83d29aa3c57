"""Multiply-add with one rounding, as quantized kernels have it, without a detour in fp64."""

from collections.abc import Iterator
from functools import cache

import torch

SLICE = 2**18
"""Elements a CPU works on at a time, so that what one step leaves is in the cache for the next."""


def slices(table: torch.Tensor) -> Iterator[slice]:
    """Cut a table along its first dimension into parts that a cache holds; whole off the CPU."""
    row = max(table[:1].numel(), 1)
    step = max(SLICE // row, 1) if table.device.type == "cpu" else max(len(table), 1)
    for start in range(0, len(table), step):
        yield slice(start, start + step)


def multiply_add(
    base: torch.Tensor, x: torch.Tensor, factor: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    """Compute base + x * factor, rounded once.

    On the CPU it is fast where `base` and `x` are contiguous in their last dimension and `factor`
    is one number there.

    Args:
        base: fp32, broadcastable to the shape of `x`.
        x: fp32, any shape.
        factor: fp32, broadcastable to the shape of `x`.
        out: fp32, the shape of `x`; may be `x` itself.

    Returns:
        `out`.
    """
    if _fuses(x.device):
        return torch.addcmul(base, x, factor, out=out)
    # A product of two fp32 numbers is exact in fp64.
    return out.copy_(x.double().mul_(factor).add_(base))


@cache
def _fuses(device: torch.device) -> bool:
    """Find out whether torch's multiply-add here rounds once, which depends on how it was built."""
    generator = torch.Generator().manual_seed(0)
    # 1003 is no multiple of any vector's length: the rest is computed by other instructions.
    x = torch.randn((3, 37, 1003), generator=generator).to(device)
    factor = (torch.rand((3, 1, 1), generator=generator) * 30).to(device)
    for shape in ((3, 1, 1003), (1003,)):
        base = (torch.randn(shape, generator=generator) * 100).to(device)
        wanted = (x.double() * factor.double() + base.double()).float()
        if not torch.equal(torch.addcmul(base, x, factor), wanted):
            return False
    return True
