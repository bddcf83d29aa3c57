import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import wandb

from src.errors import InputError
from src.tracking import wandb_tracker
from src.tracking.config import NoTrackerConfig, WandbConfig
from src.tracking.credentials import choose_mode
from src.tracking.keys import metric_values, scalars
from src.tracking.tracker import NoTracker, build_tracker

ROOT = Path(__file__).parents[2]
KEY = "0" * 40  # the form of a W&B key; belongs to nobody


def record(**changes):
    base = {"kind": "bias", "benchmark": "crows_pairs", "category": "gender", "value": 55.5}
    return base | {"metric": "stereotype_score", "ci_low": None, "ci_high": None} | changes


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A home without credentials, and no W&B variables."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (record(), "bias/crows_pairs/gender"),
        (record(metric="stereo_score"), "bias/crows_pairs/gender/stereo_score"),
        (record(kind="count", metric="n_ties"), "count/crows_pairs/gender/n_ties"),
        (record(benchmark="stereoset", category="overall", metric="ss"), "bias/stereoset/overall"),
        (record(benchmark="stereoset", kind="lm", metric="lm_score"), "lm/stereoset/gender"),
        (record(benchmark="stereoset", kind="lm", metric="icat"), "lm/stereoset/gender/icat"),
        (record(benchmark="seat", metric="mean_abs_effect_size"), "bias/seat/gender"),
    ],
)
def test_metrics_have_stable_names(row, key):
    assert metric_values([row]) == {key: 55.5}


def test_intervals_are_logged_and_undefined_values_are_not():
    rows = [record(ci_low=50.0, ci_high=61.0), record(category="race", value=None)]
    assert metric_values(rows) == {
        "bias/crows_pairs/gender": 55.5,
        "bias/crows_pairs/gender/ci_low": 50.0,
        "bias/crows_pairs/gender/ci_high": 61.0,
    }
    assert metric_values([record(value=float("nan"))]) == {}
    with pytest.raises(ValueError, match="two metrics are both called bias/crows_pairs/gender"):
        metric_values([record(), record()])


def test_nested_results_are_flattened():
    receipt = {"mean_bits": 8.0, "settings": {"bits": 8}, "changes": [1, 2, 3], "note": None}
    assert scalars("receipt", receipt) == {
        **{"receipt/mean_bits": 8.0, "receipt/settings/bits": 8, "receipt/changes": 3}
    }


@pytest.mark.parametrize("key", ["mode", "max_rows"])
def test_impossible_settings_are_refused(key):
    given = {"mode": "sometimes"} if key == "mode" else {"max_rows": 0}
    with pytest.raises(InputError, match=rf"tracker\.{key}") as caught:
        WandbConfig(**given)
    assert key != "mode" or "auto, online, offline, disabled" in str(caught.value)


def test_none_tracks_nothing():
    assert isinstance(build_tracker(NoTrackerConfig()), NoTracker)
    assert isinstance(build_tracker(WandbConfig()), wandb_tracker.WandbTracker)


def test_auto_is_online_only_with_credentials(nobody, monkeypatch):
    assert choose_mode("auto") == "offline"
    (nobody / ".netrc").write_text(f"machine other.example login user password {KEY}\n")
    assert choose_mode("auto") == "offline"
    (nobody / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert choose_mode("auto") == "online"
    (nobody / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert choose_mode("auto") == "online"
    for asked, mode in {"offline": "offline", "disabled": "disabled", "dryrun": "offline"}.items():
        monkeypatch.setenv("WANDB_MODE", asked)
        assert choose_mode("auto") == mode
    assert choose_mode("online") == "online"  # the setting is stronger than the variable


def test_online_without_credentials_is_refused(nobody, monkeypatch):
    with pytest.raises(InputError, match=r"tracker\.mode=online needs W&B credentials"):
        choose_mode("online")
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(InputError, match="WANDB_MODE=online needs W&B credentials"):
        choose_mode("auto")


CELLS = """
import logging, sys, warnings
from pathlib import Path
import pandas as pd
warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)  # W&B's tables leave that to the end of Python
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
from src.tracking.config import WandbConfig
from src.tracking.tracker import build_tracker
for name, state in (("first", "done"), ("second", "failed")):
    directory = Path(sys.argv[1]) / name
    directory.mkdir(parents=True)
    tracker = build_tracker(WandbConfig(tags=["mine"], log_items=name == "first", max_rows=2))
    tracker.start({"model": {"name": "tiny", "id": "${x}"}}, name, "sweep-7", ["ptq"], directory)
    if state == "done":
        row = dict(kind="bias", benchmark="crows_pairs", category="gender", value=55.5)
        tracker.log_metrics([row | dict(metric="stereotype_score", ci_low=50.0, ci_high=None)])
        tracker.log_items(pd.DataFrame({"item_id": ["a", "b", "c"], "s": [1.0, None, 2.0]}))
        tracker.log_system({"load_seconds": 1.5, "peak_device_allocated_bytes": None})
        tracker.log_receipt({"mean_bits": 8, "changes": [1, 2]})
    tracker.finish(state)
"""


def run_cells(directory: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    command = [sys.executable, "-c", CELLS, str(directory)]
    env = clean | {"HOME": str(home), "NETRC": str(home / "none")} | variables
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def inspect(cell: Path, *options: str) -> list[dict]:
    """What W&B's own reader gives of the one run below `cell`: all records, or the summary."""
    (run,) = cell.glob("wandb/*run-*/*.wandb")
    leet = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", *options, run]
    text = subprocess.run(leet, capture_output=True, check=True, text=True).stdout
    return [json.loads(text)] if options else [json.loads(line) for line in text.splitlines()]


def test_an_offline_run_holds_the_cell(tmp_path):
    child = run_cells(tmp_path / "cells", tmp_path)
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
    (summary,) = inspect(tmp_path / "cells" / "first", "--summary")
    records = inspect(tmp_path / "cells" / "first")
    assert summary["config"] == {"model": {"name": "tiny", "id": "${x}"}}
    assert (summary["name"], summary["project"]) == ("first", "compression-bias")
    assert (summary["tags"], summary["state"], summary["exit_code"]) == (
        *(["mine", "ptq"], "finished", 0),
    )
    logged = {key: v for key, v in summary["summary"].items() if key[0] != "_" and key != "items"}
    assert logged == {
        "bias/crows_pairs/gender": 55.5,
        "bias/crows_pairs/gender/ci_low": 50,
        "system/load_seconds": 1.5,
        "receipt/mean_bits": 8,
        "receipt/changes": 2,
        "cell/model": "tiny",
        "cell/name": "first",
        "state": "done",
    }
    (group,) = {row["run"]["run_group"] for row in records if row["type"] == "run"}
    assert group == "sweep-7"
    history = [row["history"]["item"] for row in records if row["type"] == "history"]
    assert history[0]["bias/crows_pairs/gender"] == 55.5
    (table,) = (tmp_path / "cells" / "first").glob("wandb/offline-run-*/files/media/table/*.json")
    assert json.loads(table.read_text()) == {
        **{"columns": ["item_id", "s"], "data": [["a", 1.0], ["b", None]]}
    }
    staged = [row["artifact"]["manifest"] for row in records if row["type"] == "artifact"]
    paths = [Path(entry["local_path"]) for entry in staged[0]["contents"]]
    assert all(path.is_relative_to(tmp_path / "cells" / "first") for path in paths)

    (summary,) = inspect(tmp_path / "cells" / "second", "--summary")
    assert (summary["state"], summary["exit_code"]) == ("failed", 1)
    assert summary["summary"]["state"] == "failed"


def test_without_a_server_the_run_is_kept_offline(tmp_path):
    """The address refuses connections at once; the second cell does not even try."""
    variables = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}
    child = run_cells(tmp_path / "cells", tmp_path, **variables, WANDB_INIT_TIMEOUT="1")
    assert child.returncode == 0, child.stderr
    (warning,) = child.stdout.splitlines()
    assert warning.startswith("W&B could not reach http://127.0.0.1:9, so this sweep is kept off")
    assert KEY not in child.stdout + child.stderr
    for name, state in (("first", "finished"), ("second", "failed")):
        assert inspect(tmp_path / "cells" / name, "--summary")[0]["state"] == state


def test_a_broken_wandb_costs_one_warning(tmp_path, nobody, monkeypatch, caplog):
    def broken(**settings):
        raise RuntimeError("service is gone\nand more")

    monkeypatch.setattr(wandb, "init", broken)
    tracker = build_tracker(WandbConfig(mode="offline"))
    with caplog.at_level(logging.WARNING):
        tracker.start({}, "name", "group", [], tmp_path)
        tracker.log_metrics([record()])
        tracker.finish("done")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("W&B could not start: RuntimeError: service is gone and m")


@pytest.mark.parametrize("name", ["", "t" * 200, "a b"])
def test_any_name_gives_a_run(tmp_path, nobody, name, caplog):
    """W&B refuses a run for an empty or a long tag; a folder can have any name."""
    tracker = build_tracker(WandbConfig(mode="offline", tags=["", "  ", "u" * 65, "mine"]))
    with caplog.at_level(logging.WARNING):
        tracker.start({}, name, name, [name, "ptq"], tmp_path)
        tracker.finish("done")
    assert caplog.messages == []
    (summary,) = inspect(tmp_path, "--summary")
    assert summary["tags"] == sorted({name[:64], "mine", "ptq", "u" * 64} - {""})
    assert summary["name"] == (name[:128] or tmp_path.name)


def test_a_variable_that_wandb_refuses_costs_one_warning(tmp_path, nobody, monkeypatch, caplog):
    monkeypatch.setattr(wandb, "setup", lambda *_: wandb.Settings(run_tags=["x" * 65]))
    tracker = build_tracker(WandbConfig())
    with caplog.at_level(logging.WARNING):
        tracker.start({}, "name", "group", [], tmp_path)
        tracker.finish("done")
    (message,) = caplog.messages
    assert "is 65 characters. Tags must be between 1 and 64 characters" in message
    assert "\n" not in message


def test_online_without_credentials_starts_nothing(tmp_path, nobody, monkeypatch, caplog):
    def never(**settings):
        raise AssertionError("a run was opened")

    monkeypatch.setattr(wandb, "init", never)
    tracker = build_tracker(WandbConfig(mode="online"))
    with caplog.at_level(logging.WARNING):
        with pytest.raises(InputError, match=r"tracker\.mode=online needs W&B credentials"):
            tracker.start({}, "name", "group", [], tmp_path)
        tracker.finish("failed")
    assert caplog.messages == []
    assert {path.name for path in tmp_path.iterdir()} == {nobody.name}


def test_a_run_that_breaks_later_is_still_finished(tmp_path, nobody, monkeypatch, caplog):
    class Run:
        offline, dir, summary, ended = True, "", {}, None

        def log(self, values):
            raise OSError("No space left on device")

        def finish(self, exit_code):
            Run.ended = exit_code

    monkeypatch.setattr(wandb, "init", lambda **settings: Run())
    tracker = build_tracker(WandbConfig(mode="offline"))
    with caplog.at_level(logging.WARNING):
        tracker.start({}, "name", "group", [], tmp_path)
        tracker.log_metrics([record()])
        tracker.log_metrics([record()])
        tracker.finish("failed")
    assert (Run.ended, len(caplog.messages)) == (1, 1)
    assert Run.summary["state"] == "failed"


def test_disabled_writes_nothing(tmp_path, nobody, caplog):
    tracker = build_tracker(WandbConfig(mode="disabled", log_items=True))
    with caplog.at_level(logging.WARNING):
        tracker.start({"a": 1}, "name", "group", [], tmp_path)
        tracker.log_metrics([record()])
        tracker.finish("done")
    assert caplog.messages == []
    assert list(tmp_path.rglob("*.wandb")) == []


def test_composing_settings_does_not_import_wandb():
    code = "import sys, src.tracking.config, src.tracking.tracker; print('wandb' in sys.modules)"
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
    )
    assert child.stdout == "False\n"


def test_numbers_of_another_scorer_than_the_cells_own_have_its_name():
    own, other = record(scorer="bias_bench"), record(scorer="pll")
    (key,) = metric_values([own])
    named = metric_values([own, other], own["scorer"])
    kind, benchmark, *rest = key.split("/")
    assert list(named) == [key, "/".join([kind, benchmark, "pll", *rest])]
    assert list(metric_values([other], "pll")) == [key]
