"""Fine-tuning: the language-model head is kept, what is compressed stays so, runs are resumed."""

import copy
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.pytorch_utils import Conv1D

from src.benchmarks.items import Labelled
from src.benchmarks.task_head import HEAD, read_head
from src.compression.none import NoneConfig
from src.compression.prune import PruneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import METHODS, compress
from src.compression.uniform import UniformConfig
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.scoring.batching import merge
from src.scoring.engine import Engine
from src.scoring.requests import Embedding
from src.statistics.config import StatisticsConfig
from src.system.config import SystemConfig
from src.training.examples import ExampleBatches, encode
from src.training.finetuning import Tuning, finetune, prepare_weights, task_model
from src.training.folders import save_model
from src.training.held import PRUNED, ROUNDED, hold, unheld
from src.training.scores import lines, score_checkpoints, training_apart
from src.training.task_model import keep_head, task_loss
from src.training.tuning_config import TuningConfig, TuningLoopConfig
from tests.checkpoints import CAUSAL, MASKED

CPU = torch.device("cpu")
TEXTS = [
    "The nurse was kind.",
    "He stayed at home with her grandmother, and cooked.",
    "People are cold.",
    "Many old men are strong; most young women are clever drivers.",
]


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_the_language_model_s_head_survives_changed_embeddings_and_a_round_trip(
    name, load, tmp_path
):
    subject, ids = load(name), torch.arange(5, 25)[None]
    model, before = subject.model, logits(subject.model, ids)
    kept = model.get_output_embeddings().weight.detach().clone()
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert keep_head(model) == tied
    assert torch.equal(logits(model, ids), before)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    assert torch.equal(model.get_output_embeddings().weight, kept)
    after = logits(model, ids)
    assert not torch.allclose(after, before)
    (tmp_path / "tuned").mkdir()
    save_model(model, subject.text.tokenizer, tmp_path / "tuned", torch.float32)
    again = load_subject(ModelConfig(name=name, id=str(tmp_path / "tuned")), CPU, "auto")
    assert torch.equal(logits(again.model, ids), after)


