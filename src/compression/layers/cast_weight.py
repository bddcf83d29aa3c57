"""Linear layers that store their weights in a narrow float format and compute in fp32."""

import torch
from torch import nn
from torch.nn import functional

from src.compression.layers.division import divide


class CastLinear(nn.Module):
    """A linear layer with weights in fp16, bf16 or fp8, and fp32 activations and products.

    In fp16 this is the arithmetic of torch's `linear_dynamic_fp16`: the weight is rounded (values
    beyond the format's range become its largest number), then used in fp32. fp8 has few exponents,
    so there the largest weight of the layer is scaled to the largest number of the format, as all
    fp8 recipes do (Micikevicius et al. 2022).

    Attributes:
        weight: Of the narrow dtype, shape (out_features, in_features).
        scale: fp32, no dimension: what the stored numbers are multiplied with; None for 16 bits.
        bias: fp32, shape (out_features,), or None.
    """

    weight: torch.Tensor
    scale: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        """Round `weight`, shape (out_features, in_features), to `dtype`."""
        super().__init__()
        limits = torch.finfo(dtype)
        values, scale = weight.float(), None
        if limits.bits < 16:
            smallest = torch.finfo(torch.float32).tiny
            scale = divide(values.abs().max(), limits.max).clamp(min=smallest)
            values = values / scale
        # Clamped first: e5m2 and fp16 would make an infinity of what is too large.
        self.register_buffer("weight", values.clamp(-limits.max, limits.max).to(dtype))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute x @ W.T + b in fp32.

        Args:
            x: (..., in_features).

        Returns:
            (..., out_features), the dtype of `x`, computed in fp32.
        """
        return functional.linear(x.float(), self.dense_weight(), self.bias).to(x.dtype)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the layer stands for, fp32, (out_features, in_features)."""
        weight = self.weight.float()
        return weight if self.scale is None else weight * self.scale
