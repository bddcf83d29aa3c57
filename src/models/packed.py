"""Linear layers as GPTQ and AWQ checkpoints hold them: small integers packed into 32-bit words.

The files' layout is the one that AutoGPTQ and AutoAWQ set and that gptqmodel and the hub's
checkpoints keep. Read here with ordinary tensor operations, such a checkpoint needs neither
library nor GPU, and has the same numbers on every device: the weight is made in fp32 at each call,
and the product is an ordinary one.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

PARTS = ("qweight", "qzeros", "scales", "g_idx", "bias")
"""Names of a layer's tensors in a checkpoint."""
WORD = 0xFFFFFFFF
AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where in a word AWQ's "gemm" layout puts each of eight consecutive values, in 4-bit steps."""


class PackedLinear(nn.Module):
    """A linear layer whose weight is integers in groups, each with a scale and a zero point.

    Attributes:
        qweight: int32, (in_features * bits / 32, out_features); AWQ: (in_features, out_features *
            bits / 32).
        qzeros: int32, (groups, out_features * bits / 32).
        scales: Float, (groups, out_features).
        g_idx: int32, (in_features,): the group of each input; None where they are in order.
        bias: (out_features,), or None.
    """

    qweight: torch.Tensor
    qzeros: torch.Tensor
    scales: torch.Tensor
    g_idx: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, tensors: Mapping[str, torch.Tensor], bits: int, layout: str) -> None:
        """Keep the tensors of one layer of a checkpoint.

        Args:
            tensors: `qweight`, `qzeros`, `scales` and, where the layer has them, `g_idx`, `bias`.
            bits: Of each integer.
            layout: "gptq" (zero points stored less one), "gptq_v2" (as they are), or "gemm"
                (AWQ's).
        """
        super().__init__()
        self.bits, self.layout = bits, layout
        for name in PARTS:
            self.register_buffer(name, tensors.get(name))
        self.out_features = self.scales.shape[1]
        rows = int(self.qweight.shape[0])
        packed = rows if layout == "gemm" else rows * 32 // bits
        # The last word may hold fewer values than fit; the groups' indices tell how many.
        self.in_features = packed if self.g_idx is None else len(self.g_idx)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the integers stand for: fp32, (out_features, in_features)."""
        along = 1 if self.layout == "gemm" else 0
        values = self._unpack(self.qweight, along)[: self.in_features, : self.out_features]
        zeros = self._zeros()[:, : self.out_features]
        if self.g_idx is None:
            size = -(-self.in_features // self.scales.shape[0])
            group = torch.arange(self.in_features, device=self.scales.device) // size
        else:
            group = self.g_idx.long()
        dense = (values - zeros[group]).float() * self.scales.float()[group]
        return dense.t().contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute x @ W.T + b.

        Args:
            x: (..., in_features).

        Returns:
            (..., out_features), the dtype of `x`.
        """
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.dense_weight().to(x.dtype), bias)

    def extra_repr(self) -> str:
        """Describe the layer as nn.Linear does."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bits={self.bits}, layout={self.layout}"
        )

    def _zeros(self) -> torch.Tensor:
        """Give the zero points, (groups, out_features or a few more): int64."""
        if self.layout != "gptq":
            return self._unpack(self.qzeros, 1)
        if 32 % self.bits:
            return (self._unpack(self.qzeros, 1) + 1) & ((1 << self.bits) - 1)
        # One was taken off each by one subtraction from the whole word; a zero borrowed from its
        # neighbour, and only adding to the whole word gives both back.
        ones = sum(1 << shift for shift in range(0, 32, self.bits))
        return self._unpack((self.qzeros.long() + ones) & WORD, 1)

    def _unpack(self, words: torch.Tensor, along: int) -> torch.Tensor:
        """Take the integers out of 32-bit words, (n, m) or, along 0, (m, n): int64."""
        words = words.long() & WORD
        words = words if along == 1 else words.t()
        if self.layout == "gemm":
            shifts = torch.tensor(AWQ_ORDER, device=words.device) * self.bits
            values = (words.unsqueeze(-1) >> shifts & ((1 << self.bits) - 1)).flatten(1)
        else:
            values = _bit_fields(words, self.bits)
        return values if along == 1 else values.t()


def _bit_fields(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Cut rows of 32-bit words into fields; a field may begin in one word and end in the next."""
    count = words.shape[1] * 32 // bits
    start = torch.arange(count, device=words.device) * bits
    word, offset = start // 32, start % 32
    after = (word + 1).clamp(max=words.shape[1] - 1)
    both = words[:, word] | (words[:, after] << 32)
    return both >> offset & ((1 << bits) - 1)
