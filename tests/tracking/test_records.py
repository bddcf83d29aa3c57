import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from src.benchmarks.base import Metric
from src.errors import InputError
from src.tracking.records import METRIC_FIELDS, RECORDS, CellRecords, read_cell

ROOT = Path(__file__).parents[2]
PARTS = {"model": {"id": "x"}, "compression": {"kind": "ptq", "bits": 8}}
METRIC = {
    "benchmark": "crows_pairs",
    "scorer": "bias_bench",
    **{"category": "gender", "metric": "stereotype_score", "value": 55.5, "unit": "%", "n": 262},
    **{"ci_low": 50.0, "ci_high": 61.0, "ideal": 50.0, "kind": "bias", "reason": ""},
    **{"ci_method": "wilson", "mde": 8.6},
}


def fill(records: CellRecords, mark: int = 0, rows: int = 3) -> None:
    records.write_config({"model": {"name": "tiny"}, "mark": mark})
    records.write_metrics([METRIC | {"n": mark}])
    records.write_items(pd.DataFrame({"item_id": range(rows), "mark": mark}))
    records.write_json("receipt.json", {"mark": mark})
    records.write_json("system.json", {"mark": mark, "padding": "x" * 10 * rows})
    records.write_json("environment.json", {"mark": mark})


def marks(directory: Path) -> set[int]:
    """The mark of every record file that is there, each read with a library of its own."""
    found = set()
    for path in directory.iterdir():
        if path.name == "items.parquet":
            found |= set(pd.read_parquet(path)["mark"])
        elif path.name == "metrics.json":
            found |= {row["n"] for row in json.loads(path.read_text())}
        elif path.name == "config.yaml":
            found.add(OmegaConf.load(path)["mark"])
        elif path.name in RECORDS:
            found.add(json.loads(path.read_text())["mark"])
    return found


def done(directory: Path, fingerprint: str = "f") -> CellRecords:
    records = CellRecords(directory)
    records.start(fingerprint, PARTS)
    fill(records)
    records.finish("done")
    return records


def test_a_finished_cell_reads_back(tmp_path):
    records = done(tmp_path / "a" / "b")
    cell = read_cell(tmp_path / "a" / "b")
    assert (cell.state, cell.metrics, cell.config["model"]) == (
        *("done", [METRIC | {"n": 0}], {"name": "tiny"}),
    )
    assert cell.status["error"] is None
    assert pd.Timestamp(cell.status["started"]) <= pd.Timestamp(cell.status["ended"])
    assert pd.Timestamp(cell.status["ended"]).utcoffset().total_seconds() == 0
    assert {path.name for path in records.directory.iterdir()} == {"status.json", *RECORDS}
    assert records.finished_with("f")
    assert list(cell.metrics[0]) == list(METRIC_FIELDS)


