"""The W&B sweep files in conf/wandb_sweeps: W&B takes them, and their cells are ours.

tests/oracle/wandb_sweep_schema.json is config/schema.json of W&B's package `sweeps` 0.3.0 (MIT).
"""

import itertools
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from src import schema, sweep
from src.schema import ROOT, typed

FILES = sorted((ROOT / "conf" / "wandb_sweeps").glob("*.yaml"))
SCHEMA = json.loads((ROOT / "tests" / "oracle" / "wandb_sweep_schema.json").read_text())
schema.register()
sweep.register()


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def commands(content: dict, parameters: list[dict]) -> list[list[str]]:
    """The command lines that W&B's agent starts for some cells, by its own functions."""
    lines = []
    for chosen in parameters:
        given = create_sweep_command_args({"args": {k: {"value": v} for k, v in chosen.items()}})
        line: list[str] = []
        for part in create_sweep_command(list(content["command"])):
            known = {"${args_no_hyphens}": given["args_no_hyphens"], "${env}": ["/usr/bin/env"]}
            line += known.get(part, [part])
        lines.append(line)
    return lines


def axes(content: dict) -> dict[str, list]:
    return {name: each["values"] for name, each in content["parameters"].items()}


def grid(content: dict) -> list[dict]:
    values = axes(content)
    return [dict(zip(values, cell, strict=True)) for cell in itertools.product(*values.values())]


@pytest.fixture
def hydra_ready():
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_wandb_takes_it(path):
    jsonschema.Draft7Validator(SCHEMA).validate(load(path))
    # One that W&B does not take, so that the schema is known to say so.
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(load(path) | {"method": "all"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_is_a_cell_that_can_be(path, hydra_ready):
    content = load(path)
    for line in commands(content, grid(content)):
        assert line[:4] == ["/usr/bin/env", ".venv/bin/python", "-m", "src.main"]
    first = grid(content)[0]
    for name, values in axes(content).items():
        for value in values:
            (line,) = commands(content, [first | {name: value}])
            checked = typed(compose("config", overrides=line[4:]))
            if name == "compression":
                assert checked.compression.name == value
            elif "." in name:
                group, key = name.split(".")
                assert getattr(getattr(checked, group), key) == value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_wandb_can_tell_which_cells_it_has_tried(path):
    """It looks up a parameter a.b below a run's config a, which a parameter a would hide."""
    names = set(axes(load(path)))
    assert not {name for name in names if name.partition(".")[0] in names - {name}}


@pytest.mark.parametrize("name", ["masked", "pythia"])
def test_the_papers_grid_is_that_of_its_tables(name):
    content = load(ROOT / "conf" / "wandb_sweeps" / f"{name}.yaml")
    paper = OmegaConf.to_container(
        OmegaConf.load(ROOT / "conf" / "paper" / name / "emnlp2023.yaml")
    )
    swept = {
        key: [part.strip() for part in str(values).split(",")] for key, values in paper.items()
    }
    fixed = dict(part.split("=") for part in content["command"] if "=" in part)
    ours = {name: [str(value) for value in values] for name, values in axes(content).items()}
    assert ours | {name: [value] for name, value in fixed.items()} == swept


def test_cells_of_one_wandb_sweep_are_one_sweep_and_do_not_share_a_folder():
    content = load(ROOT / "conf" / "wandb_sweeps" / "pythia.yaml")
    lines = [line[4:] for line in commands(content, grid(content))]
    assert {sweep.sweep_name(line, "ab12") for line in lines} == {"wandb-ab12"}
    assert len({sweep.run_name(line, "ab12") for line in lines}) == len(lines) == 252
    assert sweep.run_name([*lines[0], "sweep=mine"], "ab12") == sweep.run_name(lines[0], "ab12")
    assert sweep.run_name(lines[0]) == "cell"
