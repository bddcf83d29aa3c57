"""The command lines of the training programs, from text to a student."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from src import distill, pretrain
from src.training import entry

PROGRAMS = {"pretrain": pretrain.job, "distill": distill.job}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a program in this process: exit code or error, and what it printed."""

    def program(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            entry.main(PROGRAMS[name], name)
        return ended.value.code, capsys.readouterr().out

    return program


def tracked(out):
    """The loss curve, read from a run of W&B by its own reader."""
    (file,) = out.glob("wandb/offline-run-*/*.wandb")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", file]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    records = [json.loads(line) for line in text.splitlines()]
    curve = []
    for history in [row["history"] for row in records if row["type"] == "history"]:
        named = {k.removeprefix("train/"): v for k, v in history["item"].items() if k[0] != "_"}
        assert named.pop("seconds") > 0
        assert named.pop("tokens_per_second") >= 0
        curve.append({"step": int(history["step"]["num"]), **named})
    return curve


def test_a_model_and_its_student(text, tmp_path, run):
    """Logged to W&B offline; a wrong setting leaves no folder; the same command is done at once."""
    data = [
        f"corpus.sources.text.path={text}", "corpus.length=32", "corpus.held_out=0.2",
        f"corpus.cache={tmp_path / 'cache'}", "training.steps=4", "training.batch_tokens=256",
        "training.device=cpu", "training.threads=1",
    ]  # fmt: skip
    shape = ["architecture=bert", "tokenizer.vocab_size=64", "architecture.hidden_size=16"]
    out, student = tmp_path / "model", tmp_path / "student"
    code, _ = run("pretrain", *data, *shape, "training.step=5", f"out={out}")
    assert "Key 'step' not in 'TrainingConfig'" in code
    code, _ = run("pretrain", *data, *shape, "training.mask=2", f"out={out}")
    assert "training.mask=2.0 is not possible" in code
    assert not out.exists()
    code, printed = run("pretrain", *data, *shape, "training.checkpoints=[2]", f"out={out}")
    assert code is None
    assert f"{out}: 4 steps, held-out loss" in printed
    assert tracked(out) == json.loads((out / "training.json").read_text())["curve"]
    assert (out / "step2" / "model.safetensors").exists()
    teacher = [f"distillation.teacher={out / 'final'}", "tracker=none"]
    code, printed = run("distill", *data, *teacher, f"out={student}")
    assert code is None
    config = json.loads((student / "final" / "config.json").read_text())
    assert config["num_hidden_layers"] == 2
    assert not (student / "wandb").exists()
    code, again = run("distill", *data, *teacher, f"out={student}")
    assert again.splitlines()[-1] == printed.splitlines()[-1]
    assert "loss=" not in again
    code, _ = run("distill", *data, *teacher, "distillation.soft=1", f"out={student}")
    assert "other settings (distillation.soft)" in code
    code, _ = run("distill", *data, *teacher, "corpus.length=600", f"out={tmp_path / 'long'}")
    assert "corpus.length=600: the model takes 512 tokens at most" in code
    code, _ = run("pretrain", *data, *shape, "architecture.positions=16", f"out={tmp_path / 'p'}")
    assert "corpus.length=32: the model takes 16 tokens at most" in code
    nothing = tmp_path / "none"
    code, _ = run("distill", *data, "distillation.teacher=/nowhere", f"out={nothing}")
    assert "/nowhere" in code
    assert not (nothing / "wandb").exists()


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "said"),
    [("bert", "gpt_neox", "with a mask token"), ("gpt_neox", "bert", "without a mask token")],
)
def test_a_tokenizer_for_the_other_objective_is_refused(
    architecture, tokenizer, said, text, tmp_path, run
):
    """A BERT trained on next tokens would only copy what it sees."""
    code, _ = run(
        "pretrain", f"architecture={architecture}", f"tokenizer={tokenizer}",
        f"tokenizer.vocab_size={300 if tokenizer == 'gpt_neox' else 64}", "corpus.held_out=0.2",
        f"corpus.sources.text.path={text}", "corpus.length=32", "training.device=cpu",
        f"corpus.cache={tmp_path / 'cache'}", f"out={tmp_path / 'm'}", "tracker=none",
    )  # fmt: skip
    assert f"needs a tokenizer {said}" in code
    assert not (tmp_path / "m" / "run.json").exists()


def test_a_teacher_of_the_hub_brings_its_tokenizer(text, tmp_path, run, checkpoint, monkeypatch):
    """Its id is no folder, so that nothing may look for a file there."""
    from src.training import distilling

    folder, loaded = checkpoint("gpt2"), distilling.load_subject

    def from_hub(config, *more):
        assert config.id == "some/teacher"
        return loaded(replace(config, id=str(folder)), *more)

    monkeypatch.setattr(distilling, "load_subject", from_hub)
    code, printed = run(
        "distill", "distillation.teacher=some/teacher", f"corpus.sources.text.path={text}",
        "corpus.length=32", "corpus.held_out=0.2", "training.steps=1", "training.device=cpu",
        f"corpus.cache={tmp_path / 'cache'}", f"out={tmp_path / 'm'}", "tracker=none",
    )  # fmt: skip
    assert code is None
    assert "1 steps, held-out loss" in printed


def test_dry_prints_the_settings_and_leaves_nothing_else(text, tmp_path, run):
    given = [f"corpus.sources.text.path={text}", "dry=true", f"out={tmp_path / 'm'}"]
    code, printed = run("pretrain", *given, "training.steps=77")
    assert code is None
    assert "steps: 77" in printed
    assert not list(tmp_path.glob("m/*.json"))


def test_a_process_beside_the_first_writes_nowhere(text, tmp_path, run, monkeypatch):
    """Neither where the config says nor where the command line does."""
    given = [
        f"corpus.sources.text.path={text}", "dry=true", f"out={tmp_path / 'm'}",
        f"hydra.run.dir={tmp_path / 'log'}", "hydra/job_logging=default", "training.steps=77",
    ]  # fmt: skip
    code, printed = run("pretrain", *given)
    assert code is None
    assert (tmp_path / "log").exists()
    (tmp_path / "log").rename(tmp_path / "first")
    monkeypatch.setenv("RANK", "1")
    assert run("pretrain", *given) == (code, printed)
    assert {path.name for path in tmp_path.iterdir()} == {"first"}


def test_an_unknown_option_in_a_list_is_answered_with_those_there_are(text, run):
    given = [f"corpus.sources.text.path={text}", "+corpus/transform=[drop_rage]"]
    code, _ = run("pretrain", *given)
    assert code.endswith("\n  counterfactual\n  drop_race\n  drop_religion")


def test_an_output_folder_that_cannot_be_made_is_named(text, tmp_path, run):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    code, _ = run("pretrain", f"corpus.sources.text.path={text}", f"out={out}")
    assert str(code).startswith(f"error: {out} could not be written: Not a directory")
    assert str(code).endswith("can be written to (out).")
