"""The shape of the batch now in the model; dynamic quantization needs to know it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from src.errors import Unsupported


@dataclass(frozen=True, slots=True)
class Ends:
    """Which rows of a layer's input are one sequence.

    Attributes:
        owner: Sequence of each row, shape (rows,).
        table: The rows of each sequence, (sequences, longest); a short one repeats its first.
    """

    owner: torch.Tensor
    table: torch.Tensor


class BatchLayout:
    """Notes the batch's shape at each forward, for layers whose arithmetic is per sequence.

    Most layers see (batch, length, hidden), but some models flatten that to (batch * length,
    hidden) on the way (OPT), so a layer cannot tell from its own input.

    Attributes:
        sequences: Sequences in the batch being computed; of packed ones their tokens.
        length: Their length in tokens; 1 where they are packed.
    """

    def __init__(self, model: nn.Module) -> None:
        """Watch `model` (and its base model, which is called alone for embeddings)."""
        self.sequences, self.length = 1, 1
        self._ends: Ends | None = None
        base = getattr(model, "base_model", model)
        for module in {id(model): model, id(base): base}.values():
            module.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        if isinstance(given, torch.Tensor):
            self.sequences, self.length = int(given.shape[0]), int(given.shape[1])

    @contextmanager
    def packed(self, lengths: Sequence[int], device: torch.device) -> Iterator[None]:
        """Take the batch, while the block runs, for sequences end to end, each token a row.

        Args:
            lengths: Tokens of each sequence.
            device: Where the model is.
        """
        sizes = torch.tensor(lengths)
        starts = sizes.cumsum(0) - sizes
        places = torch.arange(int(sizes.max()))[None, :]
        table = starts[:, None] + torch.where(places < sizes[:, None], places, 0)
        owner = torch.arange(len(sizes)).repeat_interleave(sizes)
        self._ends = Ends(owner.to(device), table.to(device))
        try:
            yield
        finally:
            self._ends = None

    def groups(self, shape: torch.Size) -> int:
        """Count the parts of a layer's input that each have a range of their own.

        Of packed sequences each token is a part; `ends` says which of them share a range.

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

    def ends(self, groups: int) -> Ends | None:
        """Say which of `groups` parts of an input are one sequence; None where each is one."""
        return self._ends if self._ends is not None and groups == self.sequences > 1 else None


def layouts_of(model: nn.Module) -> list[BatchLayout]:
    """Find the layouts that a model's layers ask, each once."""
    found = (getattr(module, "layout", None) for module in model.modules())
    return list({id(one): one for one in found if isinstance(one, BatchLayout)}.values())
