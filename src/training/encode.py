"""Documents to rows of tokens, grouped by length so that a batch needs no padding."""

import random
import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from src.training.corpus import Document
from src.training.data_config import CorpusConfig

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
FEWEST = 6
"""Tokens of its own that a row has at least."""
CHUNK = 20_000
"""Passages encoded at once: enough for all cores, little enough for the memory."""


class Frame(NamedTuple):
    """Special tokens around a row's own."""

    before: list[int]
    after: list[int]


class Encoded(NamedTuple):
    """Rows of one side of a corpus.

    Attributes:
        rows: Length -> (n, length) ids, lengths ascending; uint16 where the vocabulary allows.
        cut: Tokens that were left out because a passage was longer than a row.
    """

    rows: dict[int, np.ndarray]
    cut: int


def frame(tokenizer: PreTrainedTokenizerFast) -> Frame:
    """Find the special tokens of a row: the tokenizer's own, or a causal one's start token."""
    if tokenizer.mask_token is None:
        return Frame([int(tokenizer.bos_token_id)], [])
    own = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    at = next(i for i in range(len(whole)) if whole[i : i + len(own)] == own)
    return Frame(whole[:at], whole[at + len(own) :])


def passages(
    document: str, rng: random.Random, max_chars: float, single: float = 0.5
) -> Iterator[str]:
    """Cut a document into passages that begin at a sentence.

    Args:
        document: Its text.
        rng: Decides which passages are one sentence.
        max_chars: Other passages end with the sentence that brings them to so many characters.
        single: Share of passages that are one sentence: benchmarks ask about single sentences.
    """
    held: list[str] = []
    room = 0.0
    for sentence in SENTENCE_END.split(document):
        if not held:
            room = 0 if rng.random() < single else max_chars
        held.append(sentence)
        room -= len(sentence)
        if room <= 0:
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)


def encode(
    documents: Iterable[Document], tokenizer: PreTrainedTokenizerFast, config: CorpusConfig
) -> Encoded:
    """Encode the passages of documents; what is longer than a row is cut at the row's end.

    Passages of fewer than six tokens are left out.
    """
    before, after = frame(tokenizer)
    room = config.length - len(before) - len(after)
    core = tokenizer.backend_tokenizer
    core.no_truncation()  # an earlier call of the tokenizer may have left it set
    core.no_padding()
    code = "H" if len(tokenizer) <= 2**16 else "I"
    found: dict[int, array[int]] = {}
    cut = 0
    texts = (
        passage
        for document in documents
        for passage in passages(
            document.text,
            document.rng("passages", config.seed),
            config.chars_per_token * config.length,
            config.single,
        )
    )
    while chunk := list(islice(texts, CHUNK)):
        for one in core.encode_batch_fast(chunk, add_special_tokens=False):
            ids = one.ids
            if len(ids) < FEWEST:
                continue
            cut += max(0, len(ids) - room)
            row = [*before, *ids[:room], *after]
            found.setdefault(len(row), array(code)).extend(row)
    rows = {
        size: np.frombuffer(found[size], dtype=np.dtype(code)).reshape(-1, size)
        for size in sorted(found)
    }
    return Encoded(rows, cut)
