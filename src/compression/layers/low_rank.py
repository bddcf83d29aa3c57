"""Linear layers with a weight of low rank, as two thin ones where that is smaller."""

import torch
from torch import nn

from src.compression.linears import dense_weight


class LowRankLinear(nn.Sequential):
    """Two linear layers one after the other, which stand for one with the product's weight.

    They are ordinary ones, so that a later step of a stack can compress them in its turn.
    """

    def __init__(
        self, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """Args: factors of shape (rank, in) and (out, rank), and the bias, (out,)."""
        super().__init__(linear(first, None), linear(second, bias))

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that both layers stand for, (out, in)."""
        first, second = dense_weight(self[0]), dense_weight(self[1])
        assert first is not None
        assert second is not None
        return second @ first


def factors(
    weight: torch.Tensor, share: float | None, energy: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Truncate a weight's singular value decomposition.

    Args:
        weight: (out, in), any float dtype.
        share: Share of the singular values to keep (at least one), or None.
        energy: Keep as few as have this share of the sum of squares, or None.

    Returns:
        First (rank, in) and second (out, rank), in the weight's dtype; `second @ first` is the
        nearest matrix of that rank (Eckart and Young, 1936). Each gets the root of the singular
        values, so that neither has a range that is hard to quantize.
    """
    left, values, right = torch.linalg.svd(weight.float(), full_matrices=False)
    if energy is None:
        assert share is not None
        rank = max(1, round(share * values.numel()))
    else:
        kept = values.double().square().cumsum(0)
        rank = int((kept < energy * kept[-1]).sum()) + 1
    root = values[:rank].sqrt()
    first, second = root[:, None] * right[:rank], left[:, :rank] * root
    return first.to(weight.dtype), second.to(weight.dtype)


def build(first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """Make a layer of two factors: both, or their product where that has fewer weights."""
    if first.numel() + second.numel() < second.shape[0] * first.shape[1]:
        return LowRankLinear(first, second, bias)
    return linear(second @ first, bias)


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """Make a linear layer of a weight (out, in) and a bias (out,) that are given."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer
