"""Every yaml composes and validates; names of sweeps and cells."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from src import schema, sweep
from src.errors import InputError
from src.schema import ROOT, typed

CONF = ROOT / "conf"
schema.register()
sweep.register()


@pytest.fixture(autouse=True)
def hydra_ready():
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
EVERY = [(group, option) for group in GROUPS for option in options(group)]


@pytest.mark.parametrize(("group", "option"), EVERY)
def test_every_option_composes_and_validates(group, option):
    overrides = [f"{group}={option}"]
    if option == "hf":
        overrides.append("model.id=some/model")
    checked = typed(compose("config", overrides=overrides))
    assert checked.model.name
    if group == "model":
        assert checked.model.id


def test_pinned_revisions_are_commits():
    for name in options("model"):
        if name in ("pythia", "hf", "tiny", "tiny_masked"):
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
    ],
)
def test_impossible_values_name_key_and_choices(overrides, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        typed(compose("config", overrides=overrides))


def test_all_values_of_all_axes_are_checked():
    sweep.check_cells(["model=bert,gpt2", "compression=none,ptq"])
    with pytest.raises(InputError, match=r"compression\.mode=half"):
        sweep.check_cells(["model=bert,gpt2", "compression=fp16", "compression.mode=model,half"])


def test_sweep_is_named_after_what_it_measures():
    name = sweep.sweep_name(["-m", "model=bert", "compression=none,ptq"])
    assert name == "compression=none,ptq,model=bert"
    same = ["compression=none,ptq", "-m", "model=bert", "resume=false", "tracker.mode=offline"]
    assert sweep.sweep_name(same) == name
    assert sweep.sweep_name(["model=gpt2"]) != name
    assert sweep.sweep_name([]) == "default"


def test_cell_is_named_after_what_sets_it_apart():
    arguments = ["-m", "model=bert", "compression=none,ptq", "model.dtype=float32"]
    assert sweep.cell_name(["model=bert", "compression=ptq", "model.dtype=float32"], arguments) == (
        "compression=ptq"
    )
    assert sweep.cell_name(["model=bert"], ["model=bert"]) == "cell"


def test_slugs_are_safe_and_different():
    names = {sweep.slug(text) for text in ("a/b", "a b", "a-b", "../x", "y" * 300, "y" * 301)}
    assert len(names) == 6
    assert all(Path(name).name == name and len(name) < 100 for name in names)
