"""How many sequences the batch now in the model holds; dynamic quantization needs to know."""

from typing import Any

import torch
from torch import nn


class BatchLayout:
    """Notes the batch size of each forward, for layers whose arithmetic is per sequence.

    Most layers see (batch, length, hidden), but some models flatten that to (batch * length,
    hidden) on the way (OPT), so a layer cannot tell from its own input.

    Attributes:
        sequences: Sequences in the batch being computed.
    """

    def __init__(self, model: nn.Module) -> None:
        """Watch `model` (and its base model, which is called alone for embeddings)."""
        self.sequences = 1
        base = getattr(model, "base_model", model)
        for module in {id(model): model, id(base): base}.values():
            module.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        if isinstance(given, torch.Tensor):
            self.sequences = int(given.shape[0])