def examples(second=False):
    return [
        Labelled(str(at), "overall", str(at), "sst2", text, TEXTS[-at] if second else None, at % 2)
        for at, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_training_and_scoring_see_the_same_state_of_a_text(name, pooling, load):
    subject = load(name)
    ids, labels = encode(examples(second=name != "roberta"), subject.text, 30)
    engine = Engine(subject, 2048, 2**25)
    forwards, _ = merge([Embedding(row, pooling) for row in ids])
    asked = engine.run(forwards)
    model = task_model(subject, TuningConfig(pooling=pooling, dropout=0.0), 0).eval()
    (batch,) = ExampleBatches(ids, labels, 10**6, 0, CPU).parts(0)
    with torch.no_grad():
        trained = model(batch["input_ids"], batch["attention_mask"])
        scored = model.head(torch.from_numpy(np.stack(asked)))
    lengths = batch["attention_mask"].sum(dim=1)
    order = [tuple(row[:n].tolist()) for row, n in zip(batch["input_ids"], lengths, strict=True)]
    wanted = torch.stack([scored[[f.ids for f in forwards].index(row)] for row in order])
    torch.testing.assert_close(trained, wanted, atol=1e-5, rtol=1e-5)


def test_texts_are_cut_to_what_the_head_was_trained_on(load):
    for name in ("bert", "gpt2"):
        text = load(name).text
        whole = text.encode_pair(TEXTS[1], TEXTS[3], 1000)
        cut = text.encode_pair(TEXTS[1], TEXTS[3], 12)
        assert len(whole) > 12
        assert len(cut) == 12
        one = text.encode_pair(TEXTS[3], None, 12)
        assert one[:5] == text.encode_pair(TEXTS[3], None, 1000)[:5]
    bert, gpt2 = load("bert").text, load("gpt2").text
    assert bert.decode(bert.encode_pair("he", "she", 9)) == "[CLS] he [SEP] she [SEP]"
    assert gpt2.decode(gpt2.encode_pair("he", "she", 9)) == "<|endoftext|>he\nshe"


def test_every_example_comes_once_an_epoch_whatever_the_parts():
    ids = [(1,) * n for n in (3, 9, 4, 4, 2, 7, 5)]
    labels = torch.arange(7.0)

    def seen(split, steps):
        made = ExampleBatches(ids, labels, 12, 3, CPU, split)
        parts = [part for step in range(steps) for part in made.parts(step)]
        return [part["labels"].tolist() for part in parts if part["weight"]]

    def every(split):
        return sorted(int(at) for one in seen(split, steps) for at in one)

    whole = ExampleBatches(ids, labels, 12, 3, CPU)
    steps = len(whole._epoch(0))
    assert every((1, 0, 1)) == [0, 1, 2, 3, 4, 5, 6]
    assert all(sum(len(ids[int(at)]) for at in one) <= 12 for one in seen((1, 0, 1), steps))
    assert sorted(every((2, 0, 2)) + every((2, 1, 2))) == [0, 1, 2, 3, 4, 5, 6]
    assert whole.tokens(steps) == sum(map(len, ids))
    later = whole.parts(steps + 1)[0]["labels"].tolist()
    assert later == ExampleBatches(ids, labels, 12, 3, CPU).parts(steps + 1)[0]["labels"].tolist()
    assert whole.tokens(steps + 1) - whole.tokens(steps) == len(
        [token for at in whole.parts(steps)[0]["labels"] for token in ids[int(at)]]
    )


@pytest.mark.parametrize("task", ["sst2", "stsb"])
def test_the_loss_of_a_step_is_the_mean_over_its_examples(task, load):
    from src.benchmarks.task_files import TASKS

    subject = load("bert")
    model = task_model(subject, TuningConfig(task=task, dropout=0.0), 0).eval()
    ids, labels = encode(examples(), subject.text, 30)
    loss = task_loss(TASKS[task])
    parts = ExampleBatches(ids, labels, 10**6, 0, CPU, (3, 0, 1)).parts(0)
    with torch.no_grad():
        found = sum(float(loss(model, part)) * part["weight"] for part in parts)
        alone = []
        for row, label in zip(ids, labels, strict=True):
            output = model(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long))[0]
            if task == "sst2":
                alone.append(-float(output.log_softmax(0)[int(label)]))
            else:
                alone.append(float((output[0] - label) ** 2))
    assert found == pytest.approx(sum(alone) / len(alone), abs=1e-5)


def steps(model, subject, count=4, lr=1e-2):
    """Train for a few steps with weight decay, as the loop does."""
    used = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    ids, labels = encode(examples(), subject.text, 30)
    (batch,) = ExampleBatches(ids, labels, 10**6, 0, CPU).parts(0)
    for _ in range(count):
        loss = torch.nn.functional.cross_entropy(
            model(batch["input_ids"], batch["attention_mask"]), batch["labels"].long()
        )
        used.zero_grad()
        loss.backward()
        used.step()


def test_pruned_weights_stay_zero_and_the_others_move(load):
    subject = load("bert")
    prepare_weights(subject, "original")
    model = task_model(subject, TuningConfig(dropout=0.0), 0)
    settings = PruneConfig(sparsity=0.5)
    hold(subject, settings)
    name = "bert.encoder.layer.0.intermediate.dense"
    weight = subject.model.get_submodule(name).weight
    before = weight.detach().clone()
    steps(model, subject)
    assert torch.equal(weight == 0, before == 0)
    assert (before == 0).double().mean() == pytest.approx(0.5, abs=0.01)
    assert not torch.equal(weight, before)
    tuned = weight.detach().clone()
    # Where the checkpoint is measured the same method is applied to it: it finds nothing to do.
    subject.model.requires_grad_(False)
    METHODS["prune"].transform(subject, settings)
    assert torch.equal(subject.model.get_submodule(name).weight, tuned)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_pruned_weights_stay_zero_in_a_run_of_any_optimiser(
    name, optimizer, checkpoint, data, tmp_path
):
    loop = replace(LOOP, steps=4, checkpoints=[], optimizer=optimizer, clip=0.01)
    run = run_of(checkpoint, name, compression=PruneConfig(sparsity=0.5), training=loop)
    with training_apart():
        finetune(run, data, tmp_path / "out")
    before, after = (weights(tmp_path / "out" / step) for step in ("step0", "step4"))
    halved = [key for key, weight in before.items() if 0.4 < (weight == 0).double().mean() < 0.6]
    assert len(halved) >= 8
    for key in halved:
        assert torch.equal(after[key] == 0, before[key] == 0)
        assert not torch.equal(after[key], before[key])


