import errno
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src.data import locate
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.errors import InputError
from tests.data.data_server import BLOB, CONTENT, LAYOUT, SHA256, send

ROOT = Path(__file__).parents[2]


def config(tmp_path, **settings):
    settings = {"cache": str(tmp_path / "cache"), "retries": 0, "timeout": 5} | settings
    return DataConfig(**settings)


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_download_is_verified_cached_and_recorded(server, pinned, tmp_path):
    files = DataFiles(config(tmp_path))
    path = files.locate(LAYOUT)
    assert path.read_bytes() == CONTENT
    assert files_under(tmp_path) == [f"cache/{LAYOUT}"]
    record = {"path": str(path), "sha256": SHA256, "git_blob": BLOB}
    assert files.used == {LAYOUT: record | {"origin": pinned.address}}
    assert files.checksums() == {LAYOUT: SHA256}
    assert files.locate(LAYOUT) == path

    again = DataFiles(config(tmp_path))
    assert again.locate(LAYOUT) == path
    assert again.used == {LAYOUT: record | {"origin": "cache"}}
    assert server.asked == ["/public/file"]


@pytest.mark.usefixtures("pinned")
def test_cache_files_have_the_usual_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        path = DataFiles(config(tmp_path)).locate(LAYOUT)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640  # a shared cache must be readable by the group


@pytest.mark.parametrize("length", [None, -1])
def test_another_file_is_refused_with_both_hashes(server, pinned, tmp_path, length):
    # Without a declared length a cut body cannot be told from a whole one: the blob id tells.
    server.script = [send(b"hell", length=length)]
    files = DataFiles(config(tmp_path))
    with pytest.raises(InputError) as refusal:
        files.locate(LAYOUT)
    for part in (LAYOUT, pinned.address, BLOB, _git_id(b"hell"), "data.root="):
        assert part in str(refusal.value)
    assert files_under(tmp_path) == []
    assert files.used == {}


def _git_id(content: bytes) -> str:
    command = ["git", "hash-object", "--stdin"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode()[
        :40
    ]


@pytest.mark.parametrize("answer", [send(b"no", status=404), send(b"he", length=6)])
def test_what_cannot_be_had_is_named_with_the_remedy(server, pinned, tmp_path, answer):
    server.script = [answer]
    with pytest.raises(InputError) as refusal:
        DataFiles(config(tmp_path)).locate(LAYOUT)
    message = str(refusal.value)
    for part in (LAYOUT, str(tmp_path / "cache" / LAYOUT), pinned.address):
        assert part in message
    assert "data.root=" in message
    assert "data.mirror=" in message
    assert "\n" not in message
    assert files_under(tmp_path) == []


def test_retry_after_503(server, pinned, tmp_path):
    server.script = [send(status=503), send()]
    path = DataFiles(config(tmp_path, retries=1)).locate(pinned.layout)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.usefixtures("pinned")
def test_corrupt_cache_is_replaced_with_a_warning(server, tmp_path, caplog):
    cached = tmp_path / "cache" / LAYOUT
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"hell")
    with caplog.at_level(logging.WARNING):
        assert DataFiles(config(tmp_path)).locate(LAYOUT).read_bytes() == CONTENT
    assert [str(cached) in record.getMessage() for record in caplog.records] == [True]
    assert len(server.asked) == 1
    cached.write_bytes(b"hell")
    server.script = [send(status=404)]
    with pytest.raises(InputError, match="no verified copy"):
        DataFiles(config(tmp_path)).locate(LAYOUT)


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("kind", ["folder", "file address", "http"])
def test_mirror_is_asked_by_layout_path_and_nothing_else_is(server, tmp_path, kind):
    folder = tmp_path / "mirror"
    (folder / LAYOUT).parent.mkdir(parents=True)
    (folder / LAYOUT).write_bytes(CONTENT)
    base = {"folder": str(folder), "file address": folder.as_uri(), "http": f"{server.address}/m/"}
    files = DataFiles(config(tmp_path, mirror=base[kind]))
    assert files.locate(LAYOUT) == tmp_path / "cache" / LAYOUT
    assert server.asked == (["/m/demo/a%20b%2Bc.json"] if kind == "http" else [])
    (tmp_path / "cache" / LAYOUT).unlink()
    (folder / LAYOUT).unlink()
    server.script, server.asked = [send(status=404)], []
    with pytest.raises(InputError, match=r"data\.mirror="):
        DataFiles(config(tmp_path, mirror=base[kind])).locate(LAYOUT)
    assert [path for path in server.asked if "public" in path] == []


