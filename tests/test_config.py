"""Every yaml composes and validates; names of sweeps and cells."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.errors import InputError
from src.measured import changes_numbers
from src.schema import ROOT, typed
from src.tracking.fingerprint import fingerprint, flatten

CONF = ROOT / "conf"
schema.register()
sweep.register()


@pytest.fixture(autouse=True)
def hydra_ready():
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# conf/training is a root of its own: tests/training/test_training_config.py
NOT_GROUPS = ("training", "wandb_sweeps")
NO_GROUPS = {"sweep", "resume"}  # values of a config, not groups
GROUPS = sorted(
    path.name for path in CONF.iterdir() if path.is_dir() and path.name not in NOT_GROUPS
)
EVERY = [(group, option) for group in GROUPS for option in options(group)]


def test_the_help_lists_the_groups_of_a_cell_and_no_others():
    """Not what is in conf/ for other programs, nor the schemas that yaml files begin with."""
    template = compose("config", return_hydra_config=True).hydra.help.template
    listed = dict(re.findall(r"^([\w/]+): (.+)$", template, re.MULTILINE))
    assert {group: choices.split(", ") for group, choices in listed.items()} == {
        group: options(group) for group in (*GROUPS, "paper/ladder", "paper/masked", "paper/pythia")
    }
    assert {*GROUPS} == {field.name for field in fields(schema.Config)} - NO_GROUPS | {"experiment"}


@pytest.mark.parametrize(("group", "option"), EVERY)
def test_every_option_composes_and_validates(group, option, tmp_path):
    # Only the paper's experiments have a group for its rows.
    overrides = [*["experiment=table1"] * (group == "paper"), f"{group}={option}"]
    if option == "hf":
        overrides.append("model.id=some/model")
    if option in ("trained", "chain"):
        (tmp_path / "step300").mkdir()
        overrides += [f"model.run={tmp_path}", "model.step=300"]
    checked = typed(compose("config", overrides=overrides))
    assert checked.model.name
    if group == "model":
        assert checked.model.id


def test_pinned_revisions_are_commits():
    for name in options("model"):
        if name in ("pythia", "hf", "finetuned", "trained", "twin") or name.startswith("tiny"):
            continue
        revision = typed(compose("config", overrides=[f"model={name}"])).model.revision
        assert len(revision) == 40, name
        int(revision, 16)


def test_pythia_resolves_to_repository_and_revision():
    checked = typed(
        compose("config", overrides=["model=pythia", "model.size=1.4b", "model.step=29000"])
    )
    assert checked.model.id == "EleutherAI/pythia-1.4b-deduped"
    assert checked.model.revision == "step29000"
    assert checked.model.name == "pythia-1.4b-step29000"


@pytest.mark.parametrize(
    ("override", "message"),
    [("model.size=1.4m", "model.size=1.4m is not possible"), ("model.step=100", "64, 256")],
)
def test_checkpoints_that_are_not_shipped_are_refused(override, message):
    with pytest.raises(InputError, match=message):
        typed(compose("config", overrides=["model=tiny_pythia", override]))


def test_a_checkpoint_that_a_training_did_not_write_is_refused(tmp_path):
    (tmp_path / "step20").mkdir()
    given = ["model=trained", f"model.run={tmp_path}"]
    named = typed(compose("config", overrides=[*given, "model.step=20"])).model
    assert Path(named.id) == tmp_path / "step20"
    with pytest.raises(InputError, match=r"model.step=30: .* has the steps 20\."):
        typed(compose("config", overrides=[*given, "model.step=30"]))
    with pytest.raises(InputError, match="none: is it the folder of a training"):
        typed(compose("config", overrides=["model=trained", "model.run=nowhere"]))


def test_default_is_all_three_benchmarks():
    assert set(typed(compose("config")).benchmark) == {"crows_pairs", "stereoset", "seat"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.dtype=int8"], "model.dtype=int8 is not possible"),
        (["model.objective=both"], "auto, masked, causal"),
        (["system.batch_tokens=0"], "must be at least 1"),
        (["compression=fp16", "compression.mode=all"], "weights, model"),
        (["tracker.mode=onlin"], "Did you mean 'online'?"),
        (["debug.limit=0"], "debug.limit=0"),
        (["drift.seed=-1"], "drift.seed=-1 is not possible; it must be at least 0"),
    ],
)
def test_impossible_values_name_key_and_choices(overrides, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        typed(compose("config", overrides=overrides))


def test_all_values_of_all_axes_are_checked():
    sweep.check_cells(["model=bert,gpt2", "compression=none,ptq"])
    with pytest.raises(InputError, match=r"compression\.mode=half"):
        sweep.check_cells(["model=bert,gpt2", "compression=fp16", "compression.mode=model,half"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=pythia", "model.step=range(0,0)"], r"model\.step=range\(0,0\) has no value"),
        (
            ["model=pythia", "model.step=range(0,9,0)"],
            r"model\.step=range\(0,9,0\) is not possible",
        ),
        (["model=glob(nothing*)"], r"model=glob\(nothing\*\) has no value"),
        (["model=glob(*)"], r"model\.id is required"),  # of model=hf
        (["compression=none", "model=glob(*)", "model.id=x", "model.dtype=a"], r"model\.dtype=a"),
        (["scorer.also=[pll,aull]"], r"scorer\.also=aull is not possible.* 'aul'"),
        (["sweep=a/b"], "one folder"),
        (["sweep=.."], "one folder"),
        (["sweep=''"], "one folder"),
        ([f"sweep={'y' * 256}"], "one folder"),
    ],
)
def test_axes_without_values_and_impossible_ones_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        sweep.check_cells(overrides)


def checked(monkeypatch, *arguments, **options):
    """The overrides of every cell that is composed by a check."""
    composed = []

    def noting(config_name, overrides, **more):
        composed.append(list(overrides))
        return compose(config_name, overrides, **more)

    monkeypatch.setattr(sweep, "compose", noting)
    sweep.check_cells(arguments, **options)
    return composed[1:]  # the first is Hydra's own settings


def test_globs_are_checked_option_by_option(monkeypatch):
    assert checked(monkeypatch, "model=glob(*bert,exclude=[al*,tiny*])", "compression=ptq") == [
        ["model=bert", "compression=ptq"],
        ["model=distilbert", "compression=ptq"],
    ]


def test_the_axes_of_a_config_are_checked_in_a_multirun_only(monkeypatch):
    demo = "experiment=demo_distilled"
    both = [[f"compression={name}", demo] for name in ("none", "ptq", "distilled")]
    assert checked(monkeypatch, demo, multirun=True) == both
    mode = "hydra.mode=MULTIRUN"
    assert checked(monkeypatch, demo, mode) == [[*cell, mode] for cell in both]
    assert checked(monkeypatch, demo) == both  # it says hydra.mode=MULTIRUN itself
    assert checked(monkeypatch, demo, "compression=fp16", multirun=True) == [
        ["compression=fp16", demo]
    ]


def test_every_setting_that_names_no_sweep_changes_no_fingerprint(tmp_path):
    from src.prepare import prepare

    other = {
        "system.threads": "3",
        "system.batch_tokens": "77",
        "system.batch_logits": "7777",
        "system.progress": "false",
        "system.keep_checkpoints": "false",
        "system.reuse_weights": "false",
        "data.cache": str(tmp_path),
        "data.mirror": str(tmp_path),
        "data.timeout": "9",
        "data.retries": "7",
        "debug.dry": "true",
        "system.load_ahead": "false",
        "system.device_map": "auto",
        "system.gpu_memory": "1GiB",
        "system.cpu_memory": "1GiB",
        "debug.plan": "true",
        "resume": "false",
        "sweep": "another",
        "tracker.kind": "none",
        "statistics.level": "0.9",
        "statistics.resamples": "200",
        "statistics.seed": "1",
        "statistics.alpha": "0.1",
        "statistics.power": "0.9",
        "statistics.margin": "2",
        "statistics.margin_sd": "0.2",
        "paper": "tiny",
    }
    base = ["benchmark=sample", "tracker=none"]
    settings = flatten(OmegaConf.to_container(compose("config", overrides=base)))
    # Whoever adds a setting to these groups has to decide which kind it is.
    assert {key for key in settings if not changes_numbers(key)} == set(other)
    # A group that nothing has chosen yet is added.
    changes = [f"{'+' * (key == 'paper')}{key}={value}" for key, value in other.items()]
    before, after = (
        prepare(typed(compose("config", overrides=[*base, *more]))).parts for more in ([], changes)
    )
    assert fingerprint(before) == fingerprint(after)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *((key, True) for key in ("model", "model.id", "compression.bits", "benchmark", "scorer")),
        *((key, True) for key in ("system.device", "data.root", "debug", "debug.limit")),
        *((key, True) for key in ("system", "data")),  # a group may set the telling one
        *((key, False) for key in ("system.threads", "data.mirror", "debug.dry", "resume")),
        *((key, False) for key in ("sweep", "tracker", "tracker.mode", "hydra", "hydra.run.dir")),
        *((key, True) for key in ("sweeper", "trackers.mode", "resumed")),
        ("system.devices", False),
    ],
)
def test_which_settings_change_numbers(key, expected):
    assert changes_numbers(key) is expected


def test_sweep_is_named_after_what_it_measures():
    name = sweep.sweep_name(["-m", "model=bert", "compression=none,ptq"])
    assert name == "compression=none,ptq,model=bert"
    same = ["compression=none,ptq", "-m", "model=bert", "resume=false", "tracker.mode=offline"]
    assert sweep.sweep_name(same) == name
    assert sweep.sweep_name(["model=gpt2"]) != name
    assert sweep.sweep_name([]) == "default"
    assert sweep.sweep_name(["-m", "experiment=demo"]) == "experiment=demo"


@pytest.mark.parametrize(
    "neutral",
    [
        *("system.threads=4", "++system.batch_tokens=99", "data.mirror=http://x/y", "data.cache=z"),
        *("debug.dry=true", "debug=dry", "resume=false", "sweep=x", "tracker=none"),
        *("tracker.tags=[a, b]", "hydra.sweep.dir=/x/y", "hydra/launcher=basic", "--multirun"),
    ],
)
def test_a_sweep_keeps_its_name_with_settings_that_change_no_number(neutral):
    assert sweep.sweep_name(["model=bert", neutral]) == "model=bert"


@pytest.mark.parametrize(
    "telling",
    [
        *("system.device=cpu", "data.root=x", "debug=tiny", "debug.limit=3", "scorer=original"),
        *("~benchmark.seat", "+model.x=1", "--config-name=paper", "--config-dir=conf2"),
    ],
)
def test_a_sweep_has_another_name_with_settings_that_change_numbers(telling):
    assert sweep.sweep_name(["model=bert", telling]) != "model=bert"


def test_the_config_that_was_chosen_is_part_of_the_name():
    assert sweep.sweep_name(["-cn", "paper", "model=bert"]) == "model=bert,config-name=paper"
    assert sweep.sweep_name(["--config-name=paper"]) == sweep.sweep_name(["-cn", "paper"])
    assert sweep.sweep_name(["-m", "model=bert", "-cd"]) == "model=bert,config-dir="


def test_cell_is_named_after_what_sets_it_apart():
    arguments = ["-m", "model=bert", "compression=none,ptq", "model.dtype=float32"]
    assert sweep.cell_name(["model=bert", "compression=ptq", "model.dtype=float32"], arguments) == (
        "compression=ptq"
    )
    assert sweep.cell_name(["model=bert"], ["model=bert"]) == "cell"


def test_what_hydra_writes_differently_does_not_set_a_cell_apart():
    arguments = ["-m", "compression=none,ptq", "tracker.tags=[a, b]", "~benchmark.seat"]
    overrides = ["compression=ptq", "tracker.tags=[a,b]", "~benchmark.seat=null"]
    assert sweep.cell_name(overrides, arguments) == "compression=ptq"


def test_slugs_are_safe_and_different():
    texts = ["a/b", "a b", "a-b", "../x", "..", "a..b", "y" * 300, "y" * 301, "𠀀" * 90, "-m", "/"]
    names = {sweep.slug(text) for text in texts}
    assert len(names) == len(texts)
    for name in names:
        assert Path(name).name == name
        assert ".." not in name
        assert len(name.encode()) < 100
    assert sweep.slug("model=bert,model.dtype=float16") == "model=bert,model.dtype=float16"
