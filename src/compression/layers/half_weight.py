"""Linear layers that store fp16 weights and compute in fp32."""

import torch
from torch import nn
from torch.nn import functional


class HalfWeightLinear(nn.Module):
    """A linear layer with fp16 weights and fp32 activations and products.

    The arithmetic of torch's `linear_dynamic_fp16`: the weight is rounded to fp16 (values beyond
    its range become the largest fp16 number), then used in fp32.

    Attributes:
        weight: fp16, shape (out_features, in_features).
        bias: fp32, shape (out_features,), or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Round `weight`, shape (out_features, in_features)."""
        super().__init__()
        limit = torch.finfo(torch.float16).max
        self.register_buffer("weight", weight.float().clamp(-limit, limit).half())
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute x @ W.T + b in fp32.

        Args:
            x: (..., in_features).

        Returns:
            (..., out_features), the dtype of `x`, computed in fp32.
        """
        return functional.linear(x.float(), self.weight.float(), self.bias).to(x.dtype)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the layer stands for, fp32, (out_features, in_features)."""
        return self.weight.float()
