"""bitsandbytes' linear layers, with numbers that depend on neither the batch nor the device."""

import copy
import logging
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Int8Params, Linear4bit, Linear8bitLt, Params4bit
from torch import nn
from torch.nn import functional

from src.errors import Unsupported
from src.models.batch_layout import BatchLayout

# It warns of the rounding to float16, which the receipt tells of, at every call of every layer.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class SequenceInt8Linear(Linear8bitLt):
    """LLM.int8, one sequence at a time.

    Attributes:
        weight: int8, (out_features, in_features).
    """

    takes_rows = True
    """Tells the engine that only some rows of the output can be asked for (see `forward`)."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        layout: BatchLayout,
        threshold: float,
    ) -> None:
        """Take a weight, (out_features, in_features), and quantize it unless it is."""
        super().__init__(
            weight.shape[1],
            weight.shape[0],
            bias=bias is not None,
            has_fp16_weights=False,
            threshold=threshold,
            device="meta",
        )
        if isinstance(weight, Int8Params):
            self.weight = weight
        else:
            # Quantizing is what it does on the way from the CPU to a device.
            self.weight = Int8Params(
                weight.detach().cpu(), requires_grad=False, has_fp16_weights=False
            ).to(weight.device)
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self.layout = layout
        self.eval()

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the integers stand for: fp32, (out_features, in_features)."""
        scale = self.weight.SCB if self.state.SCB is None else self.state.SCB
        dense: torch.Tensor = self.weight.data.float() * (scale.float() / 127).unsqueeze(1)
        return dense

    def forward(
        self, x: torch.Tensor, rows: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Compute x @ W.T + b.

        Args:
            x: (sequences, length, in_features), or flattened to (sequences * length, in_features).
            rows: Sequence and position indices, each (n,), of the only outputs wanted; outlier
                features are still those of the whole sequence.

        Returns:
            The shape of `x` with out_features last, or (n, out_features) with `rows`.

        Raises:
            Unsupported: The input does not consist of whole sequences.
        """
        groups = x.reshape(self.layout.groups(x.shape), -1, self.in_features)
        if rows is None:
            out = torch.stack([super(SequenceInt8Linear, self).forward(one) for one in groups])
            return out.reshape(*x.shape[:-1], self.out_features)
        out = x.new_empty(len(rows[0]), self.out_features)
        for index in rows[0].unique().tolist():
            wanted = rows[0] == index
            out[wanted] = super().forward(groups[index])[rows[1][wanted]]
        return out


class FourBitLinear(Linear4bit):
    """NF4 or FP4 weights, unpacked at each call and multiplied in the input's precision."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        quant_type: str,
        block_size: int,
        double_quant: bool,
    ) -> None:
        """Take a weight, (out_features, in_features), and quantize it unless it is."""
        quantized = isinstance(weight, Params4bit)
        shape = _shape(weight)
        super().__init__(
            shape[1],
            shape[0],
            bias=bias is not None,
            compress_statistics=double_quant,
            quant_type=quant_type,
            device="meta",
        )
        self.weight = (
            weight
            if quantized
            else Params4bit(
                weight.detach().clone(),
                requires_grad=False,
                blocksize=block_size,
                compress_statistics=double_quant,
                quant_type=quant_type,
                module=self,
            ).to(weight.device)
        )
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self.eval()

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the 4 bits stand for: (out_features, in_features)."""
        state = copy.copy(_state(self.weight))
        shape = state.shape
        state.shape = torch.Size((shape.numel() // state.blocksize, state.blocksize))
        # A row a block: the kernel for AVX512 takes the scales of other blocks where a block goes
        # over the end of a row (bitsandbytes 0.50).
        dense: torch.Tensor = dequantize_4bit(self.weight.data, state)
        return dense.view(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute x @ W.T + b.

        Args:
            x: (..., in_features).

        Returns:
            (..., out_features), the dtype of `x`.
        """
        return functional.linear(x, self.dense_weight().to(x.dtype), self.bias)


def _state(weight: Any) -> Any:
    return weight.quant_state


def _shape(weight: torch.Tensor) -> torch.Size:
    shape: torch.Size = _state(weight).shape if isinstance(weight, Params4bit) else weight.shape
    return shape


def stand_in(module: nn.Module, layout: BatchLayout) -> nn.Module | None:
    """Make this project's layer of one of bitsandbytes', with the same stored numbers.

    Args:
        module: Any module.
        layout: Of the model.

    Returns:
        None for what is no such layer.
    """
    if isinstance(module, Linear8bitLt):
        scale = module.weight.SCB if module.state.SCB is None else module.state.SCB
        stored = module.weight.data
        kept = Int8Params(stored, requires_grad=False, has_fp16_weights=False, CB=stored, SCB=scale)
        return SequenceInt8Linear(kept, module.bias, layout, module.state.threshold)
    if isinstance(module, Linear4bit):
        kind, size = module.weight.quant_type, module.weight.blocksize
        if _shape(module.weight).numel() % size:
            raise Unsupported(f"a 4-bit layer whose weights are no multiple of its block of {size}")
        nested = bool(module.weight.quant_state.nested)
        return FourBitLinear(module.weight, module.bias, kind, size, nested)
    return None
