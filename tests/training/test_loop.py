"""The loop on small models: resuming, splitting, folders, what is refused."""

import dataclasses
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    TrainerCallback,
)

from src.errors import InputError
from src.training.config import TrainingConfig
from src.training.objectives import LanguageModelling, Reader
from src.training.pretraining import text_task
from src.training.rows import Prepared
from src.training.run import arguments, fit

AUTO = {"gpt_neox": AutoModelForCausalLM, "bert": AutoModelForMaskedLM}
AUTO["roberta"] = AutoModelForMaskedLM


class Fail(TrainerCallback):
    """Ends the process's run in the middle of a step, as a kill would."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **more):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.fixture
def train(tokenizer, rows, untrained):
    """Run a training of a small model in a folder."""

    def run(kind, out, seed=0, shape=None, callbacks=(), resume_step=None, **changes):
        held_out = rows(kind, seed=1, each=10)
        data = Prepared(tokenizer(kind), rows(kind), held_out, {})
        settings = {"steps": 12, "batch_tokens": 64, "log_every": 3, "mask": 0.3, "threads": 1}
        settings = TrainingConfig(device="cpu", **{**settings, **changes})
        args = arguments(settings, seed, out)
        model = untrained(kind, seed, **(shape or {}))
        loss = LanguageModelling(Reader(model))
        task = text_task(model, loss, loss, data, settings, seed, args)
        task.callbacks += callbacks
        decided = {"seed": seed, "training": dataclasses.asdict(settings)}
        return fit(task, args, settings, out, decided, resume_step=resume_step)

    return run


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gpt_neox", {}),
        ("bert", {"shape": {"dropout": 0.2}, "accumulation": 2}),
        ("roberta", {"optimizer": "adamw", "precision": "bf16"}),
    ],
)
def test_an_interrupted_training_that_goes_on_is_an_uninterrupted_one(
    kind, changes, train, tmp_path
):
    """To the last bit: weights in fp32, those of every folder, and the loss curve."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    changes = {"checkpoints": [4, 8], "state_every": 5, **changes}
    wanted = train(kind, whole, **changes)
    for step in (2, 7, 9):  # before the first state, after one, in between
        with pytest.raises(KeyboardInterrupt):
            train(kind, cut, callbacks=[Fail(step)], **changes)
        shutil.copytree(whole / "states" / "step4", cut / "states" / f".partial-step{step}")
    record = train(kind, cut, **changes)
    assert record["curve"] == wanted["curve"]
    assert [point["step"] for point in record["curve"]] == [1, 3, 4, 5, 6, 8, 9, 10, 12]
    for name in ("states/step12", "states/step10", "step4", "step8", "final"):
        assert same(weights(cut / name), weights(whole / name)), name
    for name in ("step8", "final"):  # they are the same checkpoint, by the hash of its files too
        assert (cut / name / "training.json").read_bytes() == (
            whole / name / "training.json"
        ).read_bytes()
    # The same from a state in the middle.
    shutil.rmtree(cut / "states" / "step12")
    train(kind, cut, resume_step=4, **changes)
    assert same(weights(cut / "states/step12"), weights(whole / "states/step12"))


def test_the_first_part_of_a_recipe_gives_the_same_curve(train, tmp_path):
    whole = train("gpt_neox", tmp_path / "a")
    part = train("gpt_neox", tmp_path / "b", stop_at=6)
    other = train("gpt_neox", tmp_path / "c", seed=1, stop_at=6)
    losses, again, different = (
        [point["loss"] for point in record["curve"]] for record in (whole, part, other)
    )
    assert again == losses[:3]
    assert not set(again) & set(different)
    assert not part["finished"]
    assert whole["finished"]
    assert not (tmp_path / "b" / "final").exists()


@pytest.mark.parametrize(("kind", "steps"), [("gpt_neox", 150), ("bert", 300)])
def test_loss_falls(kind, steps, train, tmp_path):
    """In this language a word is known from the one before nine times in ten."""
    changes = {"steps": steps, "log_every": 10, "eval_every": 50, "states": "none"}
    shape = {"hidden_size": 32}
    record = train(kind, tmp_path / "m", shape=shape, batch_tokens=256, mask=0.15, **changes)
    losses = [point["loss"] for point in record["curve"]]
    assert losses[0] == pytest.approx(4.1, abs=0.2)  # ln 60: it knows nothing
    assert losses[-1] < losses[0] - 1.5
    held_out = [p["held_out_loss"] for p in record["curve"] if "held_out_loss" in p]
    assert len(held_out) == steps / 50
    assert held_out[-1] == record["held_out_loss"] < losses[0] - 1
    assert record["steps"] == steps
    assert not (tmp_path / "m" / "states").exists()


