"""How many floating-point operations a plan cannot do without, counted from the model's modules.

    linear layers below the head    2 x weights x tokens needed
    attention                       4 x heads x head width x layers x pairs (token, one it sees)
    the head                        2 x weights x positions whose prediction is asked for

A multiplication and an addition are two operations. Embeddings, norms, activations and softmax
count as nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.models.spread import entry_device
from src.scoring.batching import Batch, Forward
from src.scoring.packing import common_beginning, needed_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBE = 8
"""Tokens of the input with which a model's layers are counted."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan cannot do without.

    Attributes:
        tokens: Tokens that have to be run.
        pairs: A token and one that it sees, itself included.
        rows: Positions whose prediction is asked for.
    """

    tokens: int
    pairs: int
    rows: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations of a model.

    Attributes:
        token: Of linear layers below the head, a token.
        pair: Of attention in all layers, a token and one that it sees.
        row: Of the head's linear layers, a position.
    """

    token: int
    pair: int
    row: int

    def of(self, need: Need) -> int:
        """Count the operations of a plan."""
        return self.token * need.tokens + self.pair * need.pairs + self.row * need.rows


def find_need(forwards: Sequence[Forward], causal: bool, whole: bool) -> Need:
    """Find what some forwards need, however they are batched.

    A causal model's tokens depend on those before them only, so that a beginning that several
    inputs share is needed once, and nothing after the last position asked for is.

    Args:
        forwards: Distinct ones.
        causal: Whether tokens see only what is before them.
        whole: Whether a layer's arithmetic spans its whole sequence, so that nothing is shared.
    """
    if causal and not whole:
        kinds = {forward.pooling for forward in forwards}
        shares = [_shared([one for one in forwards if one.pooling == kind]) for kind in kinds]
    else:
        shares = [_alone(forward, causal) for forward in forwards]
    return Need(
        sum(one.tokens for one in shares),
        sum(one.pairs for one in shares),
        sum(one.rows for one in shares),
    )


def need_of_batches(batches: Iterable[Batch], causal: bool) -> Need:
    """Find what some batches need: as `find_need`, with what they share and no more shared.

    Args:
        batches: As the engine cuts them.
        causal: Whether tokens see only what is before them.
    """
    tokens = pairs = rows = 0
    for batch in batches:
        tokens += batch.tokens
        if not batch.ends:
            pairs += sum(_alone(forward, causal).pairs for forward in batch.forwards)
        elif causal:
            assert batch.positions is not None
            pairs += int(batch.positions.sum()) + batch.tokens
        else:
            pairs += sum(len(ends) ** 2 for ends in batch.ends)
        asked = zip(batch.nodes, batch.forwards, strict=True)
        rows += len({int(nodes[row]) for nodes, forward in asked for row in forward.rows})
    return Need(tokens, pairs, rows)


def _alone(forward: Forward, causal: bool) -> Need:
    length = len(forward.ids)
    pairs = length * (length + 1) // 2 if causal else length**2
    return Need(length, pairs, len(forward.rows))


def _shared(forwards: Iterable[Forward]) -> Need:
    """Count in the tree that all beginnings make together."""
    tokens = pairs = rows = 0
    before: tuple[int, ...] = ()
    asked: set[int] = set()
    for ids, forward in sorted(((needed_ids(one), one) for one in forwards), key=lambda x: x[0]):
        shared = common_beginning(before, ids)
        tokens += len(ids) - shared
        pairs += (len(ids) * (len(ids) + 1) - shared * (shared + 1)) // 2
        # In sorted order a position of this path that was asked before is of the last paths.
        asked = {row for row in asked if row < shared}
        new = set(forward.rows) - asked
        rows += len(new)
        asked |= new
        before = ids
    return Need(tokens, pairs, rows)


def model_cost(model: "PreTrainedModel") -> Cost:
    """Count a model's operations by running it once on a few tokens.

    Layers that are called several times (ALBERT's) count as often, those that are called for a
    sequence and not for its tokens (a pooler) not at all. Works on the meta device too.

    Args:
        model: Dense or compressed; a layer of low rank counts as its two factors.
    """
    import torch

    body = {id(module) for module in model.base_model.modules()}
    head = model.get_output_embeddings()
    if head is not None:
        body -= {id(module) for module in head.modules()}
    counts = {True: 0, False: 0}
    called: set[int] = set()

    def count(module: Any, args: tuple[Any, ...], output: Any) -> None:
        called.add(id(module))
        rows = args[0].numel() // args[0].shape[-1]
        if args[0].is_floating_point() and rows >= PROBE:
            counts[id(module) in body] += 2 * rows * args[0].shape[-1] * output.shape[-1]

    handles = [m.register_forward_hook(count) for m in model.modules() if _is_linear(m)]
    try:
        with torch.inference_mode():
            model(input_ids=torch.zeros((1, PROBE), dtype=torch.long, device=entry_device(model)))
    finally:
        for handle in handles:
            handle.remove()
    token, row = counts[True] // PROBE, counts[False] // PROBE
    if head is not None and id(head) not in called:
        # MobileBERT multiplies by the weights of its head's layers without calling them.
        uncalled = [m for m in model.modules() if _is_linear(m) and id(m) not in body | called]
        row += sum(2 * layer.weight.numel() for layer in uncalled)
    return Cost(token, 4 * _attention_width(model.config), row)


def _is_linear(module: Any) -> bool:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if any(_is_linear(child) for child in module.children()):
        return False
    return isinstance(module, nn.Linear | Conv1D) or hasattr(module, "dense_weight")


def _attention_width(config: Any) -> int:
    """Sum heads x head width over the layers."""
    width = getattr(config, "true_hidden_size", None) or config.hidden_size
    if size := getattr(config, "head_dim", None):
        width = size * config.num_attention_heads
    return int(width * config.num_hidden_layers)
