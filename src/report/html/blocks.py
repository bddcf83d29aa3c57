"""Data inside an HTML file: JSON, compressed, in letters that no HTML parser can misread."""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from src.tracking.plain import plain

LEVEL = 6
"""Of compression; higher ones take much longer and gain a few percent."""


def pack(content: Any) -> str:
    """Write plain data as base64 of gzipped JSON; the same data give the same text.

    Base64 has no `<`, so no text that is packed can end the element it stands in.

    Raises:
        TypeError: `content` holds something that is no plain data.
    """
    text = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), LEVEL, mtime=0)).decode()


def unpack(text: str) -> Any:
    """Read back what `pack` wrote."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def floats(values: Iterable[Any]) -> dict[str, str]:
    """Write a column of numbers as 32-bit floats, little endian; a missing one is NaN."""
    return {"f4": base64.b64encode(np.asarray(list(values), dtype="<f4").tobytes()).decode()}


def codes(values: Sequence[Any]) -> dict[str, Any]:
    """Write a column of few different values as their list and each row's place in it."""
    names = list(dict.fromkeys(values))
    places = {name: place for place, name in enumerate(names)}
    width = "<u1" if len(names) < 256 else "<u2" if len(names) < 65536 else "<u4"
    rows = np.array([places[value] for value in values], dtype=width)
    return {width[1:]: base64.b64encode(rows.tobytes()).decode(), "names": names}


def column(packed: dict[str, Any]) -> list[Any]:
    """Read back a column that `floats` or `codes` wrote."""
    for width in ("f4", "u1", "u2", "u4"):
        if width in packed:
            rows = np.frombuffer(base64.b64decode(packed[width]), dtype=f"<{width}").tolist()
            return [packed["names"][row] for row in rows] if "names" in packed else rows
    raise ValueError("it is no packed column")
