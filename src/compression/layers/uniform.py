"""Linear and embedding layers that store packed weights of a uniform grid."""

import torch
from torch import nn
from torch.nn import functional

from src.compression.layers.activations import PAPER_BITS, Rows, quantize_activations, rescale
from src.compression.layers.grid import Grid, Packed, dequantize, integers
from src.compression.layers.integers import integer_product
from src.models.batch_layout import BatchLayout


class PackedWeight(nn.Module):
    """What both layers share: the stored weight.

    Attributes:
        weight: Packed codes, see `Packed`; two tied layers hold the same tensor.
        scale: fp32, see `Packed`.
        zero_point: See `Packed`; None for a symmetric grid.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    zero_point: torch.Tensor | None

    def __init__(self, packed: Packed, grid: Grid, columns: int) -> None:
        """Keep a weight as from `grid.quantize`, of `columns` columns."""
        super().__init__()
        self.register_buffer("weight", packed.codes)
        self.register_buffer("scale", packed.scale)
        self.register_buffer("zero_point", packed.zero_point)
        self.grid, self.columns = grid, columns

    def packed(self) -> Packed:
        """Give the stored weight."""
        return Packed(self.weight, self.scale, self.zero_point)

    def dense_weight(self) -> torch.Tensor:
        """Give the weight that the layer stands for, fp32, (rows, columns)."""
        return dequantize(self.packed(), self.grid, self.columns)

    def extra_repr(self) -> str:
        """Describe the stored weight."""
        return f"{len(self.weight)} x {self.columns}, {self.grid.bits} bits"


class UniformLinear(PackedWeight):
    """A linear layer with a packed weight, and activations as they are or quantized at each call.

    The weight is unpacked for each product, in fp32. Activations are quantized per sequence, as
    `DynamicInt8Linear` does; where a row of the weight has one scale and no zero point, the product
    is one of integers.
    """

    bias: torch.Tensor | None

    def __init__(
        self,
        packed: Packed,
        grid: Grid,
        columns: int,
        bias: torch.Tensor | None,
        activation_bits: int | None,
        layout: BatchLayout,
    ) -> None:
        """Keep a weight of (out_features, columns = in_features).

        Args:
            packed: As from `grid.quantize`.
            grid: The weight's.
            columns: Input features.
            bias: (out_features,), or None.
            activation_bits: Of activations; None leaves them as they are.
            layout: Tells the sequences of a batch apart.
        """
        super().__init__(packed, grid, columns)
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.activation_bits, self.layout = activation_bits, layout

    @property
    def per_sequence(self) -> bool:
        """Whether a sequence must not share its tokens with another: its range spans it."""
        return self.activation_bits is not None

    @property
    def takes_rows(self) -> bool:
        """Whether the engine has to name the wanted outputs instead of cutting the input.

        A range over the whole sequence needs the whole sequence.
        """
        return self.activation_bits is not None

    def forward(self, x: torch.Tensor, rows: Rows | None = None) -> torch.Tensor:
        """Compute x @ W.T + b.

        Args:
            x: Activations, (..., in_features); quantized ones have to be (sequences, length,
                in_features) or (sequences * length, in_features).
            rows: As in `DynamicInt8Linear`; only with quantized activations.

        Returns:
            (..., out_features), or (n, out_features) with `rows`; the dtype of `x`, computed in
            fp32.

        Raises:
            Unsupported: Activations are quantized, and the input does not consist of whole
                sequences.
        """
        if self.activation_bits is None:
            return functional.linear(x.float(), self.dense_weight(), self.bias).to(x.dtype)
        groups = self.layout.groups(x.shape)
        flat = x.float().reshape(groups, -1, self.columns)
        by_row = self.scale.shape[1] == 1 and self.zero_point is None
        # 7 bits fit in an int8 without their zero point, 8 do not.
        narrow = by_row and self.activation_bits <= PAPER_BITS and self.grid.bits <= 8
        dtype = torch.int8 if narrow else torch.float32
        values, scale = quantize_activations(
            flat, rows, self.activation_bits, dtype, self.layout.ends(groups)
        )
        if not by_row:
            product = values @ self.dense_weight().t()
        else:
            weight = integers(self.packed(), self.grid, self.columns).to(dtype)
            scale = scale * self.scale.flatten()
            product = integer_product(values, weight) if narrow else values @ weight.t()
        out = rescale(product, scale, self.bias)
        out = out if rows is not None else out.reshape(*x.shape[:-1], len(self.weight))
        return out.to(x.dtype)


class UniformEmbedding(PackedWeight):
    """An embedding table that is stored packed; the rows that are looked up are unpacked."""

    def __init__(self, packed: Packed, grid: Grid, columns: int, dtype: torch.dtype) -> None:
        """Keep a table of `columns` features, which gives vectors of `dtype`."""
        super().__init__(packed, grid, columns)
        self.dtype = dtype

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Look rows up.

        Args:
            ids: Integers, any shape.

        Returns:
            (*ids.shape, features).
        """
        chosen = ids.flatten()
        per_row = self.scale.shape[0] > 1
        looked_up = Packed(
            self.weight[chosen],
            self.scale[chosen] if per_row else self.scale,
            None
            if self.zero_point is None
            else self.zero_point[chosen]
            if per_row
            else self.zero_point,
        )
        vectors = dequantize(looked_up, self.grid, self.columns)
        return vectors.view(*ids.shape, self.columns).to(self.dtype)
