"""The tiny models' recipe on made-up text, and the models it made that are shipped."""

import json
import lzma
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from src.errors import InputError
from src.training import tiny
from src.training import tiny_text as rows
from src.training.loop import Objective, Recipe

AUTO = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM}
SHIPPED = Path(tiny.__file__).parents[1] / "models" / "tiny"
ENGLISH = [
    "The little boy went to the market with his mother.",
    "She said that the meeting would begin in the morning.",
    "The company was founded in the city in the nineteenth century.",
    "He opened the door and looked at the people in the room.",
    "Most of the students at the school live in the same town.",
    "The river runs through the valley and into the sea.",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sixty documents of an artificial language with a strict word order."""
    rng = random.Random(1)
    nouns, verbs = ["cat", "dog", "bird", "fish"], ["sees", "likes", "hears"]

    def sentence():
        return f"The {rng.choice(nouns)} {rng.choice(verbs)} the small {rng.choice(nouns)}."

    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n\n".join(" ".join(sentence() for _ in range(12)) for _ in range(60)))
    return path


def recipe(kind, **changes):
    small = {"steps": 30, "vocab": 320, "hidden": 32, "layers": 1, "heads": 2, "length": 32}
    return Recipe(kind, **{**small, "batch": 256, **changes})


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


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_training_lowers_the_loss_and_is_repeatable(kind, corpus, tmp_path):
    first = tiny.train(corpus, tmp_path / "a", recipe(kind))
    second = tiny.train(corpus, tmp_path / "b", recipe(kind))
    other = tiny.train(corpus, tmp_path / "c", recipe(kind, seed=1))
    losses = [point["loss"] for point in first["curve"]]
    assert first["trained_steps"] == 30
    assert losses[-1] < losses[0] - 1
    assert first["held_out_loss"] < losses[0] - 1
    assert losses == [point["loss"] for point in second["curve"]]
    assert first["held_out_loss"] == second["held_out_loss"]
    assert losses != [point["loss"] for point in other["curve"]]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_the_folder_is_an_ordinary_one(kind, corpus, tmp_path):
    record = tiny.train(corpus, tmp_path / "m", recipe(kind, steps=3))
    check_loads(tmp_path / "m", kind)
    assert json.loads((tmp_path / "m" / "training.json").read_text()) == record
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def check_loads(folder, kind):
    """Load through the Auto classes; no key is missing or left over; fp16 on disk."""
    model, info = AUTO[kind].from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert (
        type(model).__name__ == json.loads((folder / "config.json").read_text())["architectures"][0]
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert set(tokenizer("The cat.")) <= {"input_ids", "attention_mask"}
    return model.eval(), tokenizer


def test_causal_loss_is_the_mean_negative_log_probability(corpus):
    """Against sentences scored a token at a time, with and without the start token."""
    settings = recipe("causal")
    tokenizer = rows.causal_tokenizer(rows.read_documents(corpus), settings.vocab, 64)
    torch.manual_seed(0)
    model = tiny.build(settings, tokenizer).eval()
    objective = Objective(settings, tokenizer, seed=0)
    sentence = "The cat sees the small dog."
    ids = tokenizer(sentence).input_ids
    batch = torch.tensor([[tokenizer.bos_token_id, *ids]])
    seen = {round(objective(model, batch).item(), 5) for _ in range(20)}
    with torch.inference_mode():
        logprobs = model(batch).logits.log_softmax(-1)[0]
        without = model(batch[:, 1:]).logits.log_softmax(-1)[0]
    full = -sum(logprobs[i, token].item() for i, token in enumerate(ids)) / len(ids)
    rest = -sum(without[i, token].item() for i, token in enumerate(ids[1:])) / (len(ids) - 1)
    assert sorted(seen) == pytest.approx(sorted([full, rest]), abs=2e-5)
    assert full == pytest.approx(-one_by_one(model, tokenizer, sentence), abs=1e-5)


def test_masked_loss_counts_masked_places_only(corpus):
    settings = recipe("masked")
    tokenizer = rows.masked_tokenizer(rows.read_documents(corpus), settings.vocab, 64)
    torch.manual_seed(0)
    model = tiny.build(settings, tokenizer).eval()
    ids = torch.tensor([tokenizer("The cat sees the small dog. The bird sees the fish.").input_ids])
    objective, twin = (Objective(settings, tokenizer, seed=3) for _ in range(2))
    batch = twin.collator(list(ids))
    with torch.inference_mode():
        wanted = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        assert objective(model, ids).item() == pytest.approx(wanted.item(), abs=1e-5)
        nothing = Objective(recipe("masked", mask=1e-9), tokenizer, seed=0)
        assert nothing(model, ids).item() == 0.0


def test_a_compressed_corpus_is_the_same_corpus(corpus, tmp_path):
    packed = tmp_path / "text.xz"
    packed.write_bytes(lzma.compress(corpus.read_bytes()))
    assert rows.read_documents(packed) == corpus.read_text().split("\n\n")


def test_an_untrained_masked_model_looks_near(corpus):
    """The ratio of attention to the next places over that to far ones; 1 in an ordinary BERT."""
    settings = recipe("masked")
    tokenizer = rows.masked_tokenizer(rows.read_documents(corpus), settings.vocab, 64)
    torch.manual_seed(0)
    built = tiny.build(settings, tokenizer)

    def ratio(model):
        ids = torch.full((1, 30), tokenizer.convert_tokens_to_ids("the"))
        with torch.inference_mode():
            attention = model.eval()(ids, output_attentions=True).attentions[0][0].mean(0)
        apart = (torch.arange(30)[:, None] - torch.arange(30)).abs()
        return (attention[apart == 1].mean() / attention[apart >= 10].mean()).item()

    assert ratio(built) > 1.5
    assert ratio(type(built)(built.config)) == pytest.approx(1, abs=0.2)


def test_rows_begin_at_sentences_and_batches_cover_an_epoch(corpus):
    documents = rows.read_documents(corpus)
    tokenizer = rows.causal_tokenizer(documents, 320, 64)
    grouped = rows.encode_rows(documents, tokenizer, 32, random.Random(0))
    for size, group in grouped.items():
        assert group.shape[1] == size <= 32
        assert (group[:, 0] == tokenizer.bos_token_id).all()
        assert all(text.startswith("The ") for text in tokenizer.batch_decode(group[:, 1:]))
    count = sum(len(group) for group in grouped.values())
    drawn, epoch = 0, []
    for batch in rows.batches(grouped, 128, torch.Generator().manual_seed(0)):
        assert batch.numel() <= 128
        drawn += len(batch)
        epoch += [tuple(row) for row in batch.tolist()]
        if drawn == count:
            break
    wanted = [tuple(row) for group in grouped.values() for row in group.tolist()]
    assert sorted(epoch) == sorted(wanted)


def test_seconds_end_a_run(corpus, tmp_path):
    record = tiny.train(corpus, tmp_path / "m", recipe("causal", steps=None, seconds=0.3))
    assert 0.3 <= record["curve"][-1]["seconds"] < 5
    assert record["trained_steps"] > 1


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("encoder", {}, "kind"),
        ("causal", {"steps": None}, "--steps or --seconds"),
        ("causal", {"length": 4}, "length"),
        ("causal", {"heads": 3}, "heads"),
    ],
)
def test_impossible_recipes_are_refused(kind, changes, said):
    with pytest.raises(InputError, match=said):
        recipe(kind, **changes)


def test_bad_corpora_are_refused_before_anything_is_written(corpus, tmp_path):
    short, wordless, taken = (tmp_path / name for name in ("short", "wordless", "taken"))
    short.write_text("one\n\ntwo")
    wordless.write_text("\n\n".join("ab" for _ in range(20)))
    taken.mkdir()
    binary, broken = tmp_path / "binary.txt", tmp_path / "broken.xz"
    binary.write_bytes(b"\xff\xfe\x00")
    broken.write_bytes(lzma.compress(corpus.read_bytes())[:-20])
    out = tmp_path / "out"
    for path, to, said in [
        (tmp_path / "none.txt", out, "no corpus"),
        (short, out, "2 documents"),
        (binary, out, "no UTF-8 text"),
        (broken, out, "no UTF-8 text"),
        (wordless, out, "six tokens"),
        (corpus, taken, "exists"),
    ]:
        with pytest.raises(InputError, match=said):
            tiny.train(path, to, recipe("causal"))
    assert not out.exists()


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_shipped_model_is_trained(kind):
    """It loads cleanly, is small, and knows English word order: no random model does."""
    folder = SHIPPED / kind
    model, tokenizer = check_loads(folder, kind)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
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