@pytest.mark.parametrize("name", ["bert", "gpt2"])
@pytest.mark.parametrize(
    "settings",
    [
        UniformConfig(weight_bits=3),
        UniformConfig(weight_bits=1.58, granularity="group", group_size=16),
        UniformConfig(weight_bits=4, scheme="affine", modules="with_embeddings"),
        PtqConfig(conv1d=True),
    ],
    ids=["3 bits", "ternary", "embeddings too", "ptq"],
)
def test_a_rounded_model_is_tuned_as_it_will_be_measured(name, settings, load):
    subject = load(name)
    prepare_weights(subject, "original")
    model = task_model(subject, TuningConfig(dropout=0.0), 0)
    hold(subject, settings)
    parameters = {id(p) for p in model.parameters()}
    steps(model, subject)
    with unheld(subject.model):
        measured = replace(subject, model=copy.deepcopy(subject.model).requires_grad_(False))
    trained = {id(p) for p in model.parameters()}
    receipt = compress(measured, settings)
    assert receipt.relative_error > 0
    for change in receipt.changes:
        new = measured.model.get_submodule(change.module).dense_weight()
        held = subject.model.get_submodule(change.module).weight.detach()
        held = held.t() if isinstance(subject.model.get_submodule(change.module), Conv1D) else held
        torch.testing.assert_close(held, new, atol=1e-6, rtol=1e-6)
    assert trained == parameters  # an optimiser goes on with them
    if not isinstance(settings, PtqConfig):  # which rounds activations when it is measured
        ids = torch.arange(5, 25)[None]
        torch.testing.assert_close(
            logits(subject.model, ids), logits(measured.model, ids), atol=1e-4, rtol=1e-4
        )


def test_a_compression_that_leaves_nothing_to_tune_within_is_unsupported(load):
    for kind in sorted(set(METHODS) - {*PRUNED, *ROUNDED, "noise"}):  # noise needs a `like`
        settings = METHODS[kind].settings()
        with pytest.raises(Unsupported, match=r"cannot be held.*src\.export"):
            hold(load("bert"), settings)


TASK = "good film\t1\nbad film\t0\n"


@pytest.fixture
def data(tmp_path):
    """A task that its words tell: files as SST-2 has them."""
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    kind, cold = ("kind and warm people", "1"), ("cold old men", "0")
    rows = [f"{'the ' * n}{text}\t{label}" for n in range(8) for text, label in (kind, cold)]
    (folder / "train.tsv").write_text("\n".join(rows) + "\n")
    (folder / "dev.tsv").write_text("\n".join(rows[:8]) + "\n")
    return DataFiles(DataConfig(root=str(tmp_path / "data")))


LOOP = TuningLoopConfig(
    steps=30, batch_tokens=64, lr=8e-3, device="cpu", checkpoints=[10], log_every=5
)


def run_of(checkpoint, name="bert", **changes):
    model = ModelConfig(name=name, id=str(checkpoint(name)))
    given = {"compression": NoneConfig(), "tuning": TuningConfig(longest=20), "training": LOOP}
    return Tuning(model, **(given | changes))


