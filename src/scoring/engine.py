"""The only place that runs the model: requests in, answers out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from src.errors import InputError
from src.models.batch_layout import BatchLayout, layouts_of
from src.models.subject import Subject
from src.scoring.attention import received_attention
from src.scoring.batching import Batch, Budget, Forward, batches
from src.scoring.cpu_linear import PackedLinears
from src.scoring.head import SelectiveHead, asked_of
from src.scoring.packed_attention import PackedAttention, padding
from src.scoring.packing import POOLINGS, packs
from src.scoring.probe import furthest, refusal, samples, spanning_layers, tolerance
from src.scoring.requests import Answer
from src.scoring.tensors import means, on, split

log = logging.getLogger(__name__)
ENDS = {"first": 0, "last": -1}
"""Pooling that takes one token's state -> which one."""
CHUNKS = 8
"""Part of `batch_logits` that is held at a time where the head can be called for a few rows."""


@dataclass(slots=True)
class Work:
    """What an engine did.

    Attributes:
        forwards: Distinct inputs run.
        tokens: Tokens the model was given for them, none of them padding.
        padding: Places of attention's tables that held none of them.
        batches: Model calls.
        retries: Batches that did not fit in memory and were cut.
        unpacked: Why sequences were not packed; empty where they were.
    """

    forwards: int = 0
    tokens: int = 0
    padding: int = 0
    batches: int = 0
    retries: int = 0
    unpacked: str = ""


