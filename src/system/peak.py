"""How fast a device multiplies matrices, measured."""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

SHAPES = {"cpu": (1024, 3072, 768), "cuda": (8192, 8192, 8192)}
"""Device type -> rows, inputs and outputs of the products; a CPU's are of a base model's shape."""
SECONDS = 0.15
"""How long each kind of product is measured, and there are two at most."""


@cache
def calibrated_peak(device: str, dtype: "torch.dtype", threads: int) -> float:
    """Measure `matrix_peak` once a process.

    Args:
        device: The device type.
        dtype: Of the matrices.
        threads: Of torch; what was measured with fewer holds for these only.
    """
    del threads
    return matrix_peak(device, dtype)


def product_dtype(model: "nn.Module", dtype: "torch.dtype") -> "torch.dtype":
    """Tell of which type the matrices are that a model multiplies: `dtype` if no layer says so."""
    said = (getattr(module, "product_dtype", None) for module in model.modules())
    return next((one for one in said if one is not None), dtype)


def matrix_peak(device: str, dtype: "torch.dtype", seconds: float = SECONDS) -> float:
    """Measure matrix products, on a CPU in fp32 by the faster of torch's two libraries.

    Args:
        device: The device type.
        dtype: Of the matrices; int8 are multiplied as int8 layers do.
        seconds: How long to measure each.

    Returns:
        Operations a second, a multiplication and an addition being two; what else the machine does
        counts against it.
    """
    import torch

    from src.compression.layers.integers import integer_product

    rows, inputs, outputs = SHAPES.get(device, SHAPES["cpu"])
    if device == "cpu" and dtype not in (torch.float32, torch.int8):
        rows //= 8  # not every processor multiplies them fast
    x = torch.randn(rows, inputs, device=device).to(dtype)
    weight = torch.randn(outputs, inputs, device=device).to(dtype)
    kinds: list[Callable[[], object]] = [
        lambda: integer_product(x, weight) if dtype == torch.int8 else torch.mm(x, weight.t())
    ]
    if device == "cpu" and dtype == torch.float32 and torch.backends.mkldnn.is_available():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        kinds.append(lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""))
    with torch.inference_mode():
        return max(2.0 * rows * inputs * outputs * _rate(kind, device, seconds) for kind in kinds)


def _rate(product: Callable[[], object], device: str, seconds: float) -> float:
    """Count runs a second, waiting for a GPU at the end of each."""
    import torch

    def run() -> None:
        product()
        if device == "cuda":
            torch.cuda.synchronize()

    run()
    started, runs = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        run()
        runs += 1
    return runs / elapsed
