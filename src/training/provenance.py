"""What decides rows of tokens, as plain data that a hash can be taken of: contents, no paths."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from src.errors import InputError
from src.training.data_config import CorpusConfig, TokenizerConfig

CODE = ("corpus.py", "encode.py", "rows.py", "tokenizers.py", "transforms")
"""Parts of this package that decide the rows."""
UNTRANSFORMED = ("sources", "held_out", "seed")
"""Settings of a corpus that decide which documents a tokenizer is learned from."""


def key_of(description: Any) -> str:
    """Hash plain data to 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def describe_corpus(config: CorpusConfig) -> dict[str, Any]:
    """Say which text is used and what is done to it.

    Raises:
        InputError: A file is not there.
    """
    described = {name: value for name, value in asdict(config).items() if name != "cache"}
    described["sources"] = {
        name: {
            "sha256": _sha256(source.path, f"corpus.sources.{name}.path"),
            "weight": source.weight,
        }
        for name, source in config.sources.items()
    }
    described["transform"] = [
        {"name": name, **asdict(one), **_lists(one, name)} for name, one in config.transform.items()
    ]
    return described


def describe_tokenizer(corpus: dict[str, Any], settings: TokenizerConfig) -> dict[str, Any]:
    """Say what a tokenizer that is learned depends on; `corpus` is of `describe_corpus`."""
    own = {name: value for name, value in asdict(settings).items() if name != "path"}
    sources = {name: one["sha256"] for name, one in corpus["sources"].items()}
    return {**own, **{name: corpus[name] for name in UNTRANSFORMED}, "sources": sources}


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Hash what a tokenizer does, however its files are laid out."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    # Left by the last call, not what the tokenizer is.
    return key_of({**core, "truncation": None, "padding": None})


def code_digest() -> str:
    """Hash the code and word lists that make rows of text."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in CODE:
        path = here / part
        for file in [path] if path.is_file() else sorted(path.glob("*.*")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _lists(transform: Any, name: str) -> dict[str, str]:
    """Hash the lists of words that a transform reads, its own and the project's."""
    found: Mapping[str, Path] = getattr(transform, "lists", {})
    return {one: _sha256(path, f"corpus.transform.{name}.{one}") for one, path in found.items()}


def _sha256(path: str | Path, setting: str) -> str:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file at {file}: {setting} is to name a text file (plain or .xz).")
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
