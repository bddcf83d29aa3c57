"""The W&B dashboard of a real sweep, kept offline, and the names that its runs have."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import InputError
from src.report import dashboard
from src.report.dashboard import Place, find, publish, read, report, workspace
from tests.report.wandb_server import wandb_server  # noqa: F401

ROOT = Path(__file__).parents[2]
KEY = "0" * 40  # the form of a W&B key; belongs to nobody
GROUP = "compression=none,'a' <b> and c"  # names of sweeps come from commands, which have signs


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Folder of a sweep with an axis of three places (4, 8 and 32 bits), tracked offline."""
    folder = tmp_path_factory.mktemp("sweep")
    command = [
        *(sys.executable, "-m", "src.main", "-m", "model=tiny", "benchmark=sample"),
        *("compression=none,uniform_4,uniform_8", "drift.requests=8", "system.threads=1"),
        *("statistics.resamples=200", "benchmark.sample_seat.n_permutations=1000"),
        *(
            "scorer.also=[sum]",
            "debug.limit=6",
            "tracker.mode=offline",
            f"hydra.sweep.dir={folder}",
        ),
        "sweep=\"compression=none,'a' <b> and c\"",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def inspect(directory: Path, *options: str) -> list[dict]:
    """What W&B's own reader gives of the one run below a folder."""
    (run,) = directory.glob("wandb/*run-*/*.wandb")
    leet = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", *options, run]
    text = subprocess.run(leet, capture_output=True, check=True, text=True).stdout
    return [json.loads(line) for line in ([text] if options else text.splitlines())]


@pytest.fixture(scope="module")
def logged(sweep):
    """By job type all names that the runs of the sweep have, in summary and history."""
    found: dict[str, set[str]] = {"cell": set(), "comparisons": set()}
    for directory in (path.parent for path in sweep.glob("*/wandb")):
        records = inspect(directory)
        (about,) = (row["run"] for row in records if row["type"] == "run")
        assert about["run_group"] == GROUP
        (summary,) = inspect(directory, "--summary")
        history = [row["history"]["item"] for row in records if row["type"] == "history"]
        names = set(summary["summary"]).union(*history)
        # Names with _ are W&B's own; so are a table's parts, which have a dot.
        found[about["job_type"]] |= {name for name in names if not re.match(r"_|\w+\.", name)}
    return found


def shown(spec: object) -> set[str]:
    """All names of numbers and tables that a spec's panels refer to."""
    if isinstance(spec, list):
        return set().union(*map(shown, spec))
    if not isinstance(spec, dict):
        return set()
    names = {name for name in spec.get("metrics", []) if isinstance(name, str)}
    axes = [spec.get(axis) for axis in ("xAxis", "yAxis", "accessor")]
    # A section's own x axis is W&B's step, which is no name of ours.
    names |= {axis.removeprefix("summary:") for axis in axes if axis and axis != "_step"}
    if spec.get("viewType") == "Weave":
        names |= {table for table in ("comparisons", "flips") if f'"{table}"' in json.dumps(spec)}
    return names.union(*map(shown, spec.values()))


def specs(sweep):
    cells, compared = read(sweep)
    place = Place("me", "project", GROUP)
    made = workspace(place, cells, compared), report(place, cells, compared)
    return [json.loads(m._to_model().spec.model_dump_json(by_alias=True)) for m in made]


@pytest.fixture
def account(tmp_path, monkeypatch, request):
    server = request.getfixturevalue("wandb_server")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    import wandb

    wandb.teardown()  # what it read from the environment before
    yield server
    wandb.teardown()


def test_every_name_in_the_dashboard_is_one_that_the_runs_have(sweep, logged, account):
    everything = logged["cell"] | logged["comparisons"]
    for spec in specs(sweep):
        names = shown(spec)
        assert names <= everything, names - everything
        # The comparison table, the curves, bias against LM score and cost, and the flips.
        assert {"comparisons", "flips", "system/model_bytes"} <= names
        assert {"lm/sample_stereoset/overall", "bias/sample_stereoset/gender"} <= names
        assert "curve/compression_weight_bits" in names
        assert any(name.endswith("flips_to_anti") for name in names)
    pinned = specs(sweep)[0]["section"]["runSets"][0]["runFeed"]["columnPinned"]
    named = {column.removeprefix("summary:") for column in pinned if column.startswith("summary:")}
    assert {"cell/model", "bias/sample_crows_pairs/race"} <= named <= logged["cell"]


def test_panels_of_cells_show_cells_and_those_of_the_sweep_its_own_run(sweep, logged, account):
    _, spec = specs(sweep)
    grids = [block for block in spec["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 5
    for grid in grids:
        (runs,) = grid["metadata"]["runSets"]
        values = {part["key"]["name"]: part["value"] for part in runs["filters"]["filters"]}
        assert values["group"] == GROUP
        assert shown(grid["metadata"]["panelBankSectionConfig"]) <= logged[values["jobType"]]


def test_a_curve_has_the_cells_own_numbers(sweep, logged):
    history = [
        row["history"]["item"] for row in inspect(sweep / "comparisons") if row["type"] == "history"
    ]
    axis = "curve/compression_weight_bits"
    along = [row for row in history if axis in row]
    assert [row[axis] for row in along] == [4, 8, 32]
    folders = ["compression=uniform_4", "compression=uniform_8", "compression=none"]
    for row, folder in zip(along, folders, strict=True):
        (expected,) = (
            record["value"]
            for record in json.loads((sweep / folder / "metrics.json").read_text())
            if (record["benchmark"], record["category"]) == ("sample_stereoset", "gender")
            and (record["metric"], record["scorer"]) == ("ss", "bias_bench")
        )
        assert row[f"{axis}/tiny-uniform/bias/sample_stereoset/gender"] == pytest.approx(expected)


def test_publishing_saves_both_and_names_the_runs_by_their_group(sweep, account, capfd):
    addresses = publish(sweep)
    view, saved = account.views
    assert (view["type"], saved["type"]) == ("project-view", "runs")
    assert {view["entityName"], saved["entityName"]} == {"me"}
    assert {view["projectName"], saved["projectName"]} == {"compression-bias"}
    (part,) = json.loads(view["spec"])["section"]["runSets"][0]["filters"]["filters"]
    assert (part["key"]["name"], part["op"], part["value"]) == ("group", "=", GROUP)
    assert all(address.startswith(account.address) for address in addresses)


def test_a_server_that_refuses_is_one_message(sweep, account, monkeypatch):
    monkeypatch.setattr(account.RequestHandlerClass, "_answer", lambda *_: {"viewer": None})
    with pytest.raises(InputError, match="W&B did not take the dashboard"):
        publish(sweep)


def test_a_sweep_is_found_by_its_folder_and_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "multirun" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find("mine") == Path("multirun/mine")
    assert find(str(tmp_path / "multirun" / "mine")) == tmp_path / "multirun" / "mine"
    with pytest.raises(InputError, match="other is no folder, and neither is multirun/other"):
        find("other")
    with pytest.raises(InputError, match="no finished cell"):
        read(tmp_path / "multirun" / "mine")


def test_without_an_account_the_local_report_is_made(sweep, monkeypatch, capsys):
    monkeypatch.setattr(dashboard, "choose_mode", lambda asked: "offline")
    dashboard.main([str(sweep)])
    said = capsys.readouterr().out
    assert said.startswith("No W&B account")
    assert (sweep / "report.html").is_file()


NAMED = re.compile(r"^\| (`.+?`) \|", re.MULTILINE)


def test_every_name_that_is_logged_is_documented_and_every_documented_one_is_logged(logged):
    text = (ROOT / "README.md").read_text().partition("## Names in W&B")[2].partition("\n## ")[0]
    shapes = {
        name: re.compile(re.sub("<[a-z]+>", "[^/]+", name))
        for row in NAMED.findall(text)
        for name in re.findall("`(.+?)`", row)
    }
    everything = {
        name.replace("/sum/", "/", 1)  # a number of the further scorer
        for name in logged["cell"] | logged["comparisons"]
    }
    unknown = {n for n in everything if not any(s.fullmatch(n) for s in shapes.values())}
    assert unknown == set()
    unused = {n for n, s in shapes.items() if not any(s.fullmatch(name) for name in everything)}
    assert unused == set()