@pytest.mark.parametrize("name", ["bert", "gpt_neox"])
def test_a_run_learns_its_task_and_leaves_ordinary_checkpoints(name, checkpoint, data, tmp_path):
    out = tmp_path / "out"
    with training_apart():
        record = finetune(run_of(checkpoint, name), data, out)
    assert record["curve"][-1]["loss"] < 0.3 < record["curve"][0]["loss"]
    scores = score_checkpoints(out, "sst2", data, SystemConfig(device="cpu"), StatisticsConfig())
    accuracy = {s["step"]: s["value"] for s in scores if s["metric"] == "accuracy"}
    assert list(accuracy) == [0, 10, 30]
    assert accuracy[30] == 100
    assert [json.loads((out / "scores.json").read_text())[0]["benchmark"]] == ["sst2"]
    assert any("step 30: sst2 accuracy 100.0 [" in line for line in lines(scores))
    first, last = (
        load_subject(ModelConfig(name=name, id=str(out / step)), CPU, "auto").model
        for step in ("step0", "step30")
    )
    original = load_subject(ModelConfig(name=name, id=str(checkpoint(name))), CPU, "auto").model
    ids = torch.arange(5, 25)[None]
    assert torch.equal(logits(first, ids), logits(original, ids))
    assert not torch.allclose(logits(last, ids), logits(original, ids), atol=1e-3)
    head = original.get_output_embeddings().weight
    assert torch.equal(last.get_output_embeddings().weight, head)
    assert read_head(out / "step30" / HEAD).pooling == ("first" if name == "bert" else "last")


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors") | load_file(folder / HEAD)


def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(checkpoint, data, tmp_path):
    pruned = run_of(checkpoint, compression=PruneConfig(sparsity=0.5))
    with training_apart():
        finetune(pruned, data, tmp_path / "whole")
        finetune(replace(pruned, training=replace(LOOP, stop_at=13)), data, tmp_path / "in parts")
        finetune(pruned, data, tmp_path / "in parts")
    one, two = (weights(tmp_path / name / "step30") for name in ("whole", "in parts"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    with training_apart(), pytest.raises(InputError, match=r"other settings \(seed\)"):
        finetune(replace(pruned, seed=1), data, tmp_path / "whole")


def test_training_leaves_torch_as_it_was(checkpoint, data, tmp_path):
    assert not torch.are_deterministic_algorithms_enabled()
    threads = torch.get_num_threads()
    with training_apart():
        finetune(
            run_of(checkpoint, training=replace(LOOP, steps=1, checkpoints=[], threads=2)),
            data,
            tmp_path / "out",
        )
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads


def test_the_program_tunes_scores_and_names_what_is_wrong(
    checkpoint, data, tmp_path, monkeypatch, capsys
):
    from src import finetune
    from src.training import entry

    out = tmp_path / "out"

    def run(*arguments):
        base = ["model=hf", f"model.id={checkpoint('bert')}", "tracker=none", f"out={out}"]
        base += ["training.steps=2", "training.batch_tokens=64", "training.device=cpu"]
        base += [f"data.root={data.config.root}", "system.device=cpu", "system.progress=false"]
        monkeypatch.setattr(sys, "argv", ["finetune", *base, *arguments])
        with pytest.raises(SystemExit) as ended:
            entry.main(finetune.job, "finetune")
        return ended.value.code, capsys.readouterr().out

    assert "tuning.pooling=max is not possible" in run("tuning.pooling=max")[0]
    assert "tasks" in run("tuning.tasks=sst2")[0]
    assert "compression=drop_layers cannot be held" in run("compression=drop_layers")[0]
    assert "compression=prune+uniform cannot" in run("compression=[prune,uniform]")[0]
    assert "is not tuned here" in run("model=finetuned")[0]
    assert not (out / "step0").exists()
    code, printed = run("compression=uniform_4")
    assert code is None
    assert "step 0: sst2 accuracy " in printed
    assert "step 2: sst2 accuracy " in printed
    scores = json.loads((out / "scores.json").read_text())
    assert {row["step"] for row in scores} == {0, 2}
    again = run("compression=uniform_4")[1]  # it is found finished
    assert "loss=" not in again
    assert again.splitlines() == printed.splitlines()[-len(again.splitlines()) :]


def test_settings_that_are_not_possible_are_named():
    for settings, message in (
        ({"task": "mnli"}, "tuning.task=mnli"),
        ({"pooling": "max"}, "tuning.pooling=max"),
        ({"head": "new"}, "tuning.head=new"),
        ({"longest": 1}, "tuning.longest=1"),
        ({"dropout": 1.0}, "tuning.dropout=1.0"),
        ({"dropout": math.nan}, "tuning.dropout=nan"),
    ):
        with pytest.raises(InputError, match=message):
            TuningConfig(**settings)
