"""The command that the report gives for a cell makes the same cell: it is composed and compared."""

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.report.cells import collect
from src.report.html import page
from src.report.html.reproduce import command, started_in, sweep_commands
from src.schema import ROOT
from src.tracking.plain import plain
from src.tracking.read import Cell, read_cell

schema.register()
sweep.register()
ARGUMENTS = (
    *("-m", "model=tiny", "compression=none,uniform_4,[prune,uniform]", "benchmark=sample"),
    *("~benchmark.sample_seat", "debug.limit=1", "drift.requests=0", "tracker=none"),
)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A sweep that the program ran, in a folder with a blank."""
    folder = tmp_path_factory.mktemp("a sweep")
    arguments = [*ARGUMENTS, f"hydra.sweep.dir='{folder}'"]
    done = subprocess.run(
        [sys.executable, "-m", "src.main", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return collect(folder)


def test_each_command_composes_to_the_cells_own_settings(cells):
    assert [cell.config["compression"].get("name") for cell in cells] == ["none", None, "uniform_4"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        for cell in cells:
            words = shlex.split(command(cell))
            assert words[:3] == ["python", "-m", "src.main"]
            composed = OmegaConf.to_container(compose("config", words[3:]), resolve=True)
            expected = dict(cell.config)
            for settings in (composed, expected):
                settings.pop("sweep")  # of the command that is running, here pytest's
            assert plain(composed) == expected
            assert Path(started_in(cell)) == ROOT


def test_a_shell_takes_the_command_as_it_is(cells):
    stack = next(cell for cell in cells if "name" not in cell.config["compression"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{command(stack)} debug.dry=true"],
        cwd=started_in(stack), env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    shown = OmegaConf.to_container(OmegaConf.create(done.stdout))
    assert shown["compression"] == stack.config["compression"]
    assert shown["benchmark"] == stack.config["benchmark"]


def test_the_sweeps_command_is_told_once(cells):
    (told,) = sweep_commands(cells)
    assert told.startswith("python -m src.main -m model=tiny 'compression=none,uniform_4,[prune,")


def hydra_notes(folder, overrides, **runtime):
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(overrides), folder / ".hydra" / "overrides.yaml")
    job = runtime.pop("job", {"config_name": "config"})
    content = {"hydra": {"job": job, "runtime": {"cwd": "/home/me"} | runtime}}
    OmegaConf.save(OmegaConf.create(content), folder / ".hydra" / "hydra.yaml")
    return read_cell(folder)


def known(cell, **environment):
    return Cell(cell.directory, "done", {}, {}, [], {}, {}, environment)


def test_a_checkpoint_is_named_by_its_commit(tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cell = hydra_notes(tmp_path / "a", ["model=bert"])
    assert command(known(cell, model={"commit": commit})) == (
        f"python -m src.main model=bert model.revision={commit}"
    )
    cell = hydra_notes(tmp_path / "b", ["model=hf", "model.revision=v1"])
    assert command(known(cell, model={"commit": commit})).endswith("model.revision=v1")
    assert command(known(cell, model={"commit": None})).endswith("model.revision=v1")


def test_other_places_of_configs_are_named(tmp_path):
    sources = [
        {"provider": "main", "schema": "file", "path": "/there/conf"},
        {"provider": "command-line", "schema": "file", "path": "/my configs"},
    ]
    cell = hydra_notes(
        tmp_path / "a", ["model=mine"], config_sources=sources, job={"config_name": "other"}
    )
    here = known(cell, command=["/there/src/main.py", "model=mine"])
    assert command(here) == (
        "python -m src.main --config-name other --config-dir '/my configs' model=mine"
    )
    elsewhere = known(cell, command=["/here/src/main.py", "model=mine"])
    assert "--config-path /there/conf" in command(elsewhere)


def test_without_hydras_notes_there_is_no_command(tmp_path):
    assert command(read_cell(tmp_path)) == ""


def test_an_installed_package_has_all_that_a_report_is_made_of():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "src/report/html"
    globs = told["package-data"]["src.report.html"]
    shipped = {path for glob in globs for path in package.glob(glob)}
    assert {page.ASSETS / f"{name}.js" for name in page.SCRIPTS} < shipped
    others = {p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {path for path in others if path.suffix != ".py"} == shipped
