"""Quantizing a linear layer's input at each call, with a range for each sequence.

The arithmetic is torch's `quantized.linear_dynamic` on its fbgemm and x86 engines, which is what
the paper used, written in ordinary tensor operations so that CPU and CUDA share it.
"""

import torch

from src.compression.layers.division import divide
from src.compression.layers.fused import multiply_add, slices
from src.models.batch_layout import Ends

PAPER_BITS = 7
"""torch's reduce_range, which keeps 16-bit accumulators from saturating."""
SMALLEST_SCALE = 6.1e-5
"""torch raises smaller activation scales to this; of its 8 bits and fewer only."""

Rows = tuple[torch.Tensor, torch.Tensor]


def activation_range(
    low: torch.Tensor, high: torch.Tensor, bits: int = PAPER_BITS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose scale and zero point of activations between `low` and `high`.

    Follows torch's `ChooseQuantizationParams` with quantized values 0..2**bits - 1: the range is
    widened to hold zero, and of the two zero points that the two ends ask for, the one with the
    smaller rounding error is taken.

    Args:
        low: Smallest activation of each sequence, shape (sequences,).
        high: Largest activation of each sequence, shape (sequences,).
        bits: Of the quantized values.

    Returns:
        Scale (fp32) and zero point (fp32, integer-valued), each of shape (sequences,).
    """
    largest = 2**bits - 1
    smallest = SMALLEST_SCALE if bits <= 8 else 0.0
    low, high = low.clamp(max=0).double(), high.clamp(min=0).double()
    scale = divide(high - low, largest)
    scale = torch.where(1.0 / scale.float() == torch.inf, 0.1, scale)
    small = scale < smallest
    amplify = torch.where(small, smallest / scale, 1.0)
    low, high = low * amplify, high * amplify
    scale = torch.where(small, smallest, scale)
    from_low, from_high = -low / scale, largest - high / scale
    low_error = -(low / scale).abs()
    high_error = largest - (high / scale).abs()
    zero_point = torch.where(low_error < high_error, from_low, from_high)
    return scale.float(), zero_point.round().clamp(0, largest).float()


def quantize_activations(
    flat: torch.Tensor,
    rows: Rows | None,
    bits: int = PAPER_BITS,
    dtype: torch.dtype = torch.float32,
    ends: Ends | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize activations with a range for each sequence.

    Args:
        flat: fp32, (sequences, length, features); (tokens, 1, features) with `ends`.
        rows: Sequence and position indices, each (n,), of the only ones wanted; the range is
            still taken over the whole sequence.
        bits: Of the quantized values.
        dtype: Of the values: fp32, or int8, which holds those of up to 7 bits.
        ends: Which tokens of packed sequences are one; `scale` then has a row a token.

    Returns:
        Integer values without their zero point, in the shape of `flat` or (n, features), and
        the scale they have to be multiplied with, (sequences, 1, 1) or (n, 1).
    """
    # One pass for each end: torch.aminmax over a part of the dimensions is far slower.
    each = flat.flatten(1)
    low, high = each.amin(1), each.amax(1)
    if ends is not None:
        low, high = low[ends.table].amin(1), high[ends.table].amax(1)
    scale, zero_point = activation_range(low, high, bits)
    if ends is not None:
        scale, zero_point = scale[ends.owner], zero_point[ends.owner]
    scale, zero_point = scale.view(-1, 1, 1), zero_point.view(-1, 1, 1)
    if rows is not None:
        flat = flat[rows].unsqueeze(1)
        scale, zero_point = scale[rows[0]], zero_point[rows[0]]
    values = _quantized(flat, 1.0 / scale, zero_point, bits, dtype)
    return (values, scale) if rows is None else (values.squeeze(1), scale.squeeze(1))


def _quantized(
    flat: torch.Tensor,
    inverse: torch.Tensor,
    zero_point: torch.Tensor,
    bits: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Give clamp(round(flat * inverse + zero_point)) - zero_point."""
    # The kernel keeps its 7 bits in 8 and clamps to those: what comes to 127.5 becomes 128.
    largest = 2 ** (8 if bits == PAPER_BITS else bits) - 1
    values = torch.empty_like(flat, dtype=dtype)
    scratch: torch.Tensor | None = None
    for part in slices(flat):
        base = zero_point[part].expand(-1, 1, flat.shape[2]).contiguous()
        if dtype == torch.float32:
            integers = values[part]
        else:
            scratch = torch.empty_like(flat[part]) if scratch is None else scratch
            integers = scratch[: len(base)]
        # The kernel fuses multiply and add, which decides how exact halves round.
        multiply_add(base, flat[part], inverse[part], integers).round_().clamp_(0, largest)
        if dtype != torch.float32:
            # 128 is no int8, but it is once the zero point is off; unsigned bytes wrap around.
            stored = values[part].view(torch.uint8).copy_(integers)
            stored.sub_(zero_point[part].to(torch.uint8))
        else:
            integers.sub_(zero_point[part])
    return values


def rescale(product: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Turn a product of integer values into a layer's output, product * scale + bias in fp32.

    Args:
        product: int32 or fp32, (..., features); its memory is reused.
        scale: fp32, broadcastable to the shape of `product`, with as many dimensions.
        bias: fp32, (features,), or None.

    Returns:
        fp32, the shape of `product`.
    """
    out = product.view(torch.float32)
    scale = scale.expand(len(product), *scale.shape[1:])
    for part in slices(product):
        if product.dtype != torch.float32:
            out[part].copy_(product[part])
        if bias is None:
            out[part].mul_(scale[part])
        else:
            multiply_add(bias, out[part], scale[part], out[part])
    return out
