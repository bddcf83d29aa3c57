"""What each step of fine-tuning reads: examples in a new order every epoch, padded."""

import functools
from collections.abc import Sequence

import torch

from src.benchmarks.items import Labelled
from src.models.traits import TextSide
from src.training.batches import Batch, seed_of

Ids = tuple[int, ...]


def encode(
    examples: Sequence[Labelled], text: TextSide, longest: int
) -> tuple[list[Ids], torch.Tensor]:
    """Encode examples as they are scored later, see `TextSide.encode_pair`.

    Returns:
        Token ids, and labels, shape (n,).
    """
    ids = [text.encode_pair(one.first, one.second, longest) for one in examples]
    return ids, torch.tensor([one.label for one in examples])


class ExampleBatches:
    """The steps of a run over labelled examples; see `src.training.batches.Batches`."""

    def __init__(
        self,
        ids: Sequence[Ids],
        labels: torch.Tensor,
        batch_tokens: int,
        seed: int,
        device: torch.device,
        split: tuple[int, int, int] = (1, 0, 1),
    ) -> None:
        """Keep the examples.

        Args:
            ids: Token ids of each example.
            labels: Shape (n,).
            batch_tokens: A step has examples up to so many tokens, padding left out; at least one.
            seed: Of the order.
            device: Where batches are made.
            split: Parts a process, number of this process, number of processes.
        """
        self.ids, self.labels = ids, labels
        self.batch_tokens, self.seed, self.device, self.split = batch_tokens, seed, device, split

    def parts(self, step: int) -> list[Batch]:
        """Give what this process computes in a step.

        Returns:
            Parts with `input_ids` and `attention_mask`, (n, length), `labels`, (n,), and `weight`.
        """
        epoch, chosen = 0, step
        while chosen >= len(steps := self._epoch(epoch)):
            epoch, chosen = epoch + 1, chosen - len(steps)
        whole = steps[chosen]
        accumulation, process, processes = self.split
        parts = accumulation * processes
        given = []
        for part in range(process * accumulation, (process + 1) * accumulation):
            mine = whole[part::parts]
            # Every process has to take part in every step: with weight 0 where there are too few.
            batch = self._padded(mine or whole[:1])
            given.append(batch | {"weight": len(mine) / len(whole) * processes})
        return given

    def tokens(self, step: int) -> int:
        """Count the tokens of the first `step` steps, over all processes."""
        epoch, total = 0, 0
        while step > 0:
            steps = self._epoch(epoch)[:step]
            total += sum(len(self.ids[index]) for chosen in steps for index in chosen)
            epoch, step = epoch + 1, step - len(steps)
        return total

    def _padded(self, indices: Sequence[int]) -> Batch:
        rows = [self.ids[index] for index in indices]
        length = max(map(len, rows))
        # What stands in the padding is hidden by the mask, so that any token does.
        ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(length) < lengths[:, None]).long()
        labels = self.labels[list(indices)]
        named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: tensor.to(self.device) for name, tensor in named.items()}

    @functools.lru_cache(maxsize=64)  # noqa: B019  # it lives as long as the run
    def _epoch(self, number: int) -> list[list[int]]:
        """Plan an epoch: for each of its steps the numbers of its examples."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, "epoch", number))
        steps: list[list[int]] = []
        room = 0
        for index in torch.randperm(len(self.ids), generator=generator).tolist():
            room -= len(self.ids[index])
            if not steps or room < 0:
                steps.append([])
                room = self.batch_tokens - len(self.ids[index])
            steps[-1].append(index)
        return steps
