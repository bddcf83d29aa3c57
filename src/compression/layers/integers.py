"""Products of int8 matrices, by the processor's integer units where it has them."""

from functools import cache

import torch
from torch.nn import functional

CUDA_ROWS = 17
"""Fewest rows that the CUDA kernel takes."""
CUDA_MULTIPLE = 8
"""What it needs both other sizes to be a multiple of."""


def integer_product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Compute values @ weight.T.

    Args:
        values: int8, (rows, in_features).
        weight: int8, (out_features, in_features).

    Returns:
        (rows, out_features): exact int32 from integer units; elsewhere fp32, whose sums are exact
        up to 2**24 and rounded to 1 in 2**24 beyond.
    """
    if not has_integer_units(values.device):
        return values.float() @ weight.float().t()
    return _product(values, weight)


@cache
def has_integer_units(device: torch.device) -> bool:
    """Tell whether a device multiplies int8 matrices fast and exactly.

    CPUs without such instructions either emulate them slowly, or add pairs of products in 16 bits,
    which is too few for some; the trial has the largest values there are.
    """
    if device.type == "cpu" and not _cpu_has_integer_units():
        return False
    signs = torch.tensor([1, -1]).repeat(32)
    values = torch.stack([signs * 127, signs.abs() * 127, signs.abs() * -127]).to(device)
    weight = torch.stack([signs * 127, signs.abs() * -128, signs.abs() * 127]).to(device)
    wanted = (values.double() @ weight.double().t()).int()
    try:
        found = _product(values.to(torch.int8), weight.to(torch.int8))
    except (RuntimeError, NotImplementedError):
        return False
    return torch.equal(found, wanted)


def _cpu_has_integer_units() -> bool:
    names = ("_is_vnni_supported", "_is_amx_tile_supported")
    asked = [getattr(torch.cpu, name, None) for name in names]
    return torch.backends.mkldnn.is_available() and any(one is not None and one() for one in asked)


def _product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    rows, columns = len(values), len(weight)
    if values.device.type == "cuda":
        # Zeros change no sum.
        values, weight = _padded(values, CUDA_ROWS), _padded(weight, 1)
    product: torch.Tensor = torch._int_mm(values, weight.t())
    return product[:rows, :columns]


def _padded(table: torch.Tensor, fewest: int) -> torch.Tensor:
    """Add zeros until both sizes are multiples of 8, and there are at least some rows."""
    rows = max(len(table), fewest)
    below, right = -rows % CUDA_MULTIPLE + rows - len(table), -table.shape[1] % CUDA_MULTIPLE
    return functional.pad(table, (0, right, 0, below)) if below or right else table
