"""What each step of a training run reads, as a function of the number of the step alone.

So a run that is resumed needs no state of the data: it asks for its next step.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

Batch = dict[str, Any]
"""Tensors for one forward and backward, and its `weight`: see `Batches.parts`."""
Rows = Mapping[int, torch.Tensor]
"""Length -> (rows, length) token ids, special tokens included."""


class Batches(Protocol):
    """The steps of a run."""

    def parts(self, step: int) -> list[Batch]:
        """Give what this process computes in a step.

        Args:
            step: Counted from 0.

        Returns:
            As many parts as `training.accumulation`. A part's `weight` is its share of the whole
            step (of all processes) times the number of processes; where losses are means over a
            part's own targets, their weighted sum, averaged over processes, is the step's mean.
        """
        ...

    def tokens(self, step: int) -> int:
        """Count the tokens of the first `step` steps, over all processes."""
        ...


class RowBatches:
    """Rows of equal length a step, reshuffled every epoch; no padding, so no attention mask."""

    def __init__(
        self,
        rows: Rows,
        batch_tokens: int,
        seed: int,
        device: torch.device,
        split: tuple[int, int, int] = (1, 0, 1),
        change: Callable[[torch.Tensor, int], Batch] | None = None,
    ) -> None:
        """Keep the rows on the device.

        Args:
            rows: Length -> (rows, length) ids.
            batch_tokens: A step has as many rows as come nearest to it from below, at least one.
            seed: Of the order.
            device: Where the rows are kept and batches made.
            split: Parts a process, number of this process, number of processes.
            change: Called with a step's (rows, length) int64 ids and its number, gives tensors
                whose first axis is the row (masks, say); without it they are `ids` alone.
        """
        self.rows = {size: group.to(device) for size, group in rows.items() if len(group)}
        self.counts = {size: max(1, batch_tokens // size) for size in self.rows}
        self.seed, self.device, self.split = seed, device, split
        self.change = change or (lambda ids, step: {"ids": ids})
        self.per_epoch = sum(-(-len(self.rows[size]) // n) for size, n in self.counts.items())

    def parts(self, step: int) -> list[Batch]:
        """See `Batches`; the same rows whatever the split, each in exactly one part."""
        epoch, index = divmod(step, self.per_epoch)
        size, chosen = self._epoch(epoch)[index]
        whole = self.change(self.rows[size][chosen].long(), step)
        accumulation, process, processes = self.split
        count, parts = len(chosen), accumulation * processes
        given = []
        for part in range(process * accumulation, (process + 1) * accumulation):
            share = len(range(part, count, parts)) / count
            # Every process has to take part in every step: with weight 0 where there are too few.
            mine = slice(part, None, parts) if share else slice(0, 1)
            batch: Batch = {name: tensor[mine] for name, tensor in whole.items()}
            given.append(batch | {"weight": share * processes})
        return given

    def tokens(self, step: int) -> int:
        """See `Batches`."""
        epochs, index = divmod(step, self.per_epoch)
        whole = sum(group.numel() for group in self.rows.values())
        begun = self._epoch(epochs)[:index] if index else []
        return epochs * whole + sum(size * len(chosen) for size, chosen in begun)

    # Two, because a step's tokens may be counted after the next epoch began.
    @functools.lru_cache(maxsize=2)  # noqa: B019  # it lives as long as the run
    def _epoch(self, number: int) -> list[tuple[int, torch.Tensor]]:
        """Plan an epoch: for each of its steps the length and the numbers of its rows."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, "epoch", number))
        steps: list[tuple[int, torch.Tensor]] = []
        for size, group in self.rows.items():
            order = torch.randperm(len(group), generator=generator).to(self.device)
            steps += [(size, part) for part in order.split(self.counts[size])]
        return [steps[i] for i in torch.randperm(len(steps), generator=generator).tolist()]


def seed_of(*parts: object) -> int:
    """Make one seed for a generator of several things, unlike that of any others."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "big")
