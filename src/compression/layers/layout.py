"""The shape of the batch now in the model; dynamic quantization needs to know it."""

from typing import Any

import torch
from torch import nn

from src.errors import Unsupported


class BatchLayout:
    """Notes the batch's shape at each forward, for layers whose arithmetic is per sequence.

    Most layers see (batch, length, hidden), but some models flatten that to (batch * length,
    hidden) on the way (OPT), so a layer cannot tell from its own input.

    Attributes:
        sequences: Sequences in the batch being computed.
        length: Their length in tokens.
    """

    def __init__(self, model: nn.Module) -> None:
        """Watch `model` (and its base model, which is called alone for embeddings)."""
        self.sequences, self.length = 1, 1
        base = getattr(model, "base_model", model)
        for module in {id(model): model, id(base): base}.values():
            module.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        if isinstance(given, torch.Tensor):
            self.sequences, self.length = int(given.shape[0]), int(given.shape[1])

    def groups(self, shape: torch.Size) -> int:
        """Count the parts of a layer's input that each have a range of their own.

        Args:
            shape: Of the input, features last.

        Returns:
            The number of sequences; 1 for a table that all sequences share (DeBERTa's relative
            positions), whose range is the same alone and in company.

        Raises:
            Unsupported: It cannot be told which rows belong to which sequence.
        """
        if self.sequences == 1 or (len(shape) > 2 and shape[0] == 1):
            return 1
        whole = shape[:-1].numel() == self.sequences * self.length
        if whole or (len(shape) > 2 and shape[0] == self.sequences):
            return self.sequences
        raise Unsupported(
            f"a linear layer is given {tuple(shape)} for {self.sequences} sequences of "
            f"{self.length} tokens; a range per sequence cannot be defined there. "
            "system.batch_tokens=1 runs the sequences one by one."
        )
