"""One hash for everything that can change a cell's numbers."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.tracking.plain import plain

NUMBER_MAKING = ("benchmarks", "scoring", "compression", "models", "evaluate.py")
"""Parts of `src/` whose code decides a cell's numbers."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Hash `parts` (settings, data checksums, model commit, code) to 64 hexadecimal digits.

    The order of keys does not matter, and tuples equal lists; 1 and 1.0 are different.

    Raises:
        TypeError: A part is no plain data, so its text need not be the same in another process.
    """
    text = json.dumps(plain(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(packages: Sequence[str] = NUMBER_MAKING, root: Path | None = None) -> str:
    """Hash the Python sources of some packages, with their names.

    Args:
        packages: Folders or modules, relative to `root`.
        root: Where they are; this project's `src/` by default.

    Raises:
        FileNotFoundError: One of them is not there.
    """
    root = root or Path(__file__).parents[1]
    total = hashlib.sha256()
    for source in sorted({path for name in packages for path in _sources(root / name)}):
        # Line ends differ between checkouts of the same code.
        text = source.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{source.relative_to(root).as_posix()}|{len(text)}|".encode())
        total.update(text)
    return total.hexdigest()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the settings in which two sets of fingerprint parts differ.

    Returns:
        Sorted dotted keys ("compression.bits"); a list counts as one setting.
    """
    # As text, because 1 == 1.0 == True in Python and the hash tells them apart.
    before, after = (
        {key: json.dumps(value, sort_keys=True) for key, value in flatten(plain(parts)).items()}
        for parts in (old, new)
    )
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys; an empty mapping stays a value."""
    return dict(_leaves(tree, ""))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _sources(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}, named as code that makes numbers, is not there")
    return list(path.rglob("*.py"))
