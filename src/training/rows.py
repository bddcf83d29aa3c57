"""A corpus as rows of tokens, ready to train on, and kept on disk for the next run."""

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from transformers import PreTrainedTokenizerFast

from src.cache import cache_folder
from src.errors import InputError
from src.training import corpus, encode, tokenizers
from src.training.data_config import CorpusConfig, TokenizerConfig
from src.training.provenance import (
    code_digest,
    describe_corpus,
    describe_tokenizer,
    key_of,
    tokenizer_digest,
)

CONTEXT = 512
"""Most tokens of a text, as a tokenizer is made; a model may say otherwise."""

Rows = dict[int, torch.Tensor]
"""Length -> (rows, length) int32 ids, lengths ascending, special tokens included."""


@dataclass(frozen=True)
class Prepared:
    """What a model is trained on.

    Attributes:
        tokenizer: That the rows were made with.
        seen: Rows to train on.
        held_out: Rows of documents that are never trained on.
        provenance: What decides the rows and how many there are, as plain data.
    """

    tokenizer: PreTrainedTokenizerFast
    seen: Rows
    held_out: Rows
    provenance: dict[str, Any]


def prepare(config: CorpusConfig, tokenizer: TokenizerConfig | PreTrainedTokenizerFast) -> Prepared:
    """Read a corpus, make its tokenizer and encode it; or take what an earlier run made of it.

    What is kept is found by the content of the texts, the settings and the code, never by a
    file's name or date. Several processes may call this at once: one works, the others wait.

    Args:
        config: The text.
        tokenizer: How one is learned or where it is, or one that is loaded already.

    Raises:
        InputError: A text or tokenizer is wrong, or the cache cannot be written.
    """
    described = describe_corpus(config)
    code = code_digest()
    split = functools.cache(lambda: corpus.split(config))
    root = Path(config.cache).expanduser() if config.cache else cache_folder() / "rows"
    if not isinstance(tokenizer, TokenizerConfig):
        made = tokenizer
    elif tokenizer.path is not None:
        made = tokenizers.load(tokenizer.path)
    else:
        learned = {"settings": describe_tokenizer(described, tokenizer), "code": code}
        name = f"tokenizer-{key_of(learned)}"
        made = tokenizers.load(str(_kept(root, name, lambda to: _learn(split(), tokenizer, to))))
    decides = {"corpus": described, "tokenizer": tokenizer_digest(made), "code": code}
    folder = _kept(
        root, f"rows-{key_of(decides)}", lambda to: _encode(split(), config, made, decides, to)
    )
    return _read(folder, made)


def _learn(split: corpus.Split, settings: TokenizerConfig, folder: Path) -> None:
    texts = (document.text for document in split.plain)
    tokenizers.learn(settings, texts, CONTEXT).save_pretrained(folder)


def _encode(
    split: corpus.Split,
    config: CorpusConfig,
    tokenizer: PreTrainedTokenizerFast,
    decides: Mapping[str, Any],
    folder: Path,
) -> None:
    record: dict[str, Any] = {**decides, "documents": split.counts}
    for side, documents in (("seen", split.seen), ("held_out", split.held_out)):
        rows, cut = encode.encode(documents, tokenizer, config)
        if not rows:
            raise InputError(
                f"corpus: no {side.replace('_', '-')} passage has {encode.FEWEST} tokens: "
                "give more text."
            )
        flat = np.concatenate([group.ravel() for group in rows.values()])
        np.save(folder / f"{side}.npy", flat)
        counts = {size: len(group) for size, group in rows.items()}
        record[side] = {"tokens": len(flat), "cut": cut, "rows": counts}
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def _kept(root: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Give the folder `name` of the cache, made by `make` if it is not there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"):
            if not (root / name).is_dir():
                with tempfile.TemporaryDirectory(dir=root, prefix=".making-") as scratch:
                    folder = Path(scratch) / "folder"
                    folder.mkdir()
                    make(folder)
                    folder.rename(root / name)
    except OSError as error:
        raise InputError(
            f"the encoded text cannot be kept in {root} ({error.strerror or error}); set "
            "corpus.cache=FOLDER to a place that can be written to."
        ) from error
    return root / name


def _read(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Prepared:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    sides: dict[str, Rows] = {}
    for side in ("seen", "held_out"):
        flat = np.load(folder / f"{side}.npy", mmap_mode="r")
        sides[side], at = {}, 0
        for size, count in record[side]["rows"].items():
            length = int(size)
            part = flat[at : at + length * count].astype(np.int32)
            sides[side][length] = torch.from_numpy(part.reshape(count, length))
            at += length * count
    provenance = {**record, **{side: _summary(record[side]) for side in sides}}
    return Prepared(tokenizer, sides["seen"], sides["held_out"], provenance)


def _summary(side: Mapping[str, Any]) -> dict[str, int]:
    return {"tokens": side["tokens"], "cut": side["cut"], "rows": sum(side["rows"].values())}
