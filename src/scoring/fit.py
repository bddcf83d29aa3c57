"""Whether answers can mean anything: a tokenizer of another model, weights that are all zero.

A model that reads another one's token ids is sure of tokens that never come, so plain text
surprises it more than an equal chance for every token would: by 1 to 5 nats a token where small
masked and causal models were given each other's tokenizers, against 2 to 7 nats less with their
own, and no more than an equal chance before training.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import numpy as np

from src.benchmarks.items import AssociationTest, Discourse, FillIn, Item, SentencePair
from src.errors import InputError, TooLong
from src.models.subject import Subject
from src.scoring.batching import Forward, merge
from src.scoring.engine import Engine
from src.scoring.requests import Answer, LogProbs, Request, later_tokens
from src.scoring.sentences import sentences

TEXTS = 12
"""How many are read."""
MASKED = 6
"""Tokens of a text that a masked model is asked for."""
MARGIN = 1.0
"""Nats above an equal chance; an untrained model is above it by rounding and its random head."""
ENOUGH = 10
"""How many equal answers mean a fault."""


def misfit(
    subject: Subject, questions: Iterable[Sequence[Item]], budget: tuple[int, int]
) -> str | None:
    """Let a model predict a few texts of the benchmarks, and say what is odd about the result.

    Args:
        subject: The dense subject.
        questions: The items of each benchmark.
        budget: Most tokens and most logits a batch.

    Returns:
        What to check; None where nothing is wrong, or there is no text.
    """
    requests: list[Request] = []
    for text in _texts(questions):
        with suppress(TooLong):  # whether that ends the cell is not decided here
            requests += _asked(subject, text)
    if not requests:
        return None
    forwards, _ = merge(requests)
    # Alone, as trying whether they can be packed would cost more than these few.
    try:
        found = Engine(subject, *budget, packed=False).run(forwards)
    except InputError:
        return None  # values that are not finite: the benchmarks will say so, if they are asked
    nats = -float(np.concatenate(found).mean())
    chance = math.log(int(subject.model.get_input_embeddings().weight.shape[0]))
    if nats <= chance + MARGIN:
        return None
    return (
        f"the benchmarks' texts surprise {subject.source.id} more ({nats:.1f} nats a token) than "
        f"if it gave every token the same chance ({chance:.1f}). Its tokenizer is probably another "
        "model's, or its weights are broken: compare its tokenizer's files with those that the "
        "model was trained with. Until then its scores say nothing."
    )


def refuse_constant(subject: Subject, forwards: Sequence[Forward], found: Sequence[Answer]) -> None:
    """Refuse answers that do not depend on the text, as those of a model whose weights are zero.

    Args:
        subject: The subject that gave them.
        forwards: What was asked.
        found: The answers, in the same order.

    Raises:
        InputError: An embedding is zero; or all tokens have one probability, or each that was
            asked for in several contexts has one in all of them.
    """
    pooled = (answer for one, answer in zip(forwards, found, strict=True) if one.pooling)
    constant = any(not answer.any() for answer in pooled)
    if constant or _ignores_context(subject.objective, forwards, found):
        raise InputError(
            f"the answers of {subject.source.id} do not depend on the text, so that no score of it "
            "would mean anything. Its weights, or those that the compression left, are zero: check "
            "the checkpoint (compression=none), or compress less."
        )


def _ignores_context(objective: str, forwards: Sequence[Forward], found: Sequence[Answer]) -> bool:
    first: dict[int, tuple[tuple[int, ...], float]] = {}
    values: list[float] = []
    repeats = 0
    for forward, answer in zip(forwards, found, strict=True):
        for (row, target), at in forward.pairs.items():
            context = forward.ids[: row + 1] if objective == "causal" else (row, *forward.ids)
            known, value = first.setdefault(target, (context, float(answer[at])))
            values.append(float(answer[at]))
            if known == context:
                continue
            if values[-1] != value:
                return False
            repeats += 1
    return repeats >= ENOUGH or (len(values) >= ENOUGH and len(set(values)) == 1)


def _texts(questions: Iterable[Sequence[Item]]) -> Iterator[str]:
    """Give whole texts, as many of each benchmark; a task's head reads none of the vocabulary."""
    chosen = [list(islice(_of(items), TEXTS)) for items in questions]
    some = [texts for texts in chosen if texts]
    for texts in some:
        yield from texts[: math.ceil(TEXTS / len(some))]


def _of(items: Sequence[Item]) -> Iterator[str]:
    for item in items[:: max(1, len(items) // TEXTS)]:
        if isinstance(item, SentencePair | FillIn | Discourse):
            yield next(iter(sentences(item).values()))
        elif isinstance(item, AssociationTest):
            yield from item.x[:1]


def _asked(subject: Subject, text: str) -> list[Request]:
    """Ask for the tokens of a text, by a masked model for some of them, spread over it."""
    if subject.objective == "causal":
        return later_tokens(subject.text.encode_after_start(text), 1)
    if subject.text.traits.mask_id is None:
        return []  # its embeddings may be all that is asked for
    ids, mask = subject.text.encode(text), subject.text.mask()
    own = subject.text.content(text)
    return [
        LogProbs((*ids[:at], mask, *ids[at + 1 :]), (at,), (ids[at],))
        for at in own[:: max(1, math.ceil(len(own) / MASKED))]
    ]
