"""A cell's run: its name, continuing it, and the runs that an agent of a W&B sweep starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import wandb
import yaml

from src.tracking import cell_run
from src.tracking.agent import of_agent
from src.tracking.config import NoTrackerConfig, WandbConfig
from src.tracking.read import read_cell
from src.tracking.records import METRIC_FIELDS, CellRecords
from src.tracking.tracker import NoTracker, build_tracker

CONFIG = {
    "model": {"name": "bert"},
    "compression": {"name": "uniform", "weight_bits": 4},
    "scorer": {"name": "bias_bench", "also": ["pll"]},
    "sweep": "mine",
    "statistics": {"level": 0.95},
}


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wandb.teardown()
    yield
    wandb.teardown()


def records(folder: Path) -> list[list[dict]]:
    """All records of each run below a folder, in the order in which they began."""
    found = []
    for run in sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.parent.name):
        leet = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", run]
        text = subprocess.run(leet, capture_output=True, check=True, text=True).stdout
        found.append([json.loads(line) for line in text.splitlines()])
    return found


def about(run: list[dict]) -> dict:
    return next(row["run"] for row in run if row["type"] == "run")


def config_of(run: list[dict]) -> dict:
    config: dict = dict(about(run)["config"]["update"])
    for row in run:
        if row["type"] == "config":
            config |= row["config"]["update"]
    return config


class Noted(NoTracker):
    def start(self, config, name, group, tags, directory, *, job="cell", again=False):
        self.name, self.group, self.tags = name, group, tags


@pytest.mark.parametrize(
    ("folder", "config", "name"),
    [
        ("cell", {}, "bert-uniform"),
        ("compression=uniform", {}, "bert-uniform"),
        ("compression.weight_bits=4,compression=uniform", {}, "bert-uniform weight_bits=4"),
        (
            "compression=none,model.size=70m,model.step=1000,model=pythia",
            {"model": {"name": "pythia-70m-step1000"}, "compression": {"name": "none"}},
            "pythia-70m-step1000-none",
        ),
        (
            "compression=prune+uniform",
            {"compression": {"prune": {"name": "prune"}, "uniform": {"name": "uniform"}}},
            "bert-prune+uniform",
        ),
    ],
)
def test_a_run_is_named_so_that_the_cells_of_a_ladder_differ(tmp_path, folder, config, name):
    noted = Noted()
    cell_run.open_run(noted, CONFIG | config, tmp_path / folder)
    assert (noted.name, noted.group) == (name, "mine")
    assert noted.tags[2:] == ["bias_bench", "pll"]


def finished(directory: Path, value: float, state: str = "done"):
    kept = CellRecords(directory)
    kept.start("f")
    kept.write_config(CONFIG)
    row = dict.fromkeys(METRIC_FIELDS) | {"kind": "bias", "benchmark": "crows_pairs"}
    row |= {"category": "gender", "metric": "stereotype_score", "scorer": "bias_bench", "n": 1}
    kept.write_metrics([row | {"value": value, "ci_low": 40.0, "ci_high": 60.0, "reason": ""}])
    kept.write_items(pd.DataFrame({"item_id": ["1"]}))
    for name in ("receipt", "system", "environment"):
        kept.write_json(f"{name}.json", {"seconds": 1.5})
    kept.finish(state)
    return read_cell(directory)


def test_a_cell_that_is_logged_again_continues_its_run(tmp_path):
    cell = finished(tmp_path / "cell", 51.0)
    for value in (51.0, 52.0):
        cell = finished(cell.directory, value)
        cell_run.log_again(WandbConfig(mode="offline"), cell, {"level": 0.9})
    first, second = records(cell.directory)
    assert about(first)["run_id"] == about(second)["run_id"]
    assert config_of(second)["statistics"] == {"level": 0.9}
    (row,) = (row["history"]["item"] for row in second if row["type"] == "history")
    assert (row["bias/crows_pairs/gender"], row["bias/crows_pairs/gender/ci_low"]) == (52, 40)
    tracker = build_tracker(WandbConfig(mode="offline"))
    cell_run.open_run(tracker, CONFIG, cell.directory)
    tracker.finish("done")
    ids = [about(run)["run_id"] for run in records(cell.directory)]
    assert (len(ids), len(set(ids))) == (3, 2)


def test_without_a_tracker_nothing_is_logged_again(tmp_path):
    cell = finished(tmp_path / "cell", 51.0)
    cell_run.log_again(NoTrackerConfig(), cell, {})
    assert not (cell.directory / "wandb").exists()


# W&B leaves the file of the sweep's values open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_agents_run_is_the_first_of_the_process(tmp_path, monkeypatch):
    params = tmp_path / "params.yaml"
    chosen = {"compression": "uniform", "compression.weight_bits": 4}
    params.write_text(
        yaml.dump({"wandb_version": 1} | {k: {"value": v} for k, v in chosen.items()})
    )
    given = {"WANDB_SWEEP_ID": "s123", "WANDB_RUN_ID": "r123", "WANDB_PROJECT": "theirs"}
    for name, value in (given | {"WANDB_SWEEP_PARAM_PATH": str(params)}).items():
        monkeypatch.setenv(name, value)
    assert of_agent()
    for folder in ("first", "second"):
        tracker = build_tracker(WandbConfig(mode="offline"))
        cell_run.open_run(tracker, CONFIG, tmp_path / folder)
        tracker.finish("done")
    assert not of_agent()
    (first,), (second,) = records(tmp_path / "first"), records(tmp_path / "second")
    run = about(first)
    assert (run["run_id"], run["sweep_id"], run["project"]) == ("r123", "s123", "theirs")
    config = config_of(first)
    # By these W&B knows which cells it has tried, so they have to stay as the sweep has them.
    assert {name: config[name] for name in chosen} == chosen
    assert config["settings"] == {"compression": CONFIG["compression"]}
    assert config["model"] == CONFIG["model"]
    run = about(second)
    assert run["run_id"] != "r123"
    assert "sweep_id" not in run
    assert config_of(second)["compression"] == CONFIG["compression"]
    assert "settings" not in config_of(second)


def test_an_agent_gets_the_end_of_a_cell_that_cannot_be_run(tmp_path):
    cell = finished(tmp_path / "cell", 51.0, "unsupported")
    cell_run.log_again(WandbConfig(mode="offline"), cell, {})
    (run,) = records(cell.directory)
    assert [row for row in run if row["type"] == "history"] == []
    (exit_code,) = (row["exit"].get("exit_code", 0) for row in run if row["type"] == "exit")
    assert exit_code == 0
