"""Attention within packed sequences, for any model that asks transformers for its attention."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from src.errors import Unsupported
from src.scoring.batching import Integers

NAME = "packed"
SPREAD = 1.5
"""How many times as large as the smallest the largest tree of a table may be."""
WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")
"""Settings of a model that bound how far back attention reaches."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which packed tokens see which others.

    Attributes:
        tokens: Which of the packed tokens these are.
        gather: Of these, the one at each place of a (trees, nodes) table, whose short rows repeat
            the first; None where the trees are equal in size.
        scatter: Place in that table of each token; None likewise.
        mask: Whether a node (third axis) sees another (fourth), shape (trees, 1, nodes, nodes);
            None where all of a tree's nodes see each other, or all before them.
        trees: How many there are.
        before: Whether every node sees those before it and no others.
    """

    tokens: slice
    gather: torch.Tensor | None
    scatter: torch.Tensor | None
    mask: torch.Tensor | None
    trees: int
    before: bool = False


def find_layouts(
    ends: Sequence[Integers], causal: bool, device: torch.device, spread: float = SPREAD
) -> list[Layout]:
    """Lay packed trees out for attention, those of about the same size in one table.

    Args:
        ends: Of each tree, see `src.scoring.packing.Tree`; the largest first.
        causal: Whether a node sees its ancestors only, or its whole tree.
        device: Where the model is.
        spread: See `SPREAD`; 1 leaves no place empty.
    """
    layouts, start = [], 0
    for table in _tables(ends, spread):
        layouts.append(_layout(table, start, causal, device))
        start = layouts[-1].tokens.stop
    return layouts


def padding(ends: Sequence[Integers], spread: float = SPREAD) -> int:
    """Count the places of attention's tables that hold no token.

    Args:
        ends: As for `find_layouts`.
        spread: Likewise.
    """
    tables = _tables(ends, spread)
    return sum(len(table[0]) * len(table) - sum(map(len, table)) for table in tables)


def _tables(ends: Sequence[Integers], spread: float) -> Iterator[Sequence[Integers]]:
    """Cut trees into groups of about the same size; the first of each is its largest."""
    first = 0
    for at in range(1, len(ends) + 1):
        if at == len(ends) or len(ends[at]) * spread < len(ends[first]):
            yield ends[first:at]
            first = at


def _layout(ends: Sequence[Integers], start: int, causal: bool, device: torch.device) -> Layout:
    sizes = np.array([len(tree) for tree in ends])
    tokens = slice(start, start + int(sizes.sum()))
    columns = np.arange(sizes.max())
    inside = columns < sizes[:, None]
    equal = bool(inside.all())
    mask = None
    before = causal and all((tree == len(tree)).all() for tree in ends)
    if before:
        # What stands in for missing nodes comes after all others, which therefore do not see it.
        pass
    elif causal:
        # Places that no node has see each other: a row without any would not be a number.
        until = np.full(inside.shape, columns.size)
        until[inside] = np.concatenate(ends)
        end = torch.from_numpy(until).to(device)[:, None, None, :]
        node = torch.arange(columns.size, device=device)
        mask = (node[None, :] <= node[:, None]) & (node[:, None] < end)
    elif not equal:
        keys = torch.from_numpy(inside).to(device)[:, None, None, :]
        mask = keys.expand(-1, -1, columns.size, -1)
    if equal:
        return Layout(tokens, None, None, mask, sizes.size, before)
    gather = np.zeros(inside.shape, dtype=np.int64)
    gather[inside] = np.arange(sizes.sum())
    scatter = torch.from_numpy(np.flatnonzero(inside)).to(device)
    return Layout(tokens, torch.from_numpy(gather).to(device), scatter, mask, sizes.size, before)


class PackedAttention:
    """Attention function of a model whose batch is packed tokens, each a row of its own.

    Everything outside attention works on the tokens as they come, without padding. Here they are
    put into a table with a row a tree, where padding costs next to nothing.
    """

    def __init__(self, model: PreTrainedModel, causal: bool, exact: bool = False) -> None:
        """Prepare a model.

        Args:
            model: The model.
            causal: Whether its tokens see only what is before them.
            exact: Whether a sequence's numbers have to be, to the last bit, those it has alone:
                where activations are rounded to a few bits, the last bit can become one of these.
        """
        self._causal = causal
        self.spread = 1.0 if exact else SPREAD
        """How unlike the trees of a table may be."""
        self._ends: Sequence[Integers] = ()
        self._layouts: dict[torch.device, list[Layout]] = {}
        configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
        self._configs: list[Any] = list(configs.values())
        windows = [getattr(config, name, None) for config in self._configs for name in WINDOWS]
        self.longest = min((w for w in windows if isinstance(w, int)), default=None)
        """Length of the longest sequence that may be packed; None for any."""
        self.first_position = _first_position(model)
        """Position id of a sequence's first token."""

    @contextmanager
    def over(self, ends: Sequence[Integers]) -> Iterator[None]:
        """Make the model attend within these trees while the block runs."""
        self._ends = ends
        before = [config._attn_implementation for config in self._configs]
        AttentionInterface.register(NAME, self)
        try:
            for config in self._configs:
                config._attn_implementation = NAME
            yield
        finally:
            for config, name in zip(self._configs, before, strict=True):
                config._attn_implementation = name
            self._ends, self._layouts = (), {}

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attend, as transformers calls it.

        Args:
            module: The attention module.
            query: Shape (tokens, heads, 1, width).
            key: The same, with as many heads or fewer.
            value: As `key`.
            attention_mask: None.
            scaling: Of the scores; None for 1 / sqrt(width).
            options: Whatever else the model says.

        Returns:
            Shape (tokens, 1, heads, width), and no weights.

        Raises:
            Unsupported: The model wants something that is not done here.
        """
        del module
        asked = [name for name in ("softcap", "s_aux", "position_bias") if _given(options, name)]
        if not self._ends or attention_mask is not None or query.shape[2] != 1 or asked:
            raise Unsupported(f"attention of this kind cannot be packed: {asked or query.shape}")
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
        parts = [_attend(query, key, value, layout, scaling) for layout in self._on(query.device)]
        return (torch.cat(parts) if len(parts) > 1 else parts[0])[:, None], None

    def _on(self, device: torch.device) -> list[Layout]:
        """Give the layouts where a layer is: a large model's lie on several devices."""
        if device not in self._layouts:
            self._layouts[device] = find_layouts(self._ends, self._causal, device, self.spread)
        return self._layouts[device]


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
) -> torch.Tensor:
    """Attend within the trees of one table; give (its tokens, heads, width)."""
    query, key, value = (_as_table(x[layout.tokens, :, 0], layout) for x in (query, key, value))
    found = scaled_dot_product_attention(
        query, key, value, attn_mask=layout.mask, is_causal=layout.before, scale=scaling
    )
    rows = found.transpose(1, 2).flatten(0, 1)
    return rows if layout.scatter is None else rows[layout.scatter]


def _first_position(model: PreTrainedModel) -> int:
    """RoBERTa-type models count from `padding_idx + 1`; their position table says so."""
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return int(padding) + 1
    return 0


def _as_table(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """From (tokens, heads, width) to (trees, heads, nodes, width)."""
    if layout.gather is None:
        return x.reshape(layout.trees, -1, *x.shape[1:]).transpose(1, 2)
    return x[layout.gather].transpose(1, 2)


def _given(options: dict[str, Any], name: str) -> bool:
    return options.get(name) is not None