@dataclass(slots=True)
class Engine:
    """Runs forwards in batches of packed sequences, or of equal length where a model needs it.

    Attributes:
        subject: Model and device.
        batch_tokens: Most tokens a batch; halved for good when memory runs out.
        batch_logits: Most logits a batch; an eighth of them where they are made a few at a time.
        on_batch: Called after each batch with the number of forwards it held.
        packed: Whether sequences are packed; None before that was tried.
        selective: Whether the model's head computes the asked positions only, as far as is known.
        direct: Whether the head can be called for a few rows at a time; None if not yet known.
        work: Counts of what was done.
    """

    subject: Subject
    batch_tokens: int
    batch_logits: int
    on_batch: Callable[[int], None] = lambda _: None
    packed: bool | None = None
    selective: bool = True
    direct: bool | None = None
    work: Work = field(default_factory=Work)
    _linears: PackedLinears | None = field(init=False, default=None)
    _head: SelectiveHead = field(init=False)
    _attention: PackedAttention = field(init=False)
    _spanning: bool = field(init=False, default=False)
    _layouts: list[BatchLayout] = field(init=False, default_factory=list)

    def warm_up(self, forwards: Sequence[Forward]) -> None:
        """Run the shortest input of each kind once, so that one-time costs are not timed.

        Also tries whether packed sequences give what each one gives alone.

        Args:
            forwards: What will be run.
        """
        shortest = {one.pooling: one for one in sorted(forwards, key=lambda one: -len(one.ids))}
        with self._opened():
            self._answers(list(shortest.values()), batches(list(shortest.values()), Budget(1, 1)))
            self._try_packing(forwards)

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
        with self._opened():
            self._try_packing(forwards)
            while waiting:
                waiting = self._pass(waiting, answers)
        return [answers[id(forward)] for forward in forwards]

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Change the model for speed, and back."""
        model = self.subject.model
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            self._head = stack.enter_context(closing(SelectiveHead(model, self.direct)))
            self._linears = self._linears or PackedLinears(model)
            stack.enter_context(self._linears.in_use())
            self._spanning = bool(spanning_layers(model))
            self._layouts = layouts_of(model)
            causal = self.subject.objective == "causal"
            self._attention = PackedAttention(model, causal, exact=self._spanning)
            yield

    def _try_packing(self, forwards: Sequence[Forward]) -> None:
        """Find out whether packed sequences give what each one gives alone."""
        if self.packed is not None or not forwards:
            return
        self.work.unpacked = refusal(self.subject) or self._probe(forwards)
        self.packed = not self.work.unpacked
        if self.work.unpacked:
            log.info("sequences are not packed: %s", self.work.unpacked)

    def _probe(self, forwards: Sequence[Forward]) -> str:
        """Compare a few sequences, packed and alone; give what is wrong, or nothing."""
        accepted = tolerance(self.subject.model.dtype)
        for few in samples(forwards):
            try:
                alone = self._answers(few, batches(few, Budget(1, 1)))
                together = self._answers(few, self._packs(few))
            # Any kind: what a model does with inputs it was not written for is not known. What
            # has nothing to do with packing comes again, when the batches are run.
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            if not (difference := furthest(together, alone)) <= accepted:
                return f"answers change by {difference:.1e}"
        return ""

    def _answers(self, forwards: Sequence[Forward], cut: Iterable[Batch]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        for batch in cut:
            found = split(batch, self._run_batch(batch))
            answers |= {id(one): value for one, value in zip(batch.forwards, found, strict=True)}
        return [answers[id(forward)] for forward in forwards]

    def _batches(self, forwards: Sequence[Forward]) -> Iterator[Batch]:
        """Cut what can be packed into packs, and the rest into batches of equal length."""
        can: list[Forward] = []
        rest: list[Forward] = []
        longest = self._attention.longest
        for forward in forwards:
            fits = longest is None or len(forward.ids) <= longest
            (can if self.packed and fits and forward.pooling in POOLINGS else rest).append(forward)
        yield from self._packs(can)
        yield from batches(rest, self._budget())

    def _packs(self, forwards: Sequence[Forward]) -> Iterator[Batch]:
        width = int(self.subject.model.get_input_embeddings().weight.shape[1])
        shared = self.subject.objective == "causal" and not self._spanning
        return packs(forwards, self._budget(), shared, width)

    def _budget(self) -> Budget:
        logits = None if self.direct else self.batch_logits
        return Budget(self.batch_tokens, self._vocabulary, logits, self.selective)

    @property
    def _vocabulary(self) -> int:
        # A padded embedding matrix has more rows than the tokenizer has tokens; the head has too.
        return int(self.subject.model.get_input_embeddings().weight.shape[0])

    def _pass(self, forwards: Sequence[Forward], answers: dict[int, Answer]) -> list[Forward]:
        """Run batch after batch until all are done or memory runs out; return what is left."""
        # What a GPU computes is waited for while it works on the next batch.
        running: tuple[Batch, torch.Tensor] | None = None
        for batch in self._batches(forwards):
            results: torch.Tensor | None = None
            try:
                results = self._run_batch(batch)
                self._collect(running, answers)
                running = (batch, results)
            except (RuntimeError, MemoryError) as error:
                self._refuse_unless_memory(batch, error)
            if results is None:
                # Outside the handler: the error's traceback held on to the batch's tensors.
                self._collect(running, answers)
                self._shrink(batch)
                return [forward for forward in forwards if id(forward) not in answers]
        self._collect(running, answers)
        return []

    def _collect(
        self, running: tuple[Batch, torch.Tensor] | None, answers: dict[int, Answer]
    ) -> None:
        """Fetch a batch's answers from the device and count it."""
        if running is None:
            return
        batch, results = running
        for forward, answer in zip(batch.forwards, split(batch, results), strict=True):
            _check_finite(forward, answer, self.subject)
            answers[id(forward)] = answer
        self.work.forwards += len(batch.forwards)
        self.work.tokens += batch.tokens
        self.work.padding += padding(batch.ends, self._attention.spread)
        self.work.batches += 1
        self.on_batch(len(batch.forwards))

    def _run_batch(self, batch: Batch) -> torch.Tensor:
        """Run a batch; give its answers, joined, where the model is."""
        device, model = self.subject.device, self.subject.model
        inputs = {"input_ids": on(device, batch.ids)}
        if batch.positions is not None:
            inputs["position_ids"] = on(device, batch.positions + self._attention.first_position)
        if batch.pooling == "attention":
            return received_attention(model, inputs["input_ids"])
        with self._packed(batch):
            if not batch.pooling:
                values = self._values(batch, inputs)
                self.selective, self.direct = self._head.selective, self._head.direct
                return values
            output = model.base_model(**inputs)
            hidden: torch.Tensor = output.last_hidden_state.float().flatten(0, 1)
        if batch.pooling in ENDS:
            ends = np.array([nodes[ENDS[batch.pooling]] for nodes in batch.nodes])
            return hidden[on(hidden.device, ends)]
        return means(hidden, batch.nodes)

    @contextmanager
    def _packed(self, batch: Batch) -> Iterator[None]:
        """Tell attention, and layers that span their sequence, where packed ones end."""
        with ExitStack() as stack:
            if batch.ends:
                stack.enter_context(self._attention.over(batch.ends))
                lengths = [len(tree) for tree in batch.ends]
                for layout in self._layouts:
                    stack.enter_context(layout.packed(lengths, self.subject.device))
            yield

    def _values(self, batch: Batch, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Compute what the pairs of a batch's forwards ask for, joined, one value or row a pair."""
        most = max(1, self.batch_logits // CHUNKS // self._vocabulary)
        values = self._head.log_probabilities(inputs, asked := asked_of(batch), most)
        return values[on(values.device, np.argsort(asked.order))]

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
