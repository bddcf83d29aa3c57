"""What each block of a model puts out, and how far that is from what it put out before."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from src.models.blocks import outermost_lists

LayerOutputs = dict[str, torch.Tensor]
"""Block -> its output over all tokens of some inputs, (tokens, hidden), fp32, in memory."""


def layer_outputs(
    model: nn.Module, inputs: Sequence[tuple[int, ...]], device: torch.device
) -> LayerOutputs:
    """Note what each block puts out; a block that is called again counts as another one.

    Args:
        model: The model, in eval mode.
        inputs: Token ids; run one by one.
        device: Where the model is.
    """
    noted: dict[str, list[torch.Tensor]] = {}
    calls: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            key = name if calls[name] == 1 else f"{name} call {calls[name]}"
            hidden = output[0] if isinstance(output, tuple) else output
            noted.setdefault(key, []).append(hidden.detach().float().flatten(0, -2).cpu())

        return hook

    handles = [
        block.register_forward_hook(note(f"{name}.{index}"))
        for name, blocks in outermost_lists(model).items()
        for index, block in enumerate(blocks)
    ]
    try:
        with torch.inference_mode():
            for ids in inputs:
                calls.clear()
                model(input_ids=torch.tensor([ids], device=device))
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts) for name, parts in noted.items()}


def layer_errors(before: LayerOutputs, after: LayerOutputs) -> tuple[dict[str, float] | None, str]:
    """Compare blocks, errors of the blocks before them included.

    Returns:
        Block -> ||Y - Y'||_F / ||Y||_F of its outputs Y before and Y' after; or None, and why.
    """
    shapes = [{k: v.shape for k, v in outputs.items()} for outputs in (before, after)]
    if shapes[0] != shapes[1]:
        return None, "the compressed model's blocks do not correspond to those before"
    errors = {
        name: float((outputs.double() - after[name].double()).norm() / outputs.double().norm())
        for name, outputs in before.items()
    }
    return errors, ""
