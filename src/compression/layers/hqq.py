"""HQQ's linear layer, as the other compressed layers are used."""

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from torch import nn


class HalfQuadraticLinear(HQQLinear):
    """Integers in groups with a scale and a zero point; the weight is made at each call."""

    def __init__(self, layer: nn.Linear, bits: float, group_size: int) -> None:
        """Quantize a layer, on the device where it is."""
        super().__init__(
            layer,
            # axis=1: a group lies within one output channel.
            BaseQuantizeConfig(nbits=bits, group_size=group_size, axis=1),
            compute_dtype=layer.weight.dtype,
            device=str(layer.weight.device),
        )
        self.W_q.requires_grad_(False)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the integers stand for: (out_features, in_features)."""
        dense: torch.Tensor = self.dequantize()
        return dense
