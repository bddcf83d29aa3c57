"""What linear layers see on calibration text, one block after another."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from src.errors import InputError
from src.models.blocks import block_names

Summary = Callable[[torch.Tensor], torch.Tensor]
"""From a layer's inputs (tokens, in), fp32, to something that adds up over batches."""


def squares(inputs: torch.Tensor) -> torch.Tensor:
    """Sum the squares of each input: (tokens, in) -> (in,)."""
    return (inputs**2).sum(0)


def products(inputs: torch.Tensor) -> torch.Tensor:
    """Sum the products of all pairs of inputs, X'X: (tokens, in) -> (in, in)."""
    return inputs.t() @ inputs


class _Enough(Exception):
    """Ends a forward pass once all layers of interest have been called."""


def by_block(
    model: nn.Module,
    linears: Mapping[str, nn.Module],
    batches: Sequence[torch.Tensor],
    summary: Summary,
) -> Iterator[tuple[dict[str, nn.Module], dict[str, torch.Tensor]]]:
    """Summarise the inputs of linear layers, one block at a time.

    A block is looked at only after the caller is done with the ones before it, so that its inputs
    are those that the pruned blocks before it give, as in SparseGPT's and Wanda's own code. Only
    one block's summaries are in memory. A forward pass ends with the block that is looked at.

    Args:
        model: Called with `input_ids` alone.
        linears: Dotted name -> layer, as from `find_linears`.
        batches: Token ids, (batch, length) each.
        summary: `squares` or `products`.

    Yields:
        Some layers by name, and the sum of their summaries over all calls in all batches.

    Raises:
        InputError: Inputs are not finite.
    """
    calls = _order(model, linears, batches[0][:1])
    blocks = block_names(model, linears)
    groups = itertools.groupby(calls, key=lambda name: blocks.get(name, name))
    done: set[str] = set()
    for _, group in groups:
        # A block with shared weights (ALBERT's only one) is called again and again: all count.
        called = [name for name in group if name not in done]
        if called:
            done |= set(called)
            layers = {name: linears[name] for name in dict.fromkeys(called)}
            yield layers, _collect(model, layers, len(called), batches, summary)


def _order(model: nn.Module, linears: Mapping[str, nn.Module], ids: torch.Tensor) -> list[str]:
    """List the names of layers in the order of their calls in one forward pass."""
    calls: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: calls.append(name)

    _run(model, [module.register_forward_pre_hook(note(n)) for n, module in linears.items()], [ids])
    return calls


def _collect(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    calls: int,
    batches: Sequence[torch.Tensor],
    summary: Summary,
) -> dict[str, torch.Tensor]:
    """Sum over all batches, each of which calls the layers `calls` times in total."""
    total: dict[str, torch.Tensor] = {}
    left = calls

    def begin(*_: object) -> None:
        nonlocal left
        left = calls

    def add(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            nonlocal left
            inputs = args[0].detach().float()
            value = summary(inputs.reshape(-1, inputs.shape[-1]))
            total[name] = total[name] + value if name in total else value
            left -= 1

        return hook

    def stop(*_: object) -> None:
        if left == 0:
            raise _Enough

    handles = [model.register_forward_pre_hook(begin)]
    handles += [module.register_forward_pre_hook(add(n)) for n, module in layers.items()]
    handles += [module.register_forward_hook(stop) for module in layers.values()]
    _run(model, handles, batches)
    for name, value in total.items():
        if not bool(value.isfinite().all()):
            raise InputError(f"the inputs of {name} on the calibration text are not finite.")
    return total


def _run(
    model: nn.Module, handles: Sequence[RemovableHandle], batches: Sequence[torch.Tensor]
) -> None:
    try:
        with torch.no_grad():
            for ids in batches:
                with contextlib.suppress(_Enough):
                    model(input_ids=ids)
    finally:
        for handle in handles:
            handle.remove()
