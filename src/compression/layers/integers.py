"""Products of int8 matrices, by the processor's integer units where it has them."""

from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional

from src.compression.layers.fused import slices

SPAN = 128
"""Most that the values of one row may differ by; 7-bit activations do not differ by more."""
CUDA_ROWS = 17
"""Fewest rows that the CUDA kernel takes."""
CUDA_MULTIPLE = 8
"""What it needs both other sizes to be a multiple of."""

Way = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def integer_product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Compute values @ weight.T.

    Args:
        values: int8, (..., in_features); those of one row lie within `SPAN` of each other.
        weight: int8, (out_features, in_features).

    Returns:
        (..., out_features): exact int32 from integer units; elsewhere fp32, whose sums are exact
        up to 2**24 and rounded to 1 in 2**24 beyond.
    """
    # Of one column torch's kernel takes rows for columns.
    multiply = _fastest(values.device) if values.shape[-1] > 1 else _float_product
    product = multiply(values.reshape(-1, values.shape[-1]), weight)
    return product.reshape(*values.shape[:-1], len(weight))


@cache
def _fastest(device: torch.device) -> Way:
    """Choose the fastest way that is exact on a device."""
    return next((way for way in _ways(device) if _is_exact(way, device)), _float_product)


def _ways(device: torch.device) -> tuple[Way, ...]:
    """List the ways that are fast on a kind of device, the faster first."""
    if device.type != "cpu":
        return (_product,)
    # What other processors have is emulated slowly.
    known = getattr(torch.cpu, "_is_avx2_supported", None)
    fast = torch.backends.mkldnn.is_available() and known is not None and known()
    return (_product, _shifted_product) if fast else ()


def _is_exact(way: Way, device: torch.device) -> bool:
    """Try a way on the largest sums there are, of all signs."""
    halves, pairs = torch.tensor([1, 0] * 32), torch.tensor([1, 1, 0, 0] * 16)
    edges = torch.stack([halves, 1 - halves, pairs, (torch.arange(64) > 0).int()])
    values = torch.cat([edges * SPAN + low for low in (-128, -SPAN // 2, 127 - SPAN)])
    weight = torch.cat([edges * 255 - 128, 127 - edges * 255])
    wanted = (values.double() @ weight.double().t()).int()
    try:
        found = way(values.to(device, torch.int8), weight.to(device, torch.int8))
    except (RuntimeError, NotImplementedError):
        return False
    return torch.equal(found.cpu(), wanted)


def _float_product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return values.float() @ weight.float().t()


def _product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    rows, columns = len(values), len(weight)
    if values.device.type == "cuda":
        # Zeros change no sum.
        values, weight = _padded(values, CUDA_ROWS), _padded(weight, 1)
    product: torch.Tensor = torch._int_mm(values, weight.t())
    return product[:rows, :columns]


def _shifted_product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Multiply where pairs of products are added in 16 bits.

    There oneDNN adds 128 to the values, so that they are unsigned, and takes 128 times the sum of
    the weights off again. Two products fit in 16 bits if the unsigned values are 128 at most:
    each row is moved down to start at -128, and what that changed is mended in 32 bits.
    """
    lowest = values.amin(1, keepdim=True)
    # Bytes wrap around, so that no difference is too large. The row below gives the weights' sums.
    moved = functional.pad(values, (0, 0, 0, 1), value=-1)
    moved[:-1].view(torch.uint8).sub_(lowest.view(torch.uint8) + 128)
    product = _product(moved, weight)
    sums, product = -product[-1], product[:-1]
    distance = lowest.int() + 128
    for part in slices(product):
        product[part].addcmul_(distance[part], sums)
    return product


def _padded(table: torch.Tensor, fewest: int) -> torch.Tensor:
    """Add zeros until both sizes are multiples of 8, and there are at least some rows."""
    rows = max(len(table), fewest)
    below, right = -rows % CUDA_MULTIPLE + rows - len(table), -table.shape[1] % CUDA_MULTIPLE
    return functional.pad(table, (0, right, 0, below)) if below or right else table
