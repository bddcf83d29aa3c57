import pytest

from src.data import download, locate
from src.data.sources import Source
from tests.data.data_server import BLOB, CONTENT, send


@pytest.fixture
def table(server, monkeypatch):
    names = ["crows_pairs/a.csv", "stereoset/b.json", "seat/1+3-.jsonl", "seat/d.jsonl"]
    table = {name: Source(name, f"{server.address}/{name}", BLOB) for name in names}
    monkeypatch.setattr(download, "SOURCES", table)
    monkeypatch.setattr(locate, "SOURCES", table)
    return table


def test_every_file_is_fetched_once_and_reported(server, table, tmp_path, capsys):
    command = ["--cache", str(tmp_path), "--retries", "0"]
    assert download.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{tmp_path / n}  6 bytes  blob {BLOB[:12]} ok  fetched" for n in table]
    assert all((tmp_path / name).read_bytes() == CONTENT for name in table)
    assert download.main(command) == 0
    assert capsys.readouterr().out.count("was cached") == 4
    assert sorted(server.asked) == sorted(f"/{name}" for name in table)


def test_only_and_mirror(server, table, tmp_path):
    mirror = f"{server.address}/m"
    command = ["--cache", str(tmp_path), "--only", "seat,stereoset", "--mirror", mirror]
    assert download.main(command) == 0
    assert sorted(server.asked) == [
        "/m/seat/1%2B3-.jsonl",
        "/m/seat/d.jsonl",
        "/m/stereoset/b.json",
    ]
    assert not (tmp_path / "crows_pairs").exists()


@pytest.mark.usefixtures("table")
def test_a_failure_is_one_message_and_exit_code_1(server, tmp_path, capsys):
    server.script = [send(status=404)]
    assert download.main(["--cache", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "crows_pairs/a.csv is needed" in err
    assert list(tmp_path.rglob("*")) == []


def test_bad_options(capsys):
    with pytest.raises(SystemExit) as end:
        download.main(["--only", "seat,bbq"])
    assert end.value.code == 2
    assert "'bbq': choose from crows_pairs, stereoset, seat" in capsys.readouterr().err
    assert download.main(["--timeout", "0"]) == 1
    assert "data.timeout=0.0" in capsys.readouterr().err
