"""Uniform grids: rounding a weight to evenly spaced values, and what it takes to get it back.

With b bits, 2 to 8 or 16, the range of the values is divided evenly, as torch's observers do it:

- symmetric: scale = max|W| / ((2**b - 1) / 2), codes -2**(b-1) to 2**(b-1) - 1, no zero point;
- affine: the range is widened to hold 0, scale = (max - min) / (2**b - 1), zero point
  round(-min / scale), codes 0 to 2**b - 1.

16 bits are an integer grid like the others, so that a ladder over the bits is one rule; half
precision is a cast. With 1.58 bits the values are -1, 0 and 1 times mean|W|: round(W / mean|W|)
clipped, as BitNet b1.58 (Ma et al. 2024) does it. It clips where the other grids do not, and so can
have a smaller error than 2 bits.
"""

from typing import NamedTuple

import torch

from src.compression.layers.division import divide
from src.compression.layers.packing import TERNARY, pack, unpack

SMALLEST_TERNARY = 1e-5
"""BitNet raises smaller means to this."""


class Grid(NamedTuple):
    """How weights are rounded.

    Attributes:
        bits: 1.58, 2 to 8, or 16.
        granularity: "tensor", "channel" (a row) or "group" (consecutive columns of a row) share a
            scale.
        group: Columns of a group.
        symmetric: Whether there is no zero point.
    """

    bits: float
    granularity: str
    group: int
    symmetric: bool


class Packed(NamedTuple):
    """A rounded weight as it is stored.

    Attributes:
        codes: uint8 of `pack`, (rows, bytes); int16, (rows, columns), for 16 bits.
        scale: fp32, (1, 1) of a tensor, (rows, 1) of channels, (rows, groups) of groups.
        zero_point: uint8 (int32 for 16 bits) in the shape of `scale`; None if symmetric.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    zero_point: torch.Tensor | None


def quantize(weight: torch.Tensor, grid: Grid) -> Packed:
    """Round a weight to the nearest values of a grid.

    Args:
        weight: (rows, columns), any float dtype.
        grid: How.
    """
    weight = weight.detach().float()
    scale, zero_point = _scales(weight, grid)
    # Multiplied, not divided, as torch's kernels do: it decides how exact halves round.
    columns = weight.shape[1]
    values = torch.round(weight * _spread(1.0 / scale, columns, grid.group))
    zero = _offset(grid) if zero_point is None else _spread(zero_point, columns, grid.group)
    codes = values.add_(zero).clamp_(0, _largest(grid.bits))
    if grid.bits == 16:
        stored = (codes - 2**15).to(torch.int16)
        return Packed(stored, scale, None if zero_point is None else zero_point.int())
    packed = pack(codes.to(torch.uint8), grid.bits)
    return Packed(packed, scale, None if zero_point is None else zero_point.to(torch.uint8))


def integers(packed: Packed, grid: Grid, columns: int) -> torch.Tensor:
    """Give the integers that a stored weight is a multiple of, fp32, (rows, columns)."""
    if grid.bits == 16:
        values = packed.codes.float().add_(2**15)
    else:
        values = unpack(packed.codes, grid.bits, columns).float()
    if packed.zero_point is None:
        return values.sub_(_offset(grid))
    return values.sub_(_spread(packed.zero_point.float(), columns, grid.group))


def dequantize(packed: Packed, grid: Grid, columns: int) -> torch.Tensor:
    """Give the weight that a stored one stands for, fp32, (rows, columns)."""
    return integers(packed, grid, columns).mul_(_spread(packed.scale, columns, grid.group))


def _scales(weight: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Choose scale and zero point, each (1, 1), (rows, 1) or (rows, groups), fp32."""
    if grid.bits == TERNARY:
        return _reduced(weight.abs(), grid, "mean").clamp(min=SMALLEST_TERNARY), None
    # torch keeps scales above the fp32 epsilon; the steps of 16 bits can be smaller than that.
    limits = torch.finfo(torch.float32)
    smallest = limits.eps if grid.bits <= 8 else limits.tiny
    steps = _largest(grid.bits)
    if grid.symmetric:
        largest = _reduced(weight.abs(), grid, "amax")
        return divide(largest, steps / 2).clamp(min=smallest), None
    low = _reduced(weight, grid, "amin").clamp(max=0)
    high = _reduced(weight, grid, "amax").clamp(min=0)
    scale = divide(high - low, steps).clamp(min=smallest)
    return scale, torch.round(-low / scale).clamp(0, steps)


def _reduced(weight: torch.Tensor, grid: Grid, how: str) -> torch.Tensor:
    """Reduce what shares a scale to one value."""
    if grid.granularity == "tensor":
        weight = weight.reshape(1, -1)
    size = grid.group if grid.granularity == "group" else weight.shape[1]
    # The last group of a row may be shorter than the others.
    return torch.stack([getattr(part, how)(1) for part in weight.split(size, 1)], 1)


def _spread(values: torch.Tensor, columns: int, group: int) -> torch.Tensor:
    """Repeat a value per group to one per column; one per row or tensor broadcasts by itself."""
    if values.shape[1] == 1:
        return values
    return values.repeat_interleave(group, 1)[:, :columns]


def _largest(bits: float) -> int:
    return 2 if bits == TERNARY else 2 ** int(bits) - 1


def _offset(grid: Grid) -> int:
    """Give the code of 0 on a symmetric grid."""
    return 1 if grid.bits == TERNARY else 2 ** (int(grid.bits) - 1)
