"""Dynamically quantized linear layers: int8 weights, activations quantized at each call.

The arithmetic is torch's `quantized.linear_dynamic` on its fbgemm and x86 engines, which is what
the paper used, but with a range for each sequence. That kernel takes one range a call, so that it
multiplies a handful of rows; here all sequences of a batch share one product of int8 matrices.
"""

import torch
from torch import nn

from src.compression.layers.activations import quantize_activations, rescale
from src.compression.layers.division import divide
from src.compression.layers.integers import integer_product
from src.models.batch_layout import BatchLayout


def quantize_weight(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize a weight to int8 as torch's MinMaxObserver does: per tensor, symmetric.

    Args:
        weight: Any shape, any float dtype.

    Returns:
        The int8 values in the same shape, and their fp32 scale, of no dimension: max|W| / 127.5.
    """
    # The observer includes zero in the range and keeps the scale above the fp32 epsilon.
    largest = weight.float().abs().max()
    scale = divide(largest, 127.5).clamp(min=torch.finfo(torch.float32).eps)
    values = torch.round(weight.float() * (1.0 / scale)).clamp(-128, 127).to(torch.int8)
    return values, scale


class DynamicInt8Linear(nn.Module):
    """A linear layer with int8 weights and 7-bit activations, one range per sequence.

    torch takes the activation range over its whole input, so a batch gives other numbers than its
    sequences one by one. Here every sequence has the range it would have alone.

    Attributes:
        weight: int8, shape (out_features, in_features).
        scale: fp32, no dimension.
        bias: fp32, shape (out_features,), or None.
    """

    per_sequence = True
    """Tells the engine that a sequence must not share its tokens with another (prefix trees); where
    sequences are packed, `layout` has to know their ends."""
    takes_rows = True
    """Tells the engine that only some rows of the output can be asked for (see `forward`)."""
    product_dtype = torch.int8
    """Of the matrices that are multiplied: which of the machine's peaks it is compared with."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, layout: BatchLayout
    ) -> None:
        """Quantize `weight`, shape (out_features, in_features)."""
        super().__init__()
        values, scale = quantize_weight(weight)
        self.out_features, self.in_features = values.shape
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.layout = layout

    def forward(
        self, x: torch.Tensor, rows: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Compute x @ W.T + b with both sides quantized.

        Args:
            x: Activations, (sequences, length, in_features) or flattened to (sequences * length,
                in_features).
            rows: Sequence and position indices, each (n,), of the only outputs wanted; the range
                is still taken over the whole sequence.

        Returns:
            The shape of `x` with out_features last, or (n, out_features) with `rows`; the dtype of
            `x`, computed in fp32.

        Raises:
            Unsupported: The input does not consist of whole sequences.
        """
        groups = self.layout.groups(x.shape)
        flat = x.float().reshape(groups, -1, self.in_features)
        values, scale = quantize_activations(
            flat, rows, dtype=torch.int8, ends=self.layout.ends(groups)
        )
        out = rescale(integer_product(values, self.weight), scale * self.scale, self.bias)
        out = out if rows is not None else out.reshape(*x.shape[:-1], self.out_features)
        return out.to(x.dtype)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the layer stands for, fp32, (out_features, in_features)."""
        return self.weight.float() * self.scale

    def extra_repr(self) -> str:
        """Describe the layer as nn.Linear does."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
