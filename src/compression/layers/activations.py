"""Quantizing a linear layer's input at each call, with a range for each sequence.

The arithmetic is torch's `quantized.linear_dynamic` on its fbgemm and x86 engines, which is what
the paper used, written in ordinary tensor operations so that CPU and CUDA share it.
"""

import torch

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
    scale = (high - low) / largest
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
    flat: torch.Tensor, rows: Rows | None, bits: int = PAPER_BITS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize activations with a range for each sequence.

    Args:
        flat: fp32, (sequences, length, features).
        rows: Sequence and position indices, each (n,), of the only ones wanted; the range is
            still taken over the whole sequence.
        bits: Of the quantized values.

    Returns:
        Integer values without their zero point, fp32, in the shape of `flat` or (n, features), and
        the scale they have to be multiplied with, (sequences, 1, 1) or (n, 1).
    """
    scale, zero_point = activation_range(*torch.aminmax(flat.flatten(1), dim=1), bits)
    scale, zero_point = scale.view(-1, 1, 1), zero_point.view(-1, 1, 1)
    if rows is not None:
        flat = flat[rows]
        scale, zero_point = scale[rows[0]].squeeze(1), zero_point[rows[0]].squeeze(1)
    # The kernel fuses multiply and add, here and in the output, which decides how exact halves
    # round; an fp32 fused multiply-add is one in fp64, rounded to fp32.
    values = flat.double().mul_((1.0 / scale).double()).add_(zero_point).float()
    return values.round_().clamp_(0, 2**bits - 1).sub_(zero_point), scale


def rescale(product: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Turn a product of integer values into a layer's output, product * scale + bias in fp32."""
    if bias is None:
        return product.mul_(scale)
    return product.double().mul_(scale.double()).add_(bias).float()
