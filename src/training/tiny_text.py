"""Text to training rows: documents, a tokenizer learned from them, batches of equal length."""

import lzma
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from src.errors import InputError

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
START = "<|endoftext|>"
BERT_SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def read_documents(path: Path) -> list[str]:
    """Read a text file (plain or .xz) of documents separated by blank lines.

    Raises:
        InputError: The file is missing or no UTF-8 text, or holds fewer than ten documents.
    """
    if not path.is_file():
        raise InputError(f"no corpus at {path}: pass --corpus a text file (plain or .xz)")
    opener = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            documents = [text for text in file.read().split("\n\n") if text.strip()]
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{path} is no UTF-8 text (or no whole .xz of one): {error}") from error
    if len(documents) < 10:
        raise InputError(
            f"{path} holds {len(documents)} documents, at least 10 are needed: "
            "separate documents by a blank line"
        )
    return documents


def causal_tokenizer(
    documents: list[str], vocab_size: int, context: int
) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE as GPT-NeoX has it: any text is encodable, nothing is added."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[START],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=context,
        bos_token=START,
        eos_token=START,
        unk_token=START,
    )


def masked_tokenizer(
    documents: list[str], vocab_size: int, context: int
) -> PreTrainedTokenizerFast:
    """Learn a lower-casing WordPiece as BERT has it: [CLS] text [SEP]."""
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    specials = list(BERT_SPECIALS.values())
    core.train_from_iterator(
        documents,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size, special_tokens=specials, show_progress=False
        ),
    )
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, specials.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=context, **BERT_SPECIALS)


def passages(document: str, rng: random.Random, max_chars: int) -> Iterator[str]:
    """Cut a document into passages that begin at a sentence: half of them one sentence long."""
    held: list[str] = []
    room = 0
    for sentence in SENTENCE_END.split(document):
        if not held:
            room = 0 if rng.random() < 0.5 else max_chars
        held.append(sentence)
        room -= len(sentence)
        if room <= 0:
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)


def encode_rows(
    documents: list[str], tokenizer: PreTrainedTokenizerFast, length: int, rng: random.Random
) -> dict[int, torch.Tensor]:
    """Encode passages, cut to `length` tokens, and group them by their exact length.

    Returns:
        Length -> (rows, length) ids. Equal lengths need no padding and no attention mask. A
        causal row begins with the start token; a masked one is [CLS] ... [SEP].

    Raises:
        InputError: No passage has as many as six tokens.
    """
    start = [] if tokenizer.mask_token else [tokenizer.bos_token_id]
    rows: dict[int, list[list[int]]] = defaultdict(list)
    for document in documents:
        texts = list(passages(document, rng, max_chars=5 * length))
        encoded = tokenizer(texts, truncation=True, max_length=length - len(start))
        for ids in encoded["input_ids"]:
            if len(ids) >= 6:
                rows[len(start) + len(ids)].append(start + ids)
    if not rows:
        raise InputError("a part of the corpus has no passage of six tokens: give more text")
    return {size: torch.tensor(group, dtype=torch.int32) for size, group in sorted(rows.items())}


def batches(
    rows: dict[int, torch.Tensor], tokens: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Give (batch, length) ids of about `tokens` tokens, reshuffled every epoch, for ever."""
    while True:
        epoch: list[torch.Tensor] = []
        for size, group in rows.items():
            order = torch.randperm(len(group), generator=generator)
            epoch += [group[part] for part in order.split(max(1, tokens // size))]
        for index in torch.randperm(len(epoch), generator=generator).tolist():
            yield epoch[index].long()