@pytest.mark.usefixtures("pinned")
def test_root_is_used_as_it_is(server, tmp_path):
    (tmp_path / "root" / "demo").mkdir(parents=True)
    (tmp_path / "root" / LAYOUT).write_bytes(b"rebuilt")
    files = DataFiles(config(tmp_path, root=str(tmp_path / "root"), mirror=server.address))
    assert files.locate(LAYOUT) == tmp_path / "root" / LAYOUT
    assert files.used[LAYOUT]["origin"] == "root"
    assert files.used[LAYOUT]["git_blob"] == _git_id(b"rebuilt")
    with pytest.raises(InputError) as refusal:
        files.locate("seat/sent-weat6.jsonl")
    for part in ("seat/sent-weat6.jsonl", str(tmp_path / "root"), "layout expected", "stereoset/"):
        assert part in str(refusal.value)
    nowhere = DataFiles(config(tmp_path, root=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="is not a folder"):
        nowhere.locate(LAYOUT)
    assert server.asked == []
    assert not (tmp_path / "cache").exists()


def test_a_relative_root_gives_absolute_paths(tmp_path, monkeypatch):
    (tmp_path / "seat").mkdir()
    (tmp_path / "seat" / "x.jsonl").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert DataFiles(DataConfig(root=".")).locate("seat/x.jsonl") == tmp_path / "seat" / "x.jsonl"


def test_sample_files_come_from_the_package_whatever_the_root(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "PACKAGE", tmp_path / "package")
    (tmp_path / "package" / "sample").mkdir(parents=True)
    (tmp_path / "package" / "sample" / "pairs.csv").write_bytes(CONTENT)
    files = DataFiles(config(tmp_path, root=str(tmp_path)))
    assert files.locate("sample/pairs.csv") == tmp_path / "package" / "sample" / "pairs.csv"
    assert files.used["sample/pairs.csv"]["origin"] == "package"
    with pytest.raises(InputError, match="not shipped with the package"):
        files.locate("sample/other.csv")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "seat/../../x", "", "sample/../config.py"])
def test_paths_outside_the_layout_are_refused(tmp_path, path):
    with pytest.raises(InputError, match="not a path inside the data layout"):
        DataFiles(config(tmp_path, root=str(tmp_path))).locate(path)


def test_a_file_without_an_address_needs_a_root(tmp_path):
    with pytest.raises(InputError, match=r"no public address.*data\.root=FOLDER"):
        DataFiles(config(tmp_path)).locate("bbq/Age.jsonl")


@pytest.mark.usefixtures("pinned")
def test_unwritable_cache(tmp_path):
    # Also for root, whom permissions do not stop: a file stands where the folder should be.
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be written.*data\.cache=FOLDER"):
        DataFiles(config(tmp_path)).locate(LAYOUT)
    assert files_under(tmp_path) == ["cache"]


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("old", [None, b"hell"])
def test_a_full_disk_leaves_no_part_behind(tmp_path, monkeypatch, old):
    cached = tmp_path / "cache" / LAYOUT
    if old is not None:
        cached.parent.mkdir(parents=True)
        cached.write_bytes(old)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No space left on device.*make room"):
        DataFiles(config(tmp_path)).locate(LAYOUT)
    assert files_under(tmp_path) == ([] if old is None else [f"cache/{LAYOUT}"])


@pytest.mark.usefixtures("pinned")
def test_a_file_in_use_is_replaced_not_overwritten(tmp_path):
    cached = tmp_path / "cache" / LAYOUT
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"old and longer")
    with cached.open("rb") as in_use:
        assert DataFiles(config(tmp_path)).locate(LAYOUT).read_bytes() == CONTENT
        assert in_use.read() == b"old and longer"


@pytest.mark.usefixtures("pinned")
def test_two_may_write_at_once(tmp_path, monkeypatch):
    both_writing = threading.Barrier(2)
    monkeypatch.setattr(os, "fsync", lambda descriptor: both_writing.wait(5))
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda _: DataFiles(config(tmp_path)).locate(LAYOUT), range(2))
        assert [path.read_bytes() for path in found] == [CONTENT, CONTENT]
    assert files_under(tmp_path) == [f"cache/{LAYOUT}"]


@pytest.mark.usefixtures("pinned")
def test_an_unreadable_cache_entry(tmp_path):
    (tmp_path / "cache" / LAYOUT).mkdir(parents=True)
    with pytest.raises(InputError, match="in the cache cannot be read"):
        DataFiles(config(tmp_path)).locate(LAYOUT)


def test_two_processes_at_once(server, tmp_path):
    both_asked = threading.Barrier(2)

    def answer(handler):
        both_asked.wait(20)
        send()(handler)

    server.script = [answer]
    code = (
        "import sys; from src.data.config import DataConfig; from src.data.locate import DataFiles;"
        "from src.data.sources import SOURCES, Source;"
        f"SOURCES[{LAYOUT!r}] = Source({LAYOUT!r}, {server.address!r}, {BLOB!r});"
        f"path = DataFiles(DataConfig(cache={str(tmp_path)!r})).locate({LAYOUT!r});"
        "sys.stdout.write(path.read_text())"
    )
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    assert [process.communicate(timeout=30)[0] for process in (first, second)] == ["hello\n"] * 2
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(server.asked) == 2
    assert files_under(tmp_path) == [LAYOUT]


def test_sources_are_the_ones_pinned(tmp_path, monkeypatch):
    asked = []

    def offline(address, timeout, retries):
        asked.append(address)
        raise locate.FetchError("Name or service not known")

    monkeypatch.setattr(locate, "fetch", offline)
    with pytest.raises(InputError, match="Name or service not known"):
        DataFiles(config(tmp_path)).locate("stereoset/dev.json")
    commit = "291426aab926f78ecfc7bd040b531429ee8123e0"
    base = f"https://raw.githubusercontent.com/McGill-NLP/bias-bench/{commit}"
    assert asked == [f"{base}/data/stereoset/dev.json"]
