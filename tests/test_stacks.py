"""`compression=[a,b]` on the command line, in sweeps and in a yaml."""

import json

import pytest
import yaml
from hydra import compose, initialize_config_dir

from src import schema, sweep
from src.compression.ptq import PtqConfig
from src.compression.stack import StackConfig
from src.errors import InputError
from src.report.cells import collect, labels, twin
from src.schema import ROOT, typed
from tests.cli.test_launch import cells, configs, program  # noqa: F401

schema.register()
sweep.register()
QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")


@pytest.fixture
def composed():
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        yield lambda *overrides: typed(compose("config", [*overrides]))


def test_steps_are_typed_in_order_and_addressed_by_name(composed):
    config = composed("compression=[ptq,fp16]", "compression.ptq.conv1d=true")
    assert isinstance(config.compression, StackConfig)
    assert list(config.compression.steps) == ["ptq", "fp16"]
    assert config.compression.steps["ptq"] == PtqConfig(conv1d=True)
    assert config.compression.name == "ptq+fp16"
    assert composed("compression=[fp16,ptq]").compression.name == "fp16+ptq"
    assert composed("compression=ptq").compression == PtqConfig()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["compression=[ptq,ptq]"], "both steps would have the settings compression.ptq"),
        (["compression=ptq+ptq"], "both steps would have the settings compression.ptq"),
        (["compression=[ptq,none]"], "none is no step"),
        (["compression=[ptq]"], "use compression=ptq"),
        (["compression=[]"], "use compression=none"),
        (["compression=[fp16,ptq]", "compression.fp16.mode=all"], "compression.fp16.mode=all is"),
    ],
)
def test_impossible_stacks_are_refused_and_say_why(overrides, message, composed):
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        composed(*overrides)


def test_unknown_steps_and_keys_are_named(program):  # noqa: F811
    code, _ = program("compression=[ptq,int3]")
    assert "Could not load 'compression/int3'" in code
    assert "ptq_conv1d" in code
    code, _ = program("compression=[fp16,ptq]", "compression.ptq.bits=4")
    assert code.startswith("error: compression.ptq.bits: Key 'bits' not in 'PtqConfig'")


def test_a_yaml_without_a_schema_is_told_what_it_lacks(program, configs):  # noqa: F811
    (configs / "compression").mkdir()
    (configs / "compression" / "mine.yaml").write_text("kind: ptq\nname: mine\n")
    code, _ = program("--config-dir", configs, "compression=mine", *QUIET)
    assert code.startswith("error: compression.kind=ptq belongs to no method")


def test_stacks_in_a_sweep(program, cells):  # noqa: F811
    given = ("compression=[fp16,ptq],ptq,none", "benchmark=sample")
    assert program("-m", *given, *QUIET)[0] is None
    assert [config.compression.name for config, _ in cells] == ["fp16+ptq", "ptq", "none"]
    assert [directory.name for _, directory in cells] == [
        "compression=fp16+ptq",
        "compression=ptq",
        "compression=none",
    ]
    assert cells[0][1].parent.name == "benchmark=sample,compression=fp16+ptq,ptq,none"


def test_stacks_in_a_yaml(program, cells, configs):  # noqa: F811
    (configs / "experiment").mkdir()
    (configs / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /compression: [fp16, ptq]\n"
        "compression:\n  ptq:\n    conv1d: true\n"
    )
    assert program("--config-dir", configs, "experiment=mine", *QUIET)[0] is None
    (config, _) = cells[0]
    assert config.compression.steps["ptq"].conv1d
    assert config.compression.name == "fp16+ptq"


def test_a_stack_is_labelled_by_its_steps_and_has_a_twin(tmp_path):
    ptq, fp16 = {"kind": "ptq", "name": "ptq"}, {"kind": "fp16", "name": "fp16"}
    for name, part in {
        "dense": {"kind": "none", "name": "none"},
        "one": {"fp16": fp16, "ptq": ptq | {"conv1d": False}},
        "two": {"fp16": fp16, "ptq": ptq | {"conv1d": True}},
        "back": {"ptq": ptq | {"conv1d": True}, "fp16": fp16},
    }.items():
        (tmp_path / name).mkdir()
        config = {"model": {"name": "tiny"}, "compression": part}
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        (tmp_path / name / "status.json").write_text(json.dumps({"state": "done"}))
    found = {cell.directory.name: cell for cell in collect(tmp_path)}
    assert next(iter(found)) == "dense"
    named = dict(zip(found, labels(list(found.values())), strict=True))
    assert named["back"].compression == "ptq+fp16"
    assert named["one"].compression == "fp16+ptq ptq.conv1d=False"
    assert named["two"].compression == "fp16+ptq ptq.conv1d=True"
    assert twin(found["one"], found.values()) is found["dense"]
    assert twin(found["dense"], found.values()) is None


def test_a_ladder_is_listed_by_its_bits(tmp_path):
    for bits in (16, 2, 1.58, 8):
        folder = tmp_path / f"compression.weight_bits={bits}"
        folder.mkdir()
        part = {"kind": "uniform", "name": "uniform", "weight_bits": bits}
        (folder / "config.yaml").write_text(yaml.safe_dump({"compression": part}))
        (folder / "status.json").write_text(json.dumps({"state": "done"}))
    listed = labels(collect(tmp_path))
    assert [label.compression for label in listed] == [
        f"uniform weight_bits={bits}" for bits in (1.58, 2, 8, 16)
    ]


def test_a_control_is_labelled_by_what_it_is_for(tmp_path):
    for name in ("nf4", "fp4", "uniform"):
        (tmp_path / name).mkdir()
        part = {"kind": "noise", "name": "noise", "like": {"kind": "x", "name": name, "bits": name}}
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump({"compression": part}))
        (tmp_path / name / "status.json").write_text(json.dumps({"state": "done"}))
    listed = {label.compression for label in labels(collect(tmp_path))}
    assert listed == {f"noise like.name={name}" for name in ("nf4", "fp4", "uniform")}
