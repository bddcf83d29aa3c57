"""The only place that runs the model: requests in, answers out."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch

from src.errors import InputError
from src.models.subject import Subject
from src.scoring.attention import received_attention
from src.scoring.batching import Batch, Budget, Forward, batches
from src.scoring.head import SelectiveHead
from src.scoring.requests import Answer

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """What an engine did.

    Attributes:
        forwards: Distinct inputs run.
        tokens: Tokens in them.
        batches: Model calls.
        retries: Batches that did not fit in memory and were cut.
    """

    forwards: int = 0
    tokens: int = 0
    batches: int = 0
    retries: int = 0


@dataclass(slots=True)
class Engine:
    """Runs forwards in batches of equal length.

    Attributes:
        subject: Model and device.
        batch_tokens: Most tokens a batch; halved for good when memory runs out.
        batch_logits: Most logits a batch.
        on_batch: Called after each batch with the number of forwards it held.
        selective: Whether the model's head computes the asked positions only; found in warm-up.
        work: Counts of what was done.
    """

    subject: Subject
    batch_tokens: int
    batch_logits: int
    on_batch: Callable[[int], None] = lambda _: None
    selective: bool = True
    work: Work = field(default_factory=Work)

    def warm_up(self, forwards: Sequence[Forward]) -> None:
        """Run the shortest input of each kind once, so that one-time costs are not timed.

        Args:
            forwards: What will be run.
        """
        shortest = {one.pooling: one for one in sorted(forwards, key=lambda one: -len(one.ids))}
        with closing(SelectiveHead(self.subject.model)) as head, torch.inference_mode():
            for forward in shortest.values():
                self._run_batch(Batch((forward,)), head)
                self.selective = self.selective and head.selective

    def run(self, forwards: Sequence[Forward]) -> list[Answer]:
        """Answer everything asked of some forwards.

        Args:
            forwards: As from `merge`.

        Returns:
            For each forward its answer: the value of each of its pairs, or its embedding.

        Raises:
            InputError: The model gives values that are not finite, or one sequence alone does not
                fit in memory.
        """
        answers: dict[int, Answer] = {}
        waiting = list(forwards)
        with closing(SelectiveHead(self.subject.model)) as head, torch.inference_mode():
            while waiting:
                waiting = self._pass(waiting, head, answers)
        return [answers[id(forward)] for forward in forwards]

    def _pass(
        self, forwards: Sequence[Forward], head: SelectiveHead, answers: dict[int, Answer]
    ) -> list[Forward]:
        """Run batch after batch until all are done or memory runs out; return what is left."""
        # A padded embedding matrix has more rows than the tokenizer has tokens; the head has too.
        vocabulary = int(self.subject.model.get_input_embeddings().weight.shape[0])
        budget = Budget(self.batch_tokens, self.batch_logits, vocabulary, self.selective)
        for batch in batches(forwards, budget):
            results: list[Answer] | None = None
            try:
                results = self._run_batch(batch, head)
            except (RuntimeError, MemoryError) as error:
                self._refuse_unless_memory(batch, error)
            if results is None:
                # Outside the handler: the error's traceback held on to the batch's tensors.
                self._shrink(batch)
                return [forward for forward in forwards if id(forward) not in answers]
            for forward, answer in zip(batch.forwards, results, strict=True):
                _check_finite(forward, answer, self.subject)
                answers[id(forward)] = answer
            self.work.forwards += len(batch.forwards)
            self.work.tokens += batch.tokens
            self.work.batches += 1
            self.on_batch(len(batch.forwards))
        return []

    def _run_batch(self, batch: Batch, head: SelectiveHead) -> list[Answer]:
        ids = torch.tensor([forward.ids for forward in batch.forwards]).to(self.subject.device)
        if batch.forwards[0].pooling == "attention":
            return list(received_attention(self.subject.model, ids).cpu().numpy())
        if batch.forwards[0].pooling:
            hidden = self.subject.model.base_model(input_ids=ids).last_hidden_state.float()
            pooled = hidden.mean(1) if batch.forwards[0].pooling == "mean" else hidden[:, 0]
            return list(pooled.cpu().numpy())
        return self._log_probabilities(batch, ids, head)

    def _log_probabilities(
        self, batch: Batch, ids: torch.Tensor, head: SelectiveHead
    ) -> list[Answer]:
        place: dict[tuple[int, int], int] = {}
        picked: list[tuple[int, int]] = []
        for index, forward in enumerate(batch.forwards):
            for row, target in forward.pairs:
                picked.append((place.setdefault((index, row), len(place)), target))
        rows = torch.tensor(list(place)).to(ids.device)
        wanted = torch.tensor(picked).to(ids.device)
        logits = head.logits(ids, (rows[:, 0], rows[:, 1])).float()
        normaliser = torch.logsumexp(logits, dim=-1)
        values = logits[wanted[:, 0], wanted[:, 1]] - normaliser[wanted[:, 0]]
        ends = np.cumsum([len(forward.pairs) for forward in batch.forwards])
        return np.split(values.cpu().numpy(), ends[:-1])

    def _refuse_unless_memory(self, batch: Batch, error: RuntimeError | MemoryError) -> None:
        """Raise what is no lack of memory, or cannot be helped by a smaller batch."""
        from accelerate.utils.memory import should_reduce_batch_size

        if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
            raise error
        if len(batch.forwards) == 1:
            raise InputError(
                f"one sequence of {len(batch.forwards[0].ids)} tokens does not fit in the memory "
                f"of {self.subject.device}; use a smaller model or another device."
            ) from error

    def _shrink(self, batch: Batch) -> None:
        """Halve the budgets after a batch that did not fit."""
        self.work.retries += 1
        self.batch_tokens = max(batch.tokens // 2, 1)
        self.batch_logits = max(self.batch_logits // 2, 1)
        log.warning("out of memory; going on with batches of %d tokens", self.batch_tokens)
        if self.subject.device.type == "cuda":
            torch.cuda.empty_cache()


def _check_finite(forward: Forward, answer: Answer, subject: Subject) -> None:
    if not np.isfinite(answer).all():
        raise InputError(
            f"{subject.source.id} gives values that are not finite for "
            f"{subject.text.decode(forward.ids)!r}. Its weights are broken, or the dtype or the "
            "compression is too narrow for it: try model.dtype=float32 and compression=none."
        )
