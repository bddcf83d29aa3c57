"""Packed layers against gptqmodel's own numbers, and checkpoints in layouts that are not read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.models.packed import PARTS, PackedLinear

GOLDEN = Path(__file__).parents[1] / "compression" / "gptqmodel_layers.safetensors"
"""Layers that gptqmodel 7.7.0 wrote, with the weight that its own kernels make of them."""


@pytest.mark.parametrize("case", ["gptq2", "gptq3", "gptq4", "gptq8", "awq4"])
def test_weights_are_those_of_gptqmodel(case):
    """2 and 3 bits with zero points, 4 with inputs in another order, AWQ's own order."""
    tensors = load_file(GOLDEN)
    parts = {part: tensors[f"{case}.{part}"] for part in PARTS if f"{case}.{part}" in tensors}
    layer = PackedLinear(parts, int(case[-1]), "gemm" if case == "awq4" else "gptq")
    assert torch.equal(layer.dense_weight().half(), tensors[f"{case}.dequantized"])
    assert (layer.in_features, layer.out_features) == (64, 64)
    x = torch.randn(2, 3, 64)
    torch.testing.assert_close(layer(x), x @ layer.dense_weight().t())


def test_the_second_version_of_the_layout_stores_zero_points_as_they_are():
    tensors = load_file(GOLDEN)
    parts = {part: tensors[f"gptq4.{part}"] for part in PARTS if f"gptq4.{part}" in tensors}
    first, second = (PackedLinear(parts, 4, layout) for layout in ("gptq", "gptq_v2"))
    scales = parts["scales"].float()[parts["g_idx"].long()].t()
    torch.testing.assert_close(second.dense_weight() - first.dense_weight(), scales)