def test_a_changed_setting_is_named(tmp_path):
    records = done(tmp_path)
    changed = {"model": {"id": "x"}, "compression": {"kind": "ptq", "bits": 4}}
    assert not records.finished_with("g")
    assert records.unfinished_because("g", changed) == "settings changed: compression.bits"
    assert records.unfinished_because("f", PARTS) is None
    assert CellRecords(tmp_path / "other").unfinished_because("f") == "it was not run before"


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_missing_or_cut_record_is_not_finished(tmp_path, name, damage):
    records = done(tmp_path)
    path = tmp_path / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut":  # `mark: [0` is no YAML, as `{"mark"` is no JSON
        whole = path.read_bytes()
        path.write_bytes(b"mark: [0" if name == "config.yaml" else whole[: len(whole) // 2])
    else:
        path.write_bytes(b"")
    assert not records.finished_with("f")
    read_cell(tmp_path)  # does not raise


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"state": "dreaming"}', "\xff"])
def test_a_damaged_status_is_unreadable(tmp_path, content):
    records = done(tmp_path)
    (tmp_path / "status.json").write_bytes(content.encode("latin-1"))
    assert read_cell(tmp_path).state == "unreadable"
    assert not records.finished_with("f")


def test_done_is_refused_while_a_record_is_missing(tmp_path):
    records = CellRecords(tmp_path)
    records.start("f")
    with pytest.raises(ValueError, match=r"items\.parquet is missing"):
        records.finish("done")
    assert read_cell(tmp_path).state == "running"


def test_a_failed_cell_keeps_its_error(tmp_path):
    records = CellRecords(tmp_path)
    records.start("f")
    try:
        raise InputError("no such file") from KeyError("deep")
    except InputError as error:
        records.finish("failed", error)
    told = read_cell(tmp_path).status["error"]
    assert (told["type"], told["message"]) == ("InputError", "no such file")
    assert "test_records.py" in told["traceback"]
    assert "KeyError: 'deep'" in told["traceback"]
    assert not records.finished_with("f")


def test_starting_again_removes_its_own_files_only(tmp_path):
    records = done(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".status.json.123-abcd.tmp").write_text("left by a kill")
    records.start("g")
    assert {path.name for path in tmp_path.iterdir()} == {"status.json", "notes.txt", ".hydra"}
    assert read_cell(tmp_path).status["fingerprint"] == "g"


def test_undefined_is_null_with_a_reason(tmp_path):
    records = CellRecords(tmp_path)
    given = Metric("gender", "ss", math.nan, "%", 0, 50.0, "bias", "no items")
    rows = [
        METRIC | {"value": given.value, "reason": given.reason, "ci_low": math.nan},
        METRIC | {"value": np.float32("nan")},
        METRIC | {"value": math.inf},
        METRIC | {"value": np.float32(0.5), "n": np.int64(7)},
    ]
    records.write_metrics(rows)
    text = (tmp_path / "metrics.json").read_text()
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert [(row["value"], row["reason"]) for row in read] == [
        *[(None, "no items"), (None, "undefined"), (None, "infinite"), (0.5, "")]
    ]
    assert (read[0]["ci_low"], read[3]["n"]) == (None, 7)


def test_a_metric_record_has_exactly_its_fields(tmp_path):
    with pytest.raises(ValueError, match="scorer"):
        CellRecords(tmp_path).write_metrics([{k: v for k, v in METRIC.items() if k != "scorer"}])
    with pytest.raises(ValueError, match="colour"):
        CellRecords(tmp_path).write_metrics([METRIC | {"colour": "red"}])


def test_other_types_become_plain(tmp_path):
    @dataclass
    class Receipt:
        path: Path
        shape: tuple[int, ...]
        error: np.floating

    records = CellRecords(tmp_path)
    content = {"r": Receipt(Path("a/b"), (2, 3), np.float64(0.25)), 7: {"x", "y"}, "é": np.ones(2)}
    records.write_json("receipt.json", content)
    assert json.loads((tmp_path / "receipt.json").read_text(encoding="utf-8")) == {
        "r": {"path": "a/b", "shape": [2, 3], "error": 0.25},
        "7": ["x", "y"],
        "é": [1.0, 1.0],
    }
    with pytest.raises(TypeError, match=r"receipt\.model is a"):
        records.write_json("receipt.json", {"receipt": {"model": object()}})
    with pytest.raises(TypeError, match="same when written"):
        records.write_json("receipt.json", {1: 0, "1": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["receipt.json"]


@pytest.mark.parametrize("text", ["1e-5", "null", "yes", "${x}", "a: b", "07", "é\n", "'"])
def test_config_text_survives_yaml(tmp_path, text):
    CellRecords(tmp_path).write_config({"model": {"id": text}})
    assert read_cell(tmp_path).config == {"model": {"id": text}}


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/cell could not be made.*hydra\.run\.dir"):
        CellRecords(tmp_path / "file" / "cell").start("f")


def run_child(code: str, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(code)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    """A real write error from the system: the process may not write files above 4 kB."""
    done(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    child = run_child(
        """
        import resource, sys
        from pathlib import Path
        import pandas as pd
        from src.errors import InputError
        from src.tracking.records import CellRecords
        records = CellRecords(Path(sys.argv[1]))
        records.write_json("system.json", {"mark": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        big = list(range(100_000))
        for write in (lambda: records.write_json("system.json", big),
                      lambda: records.write_items(pd.DataFrame({"a": big}))):
            try:
                write()
            except InputError as error:
                print(error)
        """,
        tmp_path,
    )
    assert child.returncode == 0, child.stderr
    first, second = child.stdout.splitlines()
    assert "system.json could not be written: File too large. Free some space" in first
    assert "items.parquet could not be written: " in second
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(after) == set(before)
    assert after["items.parquet"] == before["items.parquet"]
    assert json.loads(after["system.json"]) == {"mark": 0}


def test_a_disk_that_fills_at_the_last_moment(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    records = done(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"receipt\.json could not be written: No space left"):
        records.write_json("receipt.json", {"mark": 1})
    assert marks(tmp_path) == {0}
    assert len(list(tmp_path.iterdir())) == 1 + len(RECORDS)


KILLED_AT_EACH_STEP = """
import os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, "tests/tracking")
from test_records import fill, done
from src.tracking.records import CellRecords
base, steps = Path(sys.argv[1]), 0
def child(directory, last, rename):
    real_sync, real_replace, seen = os.fsync, Path.replace, [0]
    def step(then):
        seen[0] += 1
        if seen[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return then()
    # Killed with the data in the temporary file, or right after the file took its place.
    if rename:
        Path.replace = lambda path, target: (real_replace(path, target), step(lambda: None))
    else:
        os.fsync = lambda descriptor: step(lambda: real_sync(descriptor))
    records = CellRecords(directory)
    records.start("new")
    fill(records, mark=1)
    records.finish("done")
for rename in (False, True):
    for last in range(1, 100):
        directory = base / f"{rename}-{last}"
        done(directory, "old")
        pid = os.fork()
        if pid == 0:
            child(directory, last, rename)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(rename, last - 1)
            shutil.rmtree(directory)
            break
"""


def test_a_kill_at_any_step_is_never_taken_for_finished(tmp_path):
    child = run_child(KILLED_AT_EACH_STEP, tmp_path)
    assert child.returncode == 0, child.stderr
    steps = dict(line.split() for line in child.stdout.splitlines())
    assert int(steps["True"]) == 8  # start, six records, finish
    assert int(steps["False"]) >= 16  # each of them: file and folder
    states = []
    for directory in tmp_path.iterdir():
        cell, records = read_cell(directory), CellRecords(directory)
        finished = records.finished_with("new")
        states.append(cell.state)
        assert finished == (cell.state == "done" and cell.status["fingerprint"] == "new")
        if finished:
            assert marks(directory) == {1}
            assert {path.name for path in directory.iterdir()} >= set(RECORDS)
        elif cell.state == "done":  # killed before anything was touched
            assert records.finished_with("old")
            assert marks(directory) == {0}
        else:
            assert cell.state == "killed"
            marks(directory)  # every file that is there is whole
        records.start("again")
        assert [path.name for path in directory.iterdir()] == ["status.json"]
    assert states.count("killed") >= 20


def test_a_kill_at_random_moments_leaves_whole_files(tmp_path):
    """The same from outside, with files large enough to be killed in the middle of a write."""
    code = """
        import itertools, sys
        from pathlib import Path
        sys.path.insert(0, "tests/tracking")
        from test_records import fill
        from src.tracking.records import CellRecords
        for mark in itertools.count():
            records = CellRecords(Path(sys.argv[1]))
            records.start("f")
            print(mark, flush=True)
            fill(records, mark, rows=200_000)
            records.finish("done")
    """
    generator = np.random.default_rng(0)
    for _ in range(3):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            child.stdout.readline()
            time.sleep(generator.uniform(0.0, 0.15))
            child.send_signal(signal.SIGKILL)
        cell = read_cell(tmp_path)
        found = marks(tmp_path)  # raises on a half file
        if cell.state == "done":
            assert CellRecords(tmp_path).finished_with("f")
            assert len(found) == 1
        else:
            assert cell.state == "killed"
            assert not CellRecords(tmp_path).finished_with("f")


def test_two_processes_do_not_share_a_cell(tmp_path):
    code = """
        import sys
        from pathlib import Path
        from src.tracking.records import CellRecords
        CellRecords(Path(sys.argv[1])).start("f")
        print("started", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as child:
        child.stdout.readline()
        assert read_cell(tmp_path).state == "running"
        records = CellRecords(tmp_path)
        with pytest.raises(InputError, match=f"process {child.pid} is running this cell") as caught:
            records.start("f")
        records.finish("failed", caught.value)
        assert read_cell(tmp_path).state == "running"  # and the other's status is left alone
        child.kill()
    assert read_cell(tmp_path).state == "killed"
    CellRecords(tmp_path).start("f")


def test_a_process_id_that_was_used_again_is_not_the_old_process(tmp_path):
    CellRecords(tmp_path).start("f")
    status = json.loads((tmp_path / "status.json").read_text())
    status |= {"pid": 1}  # alive, and not the process that wrote it
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert read_cell(tmp_path).state == "killed"


def test_concurrent_writers_leave_one_whole_file(tmp_path):
    code = """
        import sys
        from pathlib import Path
        from src.tracking.records import CellRecords
        for _ in range(20):
            CellRecords(Path(sys.argv[1])).write_json("system.json", [int(sys.argv[2])] * 20_000)
    """
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(number)], cwd=ROOT
        )
        for number in range(2)
    ]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "system.json").exists():
            content = json.loads((tmp_path / "system.json").read_text())
            assert len(content) == 20_000
            assert len(set(content)) == 1
            reads += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert reads > 3
    assert [path.name for path in tmp_path.iterdir()] == ["system.json"]
