"""SEAT's test files: one JSON object each, whatever their ending .jsonl says."""

from collections.abc import Mapping
from pathlib import Path

from src.benchmarks.items import AssociationTest
from src.data.readers import read_json
from src.errors import InputError

SETS = ("targ1", "targ2", "attr1", "attr2")
"""X, Y, A, B; each {"category": name, "examples": [sentence, ...]}."""


def read_test(path: Path, name: str, category: str) -> AssociationTest:
    """Read a test.

    Args:
        path: The file.
        name: The test's name, which becomes the item's id.
        category: What it is reported under.

    Raises:
        InputError: A set is missing, empty, holds something else than sentences or one of them
            twice, or X and Y differ in size.
    """
    raw = read_json(path)
    sets = [_sentences(raw, key, path) for key in SETS]
    if len(sets[0]) != len(sets[1]):
        raise InputError(
            f"{path}: targ1 has {len(sets[0])} examples and targ2 {len(sets[1])}; "
            "the permutation test needs as many in both."
        )
    return AssociationTest(name, category, name, *sets)


def _sentences(raw: object, key: str, path: Path) -> tuple[str, ...]:
    """Check one set of a test file."""
    part = raw.get(key) if isinstance(raw, Mapping) else None
    examples = part.get("examples") if isinstance(part, Mapping) else None
    if not isinstance(examples, list) or not examples:
        raise InputError(f"{path}: {key} needs a list of sentences under 'examples'.")
    for number, sentence in enumerate(examples, 1):
        if not isinstance(sentence, str) or not sentence.strip():
            raise InputError(f"{path}: {key}, example {number}: {sentence!r} is not a sentence.")
    if twice := sorted({sentence for sentence in examples if examples.count(sentence) > 1}):
        raise InputError(f"{path}: {key} has {twice[0]!r} twice.")
    return tuple(examples)
