"""A corpus as rows of tokens, ready to train on, and kept on disk for the next run."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from src.cache import cache_folder
from src.errors import InputError
from src.training import corpus, encode, tokenizers
from src.training.data_config import CorpusConfig, TokenizerConfig

CONTEXT = 512
"""Most tokens of a text, as a tokenizer is made; a model may say otherwise."""
CODE = ("corpus.py", "encode.py", "rows.py", "tokenizers.py", "transforms")
"""Parts of this package that decide the rows."""

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


def prepare(config: CorpusConfig, tokenizer: TokenizerConfig) -> Prepared:
    """Read a corpus, make its tokenizer and encode it; or take what an earlier run made of it.

    What is kept is found by the content of the texts, the settings and the code, never by a
    file's name or date. Several processes may call this at once: one works, the others wait.

    Raises:
        InputError: A text or tokenizer is wrong, or the cache cannot be written.
    """
    described = _described(config, tokenizer)
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    root = Path(config.cache).expanduser() if config.cache else cache_folder() / "rows"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{key}.lock"):
            if not (root / key).is_dir():
                _write(config, tokenizer, described, root, key)
    except OSError as error:
        raise InputError(
            f"the encoded rows cannot be kept in {root} ({error.strerror or error}); set "
            "corpus.cache=FOLDER to a place that can be written to."
        ) from error
    return _read(root / key)


def _described(config: CorpusConfig, tokenizer: TokenizerConfig) -> dict[str, Any]:
    """Say what decides the rows: contents and settings, no path."""
    kept = {name: value for name, value in asdict(config).items() if name != "cache"}
    kept["sources"] = {
        name: {
            "file": Path(source.path).name,
            "sha256": _sha256(Path(source.path).expanduser(), f"corpus.sources.{name}.path"),
            "weight": source.weight,
        }
        for name, source in config.sources.items()
    }
    for name, one in config.transform.items():
        kept["transform"][name] = asdict(one)
        if pairs := getattr(one, "pairs", None):
            kept["transform"][name]["pairs"] = _sha256(Path(pairs).expanduser(), f"{name}.pairs")
    kept["order"] = list(config.transform)
    own: dict[str, Any] = {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size}
    own["sample_chars"] = tokenizer.sample_chars
    if tokenizer.path is not None:
        file = Path(tokenizer.path).expanduser() / "tokenizer.json"
        own = {"sha256": _sha256(file, "tokenizer.path (its tokenizer.json)")}
    return {"corpus": kept, "tokenizer": own, "code": _code()}


def _code() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in CODE:
        path = here / part
        files = [path] if path.is_file() else sorted([*path.glob("*.py"), *path.glob("*.csv")])
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _sha256(path: Path, setting: str) -> str:
    if not path.is_file():
        raise InputError(f"no file at {path}: {setting} is to name one.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(
    config: CorpusConfig,
    settings: TokenizerConfig,
    described: Mapping[str, Any],
    root: Path,
    key: str,
) -> None:
    split = corpus.split(config)
    made = tokenizers.make(settings, (document.text for document in split.plain), CONTEXT)
    record: dict[str, Any] = {**described, "documents": split.counts}
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{key}-") as scratch:
        folder = Path(scratch) / "rows"
        made.save_pretrained(folder / "tokenizer")
        for side, documents in (("seen", split.seen), ("held_out", split.held_out)):
            rows, cut = encode.encode(documents, made, config)
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
        folder.rename(root / key)


def _read(folder: Path) -> Prepared:
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
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    provenance = {**record, **{side: _summary(record[side]) for side in sides}}
    return Prepared(tokenizer, sides["seen"], sides["held_out"], provenance)


def _summary(side: Mapping[str, Any]) -> dict[str, int]:
    return {"tokens": side["tokens"], "cut": side["cut"], "rows": sum(side["rows"].values())}
