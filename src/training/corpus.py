"""Documents: read from files, mixed, held out by hash, transformed."""

import hashlib
import lzma
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.errors import InputError
from src.training.data_config import CorpusConfig
from src.training.transforms.registry import Transform, built

FEWEST = 10
"""Documents that a source must have at least."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the hash that every choice about it is made by, so that none depends on others.

    Attributes:
        text: Lines of a document.
        digest: Hash of the text as it was read, kept by its copies and transformed versions.
        copy: Which of its occurrences in an epoch this is.
    """

    text: str
    digest: str
    copy: int = 0

    def rng(self, purpose: str, seed: int) -> random.Random:
        """Give this document's own generator for one purpose."""
        return random.Random(f"{seed}:{purpose}:{self.copy}:{self.digest}")


@dataclass(frozen=True)
class Split:
    """The documents of a corpus.

    Attributes:
        plain: Seen documents before weights and transforms, each once: tokenizers learn from them.
        seen: What a model is trained on.
        held_out: As they were read, each once, so that models trained on differently changed text
            are measured on the same.
        counts: Per source and transform, how many documents there were.
    """

    plain: list[Document]
    seen: list[Document]
    held_out: list[Document]
    counts: dict[str, int]


def read_documents(path: Path, setting: str = "corpus.sources.NAME.path") -> list[str]:
    """Read a text file (plain or .xz) of documents separated by blank lines.

    Args:
        path: The file.
        setting: What the user would change, for messages.

    Raises:
        InputError: The file is missing or no UTF-8 text, or holds fewer than ten documents.
    """
    if not path.is_file():
        raise InputError(f"no text at {path}: {setting} is to name a text file (plain or .xz).")
    opener = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            documents = [text for text in file.read().split("\n\n") if text.strip()]
    except (UnicodeDecodeError, lzma.LZMAError, EOFError, OSError) as error:
        raise InputError(
            f"{path} ({setting}) is no UTF-8 text, or no whole .xz of one: {error}"
        ) from error
    if len(documents) < FEWEST:
        raise InputError(
            f"{path} ({setting}) has too few documents ({len(documents)}; {FEWEST} are needed): "
            "separate documents by a blank line."
        )
    return documents


def split(config: CorpusConfig) -> Split:
    """Read, hold out, mix and transform the documents of a corpus.

    Raises:
        InputError: A file cannot be read, or nothing is left on one of the two sides.
    """
    plain: list[Document] = []
    held_out: dict[str, Document] = {}
    mixed: list[Document] = []
    counts: dict[str, int] = {}
    for name, source in config.sources.items():
        texts = read_documents(Path(source.path).expanduser(), f"corpus.sources.{name}.path")
        counts[name] = len(texts)
        for text in texts:
            document = Document(text, hashlib.sha256(text.encode()).hexdigest())
            if _share(document.digest, f"{config.seed}:held out") < config.held_out:
                held_out[document.digest] = document
                continue
            plain.append(document)
            mixed.extend(_copies(document, source.weight, config.seed))
    transforms = built(config.transform)
    seen = list(_transformed(mixed, transforms, config.seed))
    counts |= {"held out": len(held_out), "mixed": len(mixed), "seen": len(seen)}
    if not seen or not held_out:
        side = "transforms leave nothing to train on" if held_out else "nothing is held out"
        raise InputError(
            f"corpus: {side} of {sum(counts[name] for name in config.sources)} documents; give "
            "more text, or change corpus.held_out or corpus.transform."
        )
    return Split(plain, seen, list(held_out.values()), counts)


def _copies(document: Document, weight: float, seed: int) -> Iterator[Document]:
    whole = math.floor(weight)
    extra = _share(document.digest, f"{seed}:weight") < weight - whole
    for copy in range(whole + extra):
        yield Document(document.text, document.digest, copy)


def _transformed(
    documents: list[Document], transforms: dict[str, Transform], seed: int
) -> Iterator[Document]:
    for document in documents:
        texts = [document.text]
        for name, transform in transforms.items():
            rng = document.rng(name, seed)
            texts = [changed for text in texts for changed in transform(text, rng)]
        for text in texts:
            yield Document(text, document.digest, document.copy)


def _share(digest: str, purpose: str) -> float:
    """Give a number in [0, 1) that depends on the document and the purpose alone."""
    found = hashlib.sha256(f"{purpose}:{digest}".encode()).digest()
    return int.from_bytes(found[:8], "big") / 2**64
