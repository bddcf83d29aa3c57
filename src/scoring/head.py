"""Running the language-model head on the wanted positions only, a few at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from src.scoring.batching import Batch, Integers

Rows = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a batch is asked of the head.

    Attributes:
        rows: Places in the batch's ids, counted row by row; distinct and ascending, shape (rows,).
        at: Index into `rows` of each value, ascending, shape (values,).
        targets: Token of each value.
        order: Where each value goes in the joined answers of the batch's forwards.
    """

    rows: Integers
    at: Integers
    targets: Integers
    order: Integers


def asked_of(batch: Batch) -> Asked:
    """Collect the pairs of all forwards of a batch."""
    places, targets = pairs_of(batch)
    rows, at = np.unique(places, return_inverse=True)
    order = np.argsort(at, kind="stable")
    return Asked(rows, at[order], targets[order], order)


def pairs_of(batch: Batch) -> tuple[Integers, Integers]:
    """Give place and target of every pair of a batch's forwards, joined."""
    pairs = [np.array(list(forward.pairs)).reshape(-1, 2) for forward in batch.forwards]
    places = [nodes[pair[:, 0]] for nodes, pair in zip(batch.nodes, pairs, strict=True)]
    return np.concatenate(places), np.concatenate(pairs)[:, 1]


class SelectiveHead:
    """Makes a model's output layer compute the asked positions and no others.

    For a masked sentence that is one position of many. The layer's input is cut by a hook. Where
    the layer's output is the model's, which the first batch tells, the hook lets one position
    through and the layer is called for the others a few at a time, so that a large vocabulary
    takes little memory; otherwise the model's own code after the layer (soft-capping) sees all.

    Attributes:
        selective: Whether the last forward computed the asked positions only. MobileBERT reads its
            output layer's weight without calling the layer, so all positions are computed.
        direct: Whether the layer's output is the model's; None before the first batch.
    """

    def __init__(self, model: PreTrainedModel, direct: bool | None = None) -> None:
        """Args: the model (one without an output layer module is run whole); see `direct`."""
        self.model = model
        self.selective = True
        self.direct = direct
        self._rows: Rows | None = None
        self._hidden: torch.Tensor | None = None
        self._head = model.get_output_embeddings()
        self._takes_rows = bool(getattr(self._head, "takes_rows", False))
        if self._head is None:
            self.direct = False
        self._handle = (
            None
            if self._head is None
            else self._head.register_forward_pre_hook(self._cut_input, with_kwargs=True)
        )

    def close(self) -> None:
        """Remove the hook."""
        if self._handle is not None:
            self._handle.remove()

    def log_probabilities(
        self, inputs: dict[str, torch.Tensor], asked: Asked, most: int
    ) -> torch.Tensor:
        """Compute log-probabilities.

        Args:
            inputs: What the model is given.
            asked: Positions and targets.
            most: Rows whose logits are held at a time, where the layer can be called alone.

        Returns:
            Natural logarithms, fp32, shape (values,), in the order of `asked.at`.
        """
        logits = self.logits(inputs, asked.rows)
        # The head of a model that is spread over devices may be on another one than its input.
        device = logits.device
        targets = torch.from_numpy(asked.targets).to(device)
        if self._hidden is None:
            return _picked(logits, torch.from_numpy(asked.at).to(device), targets)
        hidden, self._hidden = self._hidden.to(device), None
        edges = np.searchsorted(asked.at, np.arange(0, len(asked.rows) + most, most))
        at = torch.from_numpy(asked.at % most).to(device)
        width = inputs["input_ids"].shape[1]
        parts = []
        for some, start, end in zip(
            torch.from_numpy(asked.rows).to(device).split(most), edges, edges[1:], strict=False
        ):
            logits = self._alone(hidden, (some // width, some % width))
            parts.append(_picked(logits, at[start:end], targets[start:end]))
        return torch.cat(parts)

    def logits(self, inputs: dict[str, torch.Tensor], places: Integers) -> torch.Tensor:
        """Run the model.

        Args:
            inputs: What it is given.
            places: Positions, counted row by row through `input_ids`.

        Returns:
            Logits at these positions, (positions, vocabulary), in the model's dtype. A head that is
            `direct` has made the first only.
        """
        at, width = torch.from_numpy(places), inputs["input_ids"].shape[1]
        at = at.to(inputs["input_ids"].device)
        return self._run(inputs, (at // width, at % width))

    def _run(self, inputs: dict[str, torch.Tensor], rows: Rows) -> torch.Tensor:
        self._rows, self.selective, self._hidden = rows, False, None
        try:
            logits: torch.Tensor = self.model(**inputs).logits
        finally:
            self._rows = None
        if self.direct is None:
            self.direct = self.selective and self._is_direct(logits, rows)
            if self.selective and not self.direct:
                return self._run(inputs, rows)
        return logits if self.selective else logits[_beside(rows, logits)]

    def _is_direct(self, logits: torch.Tensor, rows: Rows) -> bool:
        assert self._hidden is not None
        alone = self._alone(self._hidden, _first(rows))
        return alone.shape == logits.shape and torch.equal(alone, logits.to(alone.dtype))

    def _alone(self, hidden: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Call the output layer for some positions of its whole input."""
        head: Any = self._head
        rows = _beside(rows, hidden)
        logits: torch.Tensor = head(hidden, rows=rows) if self._takes_rows else head(hidden[rows])
        return logits

    def _cut_input(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self._rows is None:
            return None
        self.selective = True
        rows = self._rows
        if self.direct is not False:
            self._hidden, rows = args[0], _first(rows)
        rows = _beside(rows, args[0])
        if self._takes_rows:
            return args, {**kwargs, "rows": rows}
        return (args[0][rows], *args[1:]), kwargs


def _beside(rows: Rows, table: torch.Tensor) -> Rows:
    """Put indices onto the device of what they index."""
    return rows[0].to(table.device), rows[1].to(table.device)


def _first(rows: Rows) -> Rows:
    return rows[0][:1], rows[1][:1]


def _picked(logits: torch.Tensor, at: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-softmax of a few entries of (rows, vocabulary) logits, in fp32; may overwrite them."""
    logits = logits.float()
    found, largest = logits[at, targets], logits.amax(-1, keepdim=True)
    # In place, because the copies that torch.logsumexp makes cost a tenth of a large vocabulary.
    normaliser = logits.sub_(largest).exp_().sum(-1).log_().add_(largest[:, 0])
    return found - normaliser[at]