@pytest.mark.parametrize("kind", ["gpt_neox", "bert"])
def test_accumulation_changes_nothing_but_rounding(kind, train, tmp_path):
    """A step has an odd number of rows, so that the parts are unequal."""
    one = train(kind, tmp_path / "one", steps=6, optimizer="adamw", batch_tokens=110)
    many = train(
        kind, tmp_path / "many", steps=6, optimizer="adamw", batch_tokens=110, accumulation=4
    )
    for a, b in zip(one["curve"], many["curve"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["tokens"] == b["tokens"]
    first, second = (weights(tmp_path / name / "states" / "step6") for name in ("one", "many"))
    for name in first:
        assert torch.allclose(first[name], second[name], atol=2e-3), name


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
def test_folders_are_ordinary_ones(kind, train, untrained, tokenizer, tmp_path):
    out = tmp_path / "m"
    record = train(kind, out, checkpoints=[0, 4, 12], states="last")
    expected = ["final", "run.json", "states", "step0", "step12", "step4", "training.json"]
    assert sorted(path.name for path in out.iterdir()) == expected
    assert [path.name for path in (out / "states").iterdir()] == ["step12"]
    for step in (0, 4, 12):
        folder = out / f"step{step}"
        model, info = AUTO[kind].from_pretrained(folder, output_loading_info=True)
        assert not any(info.values()), info
        assert model.dtype == torch.float16
        known = AutoTokenizer.from_pretrained(folder)
        assert known.get_vocab() == tokenizer(kind).get_vocab()
        assert len(known) == model.config.vocab_size
        inside = json.loads((folder / "training.json").read_text())
        assert inside["steps"] == step
        assert inside["curve"] == [p for p in record["curve"] if p["step"] <= step]
        assert "held_out_loss" in inside["curve"][-1]
    begun = untrained(kind).half().state_dict()
    stored = weights(out / "step0")
    assert all(torch.equal(stored[name], begun[name]) for name in stored)
    exact = weights(out / "states" / "step12")
    assert {tensor.dtype for tensor in exact.values()} == {torch.float32}
    final = weights(out / "final")
    assert all(torch.equal(final[name], exact[name].half()) for name in final if name in exact)
    assert json.loads((out / "training.json").read_text())["curve"] == record["curve"]


def test_weights_can_be_written_in_fp32(train, tmp_path):
    train("bert", tmp_path / "m", steps=2, weights="float32")
    assert {t.dtype for t in weights(tmp_path / "m" / "final").values()} == {torch.float32}


def test_a_finished_run_is_not_run_again(train, tmp_path):
    out = tmp_path / "m"
    record = train("bert", out)
    before = weights(out / "final")
    shutil.rmtree(out / "final")
    again = train("bert", out, callbacks=[Fail(0), Fail(12)])
    assert again["curve"] == record["curve"]
    assert same(weights(out / "final"), before)


def test_a_folder_of_another_run_is_refused(train, tmp_path):
    out = tmp_path / "m"
    train("bert", out, stop_at=4)
    with pytest.raises(InputError, match=r"other settings \(training.lr\)"):
        train("bert", out, lr=1e-3)
    with pytest.raises(InputError, match=r"resume_step=3: .* there are: 4"):
        train("bert", out, resume_step=3)
    assert train("bert", out, states="last", threads=None)["finished"]  # these decide nothing


class Unrepeatable(TrainerCallback):
    """Does what torch has no kernel for that gives the same result each time."""

    def on_step_begin(self, args, state, control, **more):
        torch.empty(5).put_(torch.tensor([1, 1]), torch.ones(2))


def test_an_operation_that_is_not_repeatable_is_refused(train, tmp_path):
    with pytest.raises(InputError, match="put_ does not have a deterministic implementation"):
        train("bert", tmp_path / "m", callbacks=[Unrepeatable()])
    assert not torch.are_deterministic_algorithms_enabled()
    train("bert", tmp_path / "n", callbacks=[Unrepeatable()], deterministic=False)


def test_a_loss_that_is_not_finite_ends_a_run(train, tmp_path):
    with pytest.raises(InputError, match="loss at step 3 is not finite"):
        train("bert", tmp_path / "m", callbacks=[Spoil()], checkpoints=[3])
    assert not list(tmp_path.glob("m/step*"))
    assert not list(tmp_path.glob("m/states/step*"))


class Spoil(TrainerCallback):
    """Makes a weight infinite after the second step."""

    def on_step_end(self, args, state, control, model, **more):
        if state.global_step == 2:
            model.get_input_embeddings().weight.data[9] = torch.inf


def test_seconds_end_a_run(train, tmp_path):
    record = train("gpt_neox", tmp_path / "m", steps=10**6, seconds=0.5)
    assert 1 < record["steps"] < 10**6
    assert record["finished"]
    assert record["curve"][-1]["learning_rate"] < 1e-3
    assert not (tmp_path / "m" / "states").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_error(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        train("bert", tmp_path / "file" / "m", checkpoints=[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "sgd"}, "muon, adamw"),
        ({"checkpoints": [5, 20], "steps": 10}, r"\[20\] are not among the steps 0 to 10"),
        ({"steps": 0}, "training.steps=0"),
        ({"seconds": 0}, "training.seconds=0"),
        ({"mask": 1.0}, "training.mask=1.0"),
        ({"lr": math.nan}, "training.lr=nan"),
        ({"betas": [0.9]}, "two numbers"),
        ({"device": "cuda"}, "sees no GPU"),
    ],
)
def test_impossible_settings_are_refused(changes, said, tmp_path):
    if "device" in changes and torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(InputError, match=said):
        arguments(TrainingConfig(**changes), 0, tmp_path)
