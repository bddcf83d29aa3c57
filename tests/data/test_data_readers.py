import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.data.readers import read_csv, read_json, require_unique
from src.errors import InputError

ROOT = Path(__file__).parents[2]
COLUMNS = ["", "sent_more", "sent_less"]
GOOD = ",sent_more,sent_less\n0,a,b\n1,c,d\n"


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("folder", [".", "a[b] *c", ".hidden/__x__", "x::y"])
def test_text_stays_text(tmp_path, delimiter, end, folder):
    rows = [
        ["0", "NA", "null"],
        ["1", "", "nan"],
        ["002", "1.0", "True"],
        ["3", 'he said "no"', f"a{delimiter}b"],
        ["4", "two\nlines", " padded "],
        ["5", "naïve – “quote” 日本", "#hash"],
        ["6", "it's 5' 6\"", "\\backslash\\"],
    ]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows([COLUMNS, *rows])
    path = tmp_path / folder / "t.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().encode())
    expected = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert read_csv(path, COLUMNS, delimiter, unique="") == expected


def test_byte_order_mark_and_blank_lines(write):
    expected = [dict(zip(COLUMNS, row, strict=True)) for row in ("0ab", "1cd")]
    assert read_csv(write("\ufeff" + GOOD), COLUMNS) == expected
    assert read_csv(write("\n" + GOOD.replace("\n1", "\n\n1") + "\n\n"), COLUMNS) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "table.csv is empty"),
        (b" \n\n", "table.csv is empty"),
        (",sent_more,sent_less\n", "a header and no rows"),
        (",sent_more\n0,a\n", "line 1: no column 'sent_less'.*'', 'sent_more'"),
        (GOOD.replace(",", ";"), "line 1: no column ''.*separated by ','"),
        (
            ",sent_more,sent_less,sent_more\n0,a,b,c\n",
            "line 1: the column 'sent_more' is named twice",
        ),
        (GOOD + "2,e\n", "line 4: 2 columns, expected 3; nothing for column 'sent_less'"),
        (GOOD + "2,e,f,g\n", "line 4: 4 columns, expected 3; 'g' after the last column"),
        # Every row one too wide: pandas alone would silently take the first column as an index.
        (",sent_more,sent_less\n0,a,b,x\n1,c,d,x\n", "line 2: 4 columns"),
        # A row over two lines moves the line numbers after it.
        (',sent_more,sent_less\n0,"a\na",b\n1,c\n', "line 4: 2 columns"),
        (GOOD + '2,"open,f\n3,g,h\n', "row starting at line 4 is broken"),
        (GOOD + '2,"e"x,f\n', "row starting at line 4 is broken"),
        (b",sent_more,sent_less\n0,a\xe9,b\n", r"not UTF-8 at line 2, byte 4 \(0xe9\)"),
        ("\ufeff".encode("utf-16") + GOOD.encode("utf-16"), "not UTF-8 at line 1, byte 1"),
        (GOOD.replace("c", "\0"), "zero byte at line 3"),
        ("<!DOCTYPE html>\n<html>404</html>", "is a web page"),
        ("\n <html><body>Sign in</body></html>", "is a web page"),
        (GOOD + "1,e,f\n", "line 4, column '': '1' was already used at line 3"),
        (GOOD + " ,e,f\n", "line 4, column '': the identifier is ' '"),
    ],
)
def test_malformed_tables_are_refused_with_their_place(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=message) as refusal:
        read_csv(path, COLUMNS, unique="")
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("read", [read_json, lambda path: read_csv(path, COLUMNS)])
def test_files_that_are_not_there(tmp_path, read):
    with pytest.raises(InputError, match=r"x\.json cannot be read \(No such file"):
        read(tmp_path / "x.json")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)


def test_pretty_printed_and_marked_json(write):
    value = {"targ1": {"examples": ["é", "NA", ""]}, "empty": [], "none": None, "n": [1, 1.5]}
    text = json.dumps(value, indent=2, ensure_ascii=False)
    assert read_json(write(text, "x.jsonl")) == value
    assert read_json(write("\ufeff" + text, "x.jsonl")) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"a": [1,\n 2', "not valid JSON at line 2, column 3"),
        ('{"a": 1}\n{"a": 2}\n', "not valid JSON at line 2, column 1: Extra data"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is given twice"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ("[-Infinity]", "-Infinity is not a JSON value"),
        ("[" * 200_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8 at line 1, byte 8"),
        ("<html>", "is a web page"),
    ],
)
def test_malformed_json_is_refused_with_its_place(write, content, message):
    path = write(content, "x.json")
    with pytest.raises(InputError, match=message) as refusal:
        read_json(path)
    assert str(path) in str(refusal.value)


def test_repeated_identifiers_are_named_by_record():
    require_unique(Path("x"), ["a", "b"])
    with pytest.raises(InputError, match="x, record 3: 'a' was already used at record 1"):
        require_unique(Path("x"), ["a", "b", "a"])
    with pytest.raises(InputError, match="x, record 2: the identifier is None"):
        require_unique(Path("x"), ["a", None])


def test_reading_is_offline_leaves_nothing_and_importing_is_cheap(write, tmp_path):
    path = write(GOOD)
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    code = f"""
import socket, sys
import src.data.download, src.data.locate, src.data.readers
heavy = {{"torch", "datasets", "pandas", "pyarrow", "numpy"}} & set(sys.modules)
assert not heavy, heavy
def refuse(*args, **kwargs):
    raise SystemExit("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
assert len(src.data.readers.read_csv({str(path)!r}, [""])) == 2
"""
    keep = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    places = {"HOME": str(home), "HF_HOME": str(home / "hf"), "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=keep | places, check=True)
    left = [p for folder in (home, temporary) for p in folder.rglob("*") if p.is_file()]
    assert left == []
