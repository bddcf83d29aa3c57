"""The models that ship with the project."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import src.models
from src import schema
from src.models.config import TINY_PYTHIA_SIZES, TINY_PYTHIA_STEPS
from src.training.entry import typed as typed_run
from src.training.schema import CONF
from src.training.schema import register as register_training

AUTO = {True: AutoModelForCausalLM, False: AutoModelForMaskedLM}
SHIPPED = Path(src.models.__file__).parent / "tiny"
FAMILY = [f"pythia-{size}" for size in TINY_PYTHIA_SIZES]
LAST = [f"{name}/step{TINY_PYTHIA_STEPS[-1]}" for name in FAMILY]
MASKED = ["bert", "bert_large", "distilbert", "roberta"]
ENGLISH = [
    "The little boy went to the market with his mother.",
    "She said that the meeting would begin in the morning.",
    "The company was founded in the city in the nineteenth century.",
    "He opened the door and looked at the people in the room.",
    "Most of the students at the school live in the same town.",
    "The river runs through the valley and into the sea.",
]


def one_by_one(model, tokenizer, sentence):
    """Mean log-probability of a sentence's tokens, a token at a time, by the plain definition."""
    ids = tokenizer(sentence, return_tensors="pt").input_ids
    special = set(tokenizer.all_special_ids)
    total, count = 0.0, 0
    for place, token in enumerate(ids[0].tolist()):
        if token in special:
            continue
        if tokenizer.mask_token:
            asked = ids.clone()
            asked[0, place] = tokenizer.mask_token_id
            logits = model(asked).logits[0, place]
        else:
            before = [tokenizer.bos_token_id, *ids[0, :place].tolist()]
            logits = model(torch.tensor([before])).logits[0, -1]
        total, count = total + logits.log_softmax(-1)[token].item(), count + 1
    return total / count


def loaded(name):
    """Load through the Auto classes; no key is missing or left over; fp16 on disk."""
    folder, causal = SHIPPED / name, name.startswith("pythia")
    model, info = AUTO[causal].from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in stored.values())
    assert (
        type(model).__name__ == json.loads((folder / "config.json").read_text())["architectures"][0]
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert set(tokenizer("The cat.")) <= {"input_ids", "attention_mask"}
    return model.eval(), tokenizer


def english(name):
    model, tokenizer = loaded(name)
    with torch.inference_mode():
        return [one_by_one(model, tokenizer, sentence) for sentence in ENGLISH]


@pytest.mark.parametrize("name", [*LAST, *MASKED])
def test_shipped_model_is_trained(name):
    """It loads cleanly and knows English word order: no random model does."""
    model, tokenizer = loaded(name)
    rng = random.Random(0)
    better = []
    with torch.inference_mode():
        for sentence in ENGLISH:
            words = sentence.split()
            for _ in range(2):
                shuffled = " ".join(rng.sample(words, len(words)))
                scores = [one_by_one(model, tokenizer, text) for text in (sentence, shuffled)]
                assert scores[0] > -6.0
                better.append(scores[0] > scores[1])
    assert sum(better) >= 11, better


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_every_checkpoint_of_the_family_knows_more_english_than_the_one_before(name):
    """From about chance (ln 4096 = 8.3 nats a token) on."""
    means = [sum(english(f"{name}/step{step}")) / len(ENGLISH) for step in TINY_PYTHIA_STEPS]
    assert means == sorted(means)
    assert means[0] < -7
    assert means[-1] > means[0] + 2.5


def test_the_larger_ones_know_more():
    small, large = (sum(english(name)) for name in LAST)
    assert large > small
    assert sum(english("bert_large")) > sum(english("bert"))


def test_what_can_be_chosen_is_what_is_shipped():
    for name in FAMILY:
        there = {path.name for path in (SHIPPED / name).glob("step*")}
        assert there == {f"step{step}" for step in TINY_PYTHIA_STEPS}
    folders = {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    assert folders == {*FAMILY, *MASKED}


def test_the_suite_is_small_and_holds_no_path_of_another_machine():
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 45e6
    assert max(path.stat().st_size for path in files) < 16e6
    for path in files:
        if path.suffix in (".json", ".md") and path.name != "tokenizer.json":
            text = path.read_text(encoding="utf-8")
            assert "/tmp" not in text
            assert "/home" not in text
            assert "/root" not in text


@pytest.mark.parametrize("name", [*FAMILY, *MASKED])
def test_the_record_is_of_the_recipe_and_the_loss_falls(name):
    """What the recipe says is what the shipped model was trained with."""
    record = json.loads((SHIPPED / name / "training.json").read_text())
    recipe = f"tiny_{name.replace('-', '_')}"
    program = "distill" if name == "distilbert" else "pretrain"
    given = ["corpus.sources.text.path=x", f"recipe={recipe}"]
    if program == "distill":
        given.append("distillation.teacher=tiny_bert/final")
    register_training()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = typed_run(compose(program, given))
    free = ("threads", "states")
    wanted = {key: value for key, value in vars(config.training).items() if key not in free}
    assert {key: record["run"]["training"][key] for key in wanted} == wanted
    part = "distillation" if program == "distill" else "architecture"
    assert record["run"][part] == vars(getattr(config, part))
    assert record["steps"] == config.training.steps
    assert record["run"]["data"]["corpus"]["length"] == config.corpus.length
    held_out = [p["held_out_loss"] for p in record["curve"] if p.get("held_out_loss")]
    assert all(after < before + 0.02 for before, after in pairwise(held_out))
    assert held_out[-1] == min(held_out) < held_out[0] - 0.05
    assert record["held_out_loss"] == held_out[-1]


@pytest.mark.parametrize(
    ("overrides", "folder"),
    [
        (["model=tiny"], LAST[1]),
        (["model=tiny_pythia", "model.size=0.4m", "model.step=256"], "pythia-0.4m/step256"),
        (["model=tiny_masked"], "bert"),
        *([[f"model=tiny_{name}"], name] for name in MASKED),
    ],
)
def test_options_name_shipped_folders(overrides, folder):
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=str(schema.ROOT / "conf")):
        model = schema.typed(compose("config", overrides)).model
    assert Path(model.id) == SHIPPED / folder
    assert (Path(model.id) / "model.safetensors").is_file()
