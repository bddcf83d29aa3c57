"""Reading benchmark files, with every malformed one refused by file, row and column.

Tables are read through `datasets`. Nested JSON is not: `datasets` makes rows of a file, and
StereoSet (one object holding two named lists) comes out as two rows without the names that say
which is which. It is read with the `json` module, as are the one-object files of SEAT.
"""

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from src.errors import InputError

_WEB_PAGE = ("<!doctype", "<html", "<head", "<?xml")


def read_csv(
    path: Path, required_columns: Sequence[str], delimiter: str = ",", unique: str | None = None
) -> list[dict[str, str]]:
    """Read a table; every value stays the text it is in the file ("NA" and "" included).

    Args:
        path: A UTF-8 file whose first row names the columns; a name may be empty (the row number
            of CrowS-Pairs).
        required_columns: Columns that must be there; others are kept too.
        delimiter: What separates the columns.
        unique: A column whose values must be present and all different.

    Returns:
        Column name -> text, one a row, in file order.

    Raises:
        InputError: Not a UTF-8 table, no rows, a column missing or named twice, a row with too
            many or too few columns, a quote left open, a value of `unique` empty or repeated.
    """
    path = Path(path)
    text = _text(path)
    header, lines = _check_shape(path, text, required_columns, delimiter)
    rows = _load_table(text, header, delimiter)
    if len(rows) != len(lines):
        raise InputError(
            f"{path}: {len(lines)} rows by its quotes and line ends, but {len(rows)} when read; "
            "check the quotes."
        )
    if unique is not None:
        places = [f"line {line}, column {unique!r}" for line in lines]
        require_unique(path, (row[unique] for row in rows), places)
    return rows


def read_json(path: Path) -> Any:
    """Read a file that is one JSON value, whatever its name ends with.

    Raises:
        InputError: Not UTF-8, empty, a web page, not JSON (with line and column), a key given
            twice in one object, or NaN or Infinity, which JSON does not have.
    """
    path = Path(path)
    text = _text(path)

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{path}: the key {twice!r} is given twice in one object.")
        return value

    def no_constant(name: str) -> None:
        raise InputError(f"{path}: {name} is not a JSON value.")

    try:
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: not valid JSON at {where}: {error.msg}.") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested too deeply for a benchmark file.") from error


def require_unique(path: Path, ids: Iterable[object], places: Sequence[str] | None = None) -> None:
    """Check that every identifier is a text, not empty, and comes once.

    Args:
        path: The file, for the message.
        ids: Identifiers in file order.
        places: Where each stands ("line 3, column 'id'"); counted as records if not given.

    Raises:
        InputError: Names the identifier and both places.
    """
    seen: dict[str, str] = {}
    for number, name in enumerate(ids):
        place = f"record {number + 1}" if places is None else places[number]
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}, {place}: the identifier is {name!r}, expected a text.")
        if name in seen:
            raise InputError(f"{path}, {place}: {name!r} was already used at {seen[name]}.")
        seen[name] = place


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        byte = content[error.start]
        where = f"line {line}, byte {column}"
        raise InputError(f"{path}: not UTF-8 at {where} (0x{byte:02x}).") from error
    if not text.strip():
        raise InputError(f"{path} is empty.")
    if text.lstrip()[:9].lower().startswith(_WEB_PAGE):
        raise InputError(f"{path} is a web page, not data; fetch the raw file.")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}: a zero byte at line {line}; not a text file.")
    return text


def _check_shape(
    path: Path, text: str, required_columns: Sequence[str], delimiter: str
) -> tuple[list[str], list[int]]:
    """Check header and row widths; give the header and the line each row starts on.

    `datasets` fills short rows with nulls and knows no line numbers, so this is done before.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    lines: list[int] = []
    start = 1
    try:
        for row in reader:
            if not header:
                header = row
                if header:
                    _check_header(path, header, required_columns, delimiter)
            elif row:
                _check_width(path, start, row, header)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: the row starting at line {start} is broken: {error}.") from error
    if not lines:
        raise InputError(f"{path} has a header and no rows.")
    return header, lines


def _check_header(path: Path, header: list[str], required: Sequence[str], delimiter: str) -> None:
    if missing := [column for column in required if column not in header]:
        raise InputError(
            f"{path}, line 1: no column {missing[0]!r}; the columns, separated by {delimiter!r}, "
            f"are {', '.join(map(repr, header))}."
        )
    if twice := [column for column in header if header.count(column) > 1]:
        raise InputError(f"{path}, line 1: the column {twice[0]!r} is named twice.")


def _check_width(path: Path, line: int, row: list[str], header: list[str]) -> None:
    if len(row) < len(header):
        what = f"nothing for column {header[len(row)]!r}"
    elif len(row) > len(header):
        what = f"{row[len(header)]!r} after the last column"
    else:
        return
    raise InputError(f"{path}, line {line}: {len(row)} columns, expected {len(header)}; {what}.")


def _load_table(text: str, header: list[str], delimiter: str) -> list[dict[str, str]]:
    # Not `load_dataset`, which tells a server of every load, of local files too.
    from datasets import Features, IterableDataset, Value

    # `datasets` takes a path for a pattern (a folder named "a[b]" matches nothing, silently) and
    # leaves lock files in its cache, even when streaming: both are kept inside a folder of ours.
    with tempfile.TemporaryDirectory(prefix="compression-bias-") as folder:
        table = Path(folder) / "table.csv"
        table.write_text(text, encoding="utf-8", newline="")
        rows = IterableDataset.from_csv(
            str(table),
            cache_dir=str(Path(folder) / "cache"),
            features=Features({column: Value("string") for column in header}),
            delimiter=delimiter,
            column_names=header,
            header=0,
            keep_default_na=False,
        )
        return [dict(row) for row in rows]
