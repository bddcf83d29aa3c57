"""Running the language-model head on the wanted positions only."""

from typing import Any

import torch
from transformers import PreTrainedModel

Rows = tuple[torch.Tensor, torch.Tensor]


class SelectiveHead:
    """Makes a model's output layer compute the asked positions and no others.

    For a masked sentence that is one position of many. The layer's input is cut by a hook, so the
    model's own code before and after it (transforms, soft-capping) stays as it is.

    Attributes:
        selective: Whether the last forward computed the asked positions only. MobileBERT reads its
            output layer's weight without calling the layer, so all positions are computed.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Args: the model; models without an output layer module are run whole."""
        self.model = model
        self.selective = True
        self._rows: Rows | None = None
        head = model.get_output_embeddings()
        self._handle = (
            None
            if head is None
            else head.register_forward_pre_hook(self._cut_input, with_kwargs=True)
        )

    def close(self) -> None:
        """Remove the hook."""
        if self._handle is not None:
            self._handle.remove()

    def logits(self, ids: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Compute the logits at some positions.

        Args:
            ids: Token ids, (batch, length), none of them padding.
            rows: Sequence and position indices, each (n,).

        Returns:
            Logits, (n, vocabulary), in the model's dtype.
        """
        self._rows, self.selective = rows, False
        try:
            logits: torch.Tensor = self.model(input_ids=ids).logits
        finally:
            self._rows = None
        return logits if self.selective else logits[rows]

    def _cut_input(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self._rows is None:
            return None
        self.selective = True
        if getattr(module, "takes_rows", False):
            return args, {**kwargs, "rows": self._rows}
        return (args[0][self._rows], *args[1:]), kwargs
