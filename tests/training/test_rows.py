"""Tokenizers in three shapes, rows of text, and what is kept of them on disk."""

import json
import random
import re
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import BertTokenizer, PreTrainedTokenizerFast

from src.errors import InputError
from src.training import encode, rows
from src.training import tokenizers as kinds
from src.training.corpus import Document
from src.training.data_config import CorpusConfig, SourceConfig, TokenizerConfig
from src.training.transforms.drop_groups import DropGroupsConfig

NOUNS = ["cat", "dog", "bird", "fish", "house", "river", "garden", "Zoë"]
VOCABULARY = {"gpt_neox": 300, "bert": 130, "roberta": 300}


def document(i):
    rng = random.Random(i)
    line = (
        f"The {rng.choice(NOUNS)} saw the {rng.choice(NOUNS)}'s {rng.choice(NOUNS)}."
        for _ in range(9)
    )
    return f"Text {i}. " + " ".join(line)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(document(i) for i in range(60)), encoding="utf-8")
    return path


def corpus(text, cache, **settings):
    given = {"held_out": 0.2, "length": 32, **settings}
    return CorpusConfig({"text": SourceConfig(str(text))}, cache=str(cache), **given)


def learn(kind, vocab_size=None):
    size = vocab_size or VOCABULARY[kind]
    return kinds.learn(TokenizerConfig(kind, size), [document(i) for i in range(60)], 64)


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
def test_every_text_comes_back(kind):
    tokenizer = learn(kind)
    sentence = "The cat saw Zoë's house."
    ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    wanted = sentence if kind != "bert" else "the cat saw zoe ' s house."
    assert tokenizer.decode(ids) == wanted
    assert len(tokenizer) == VOCABULARY[kind]
    assert set(tokenizer(sentence)) <= {"input_ids", "token_type_ids", "attention_mask"}


def test_roberta_frames_and_masks_as_the_real_one():
    """As the published RoBERTa tokenizer: <s> 0, <pad> 1, </s> 2, <unk> 3, <mask> last."""
    tokenizer = learn("roberta")
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert tokenizer.convert_tokens_to_ids(specials) == [0, 1, 2, 3, 299]
    pair = tokenizer("The cat", "the dog").tokens()
    assert [token for token in pair if token in specials] == ["<s>", "</s>", "</s>", "</s>"]
    inside = tokenizer("The <mask> saw")["input_ids"]
    assert inside == [
        0,
        *tokenizer("The saw")["input_ids"][1:2],
        299,
        *tokenizer(" saw")["input_ids"][1:],
    ]
    alone, spaced = (tokenizer(t, add_special_tokens=False).tokens() for t in ("cat", " cat"))
    assert alone != spaced


def test_gpt_neox_adds_nothing_and_keeps_the_space():
    tokenizer = learn("gpt_neox")
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert tokenizer("the dog").tokens()[-1] == "Ġdog"
    assert tokenizer.mask_token is None


def test_bert_tokenizes_as_the_authors_of_transformers_do(tmp_path):
    """The same vocabulary in transformers' own BertTokenizer."""
    tokenizer = learn("bert")
    vocabulary = tmp_path / "vocab.txt"
    ordered = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    vocabulary.write_text("\n".join(token for token, _ in ordered), encoding="utf-8")
    theirs = BertTokenizer.from_pretrained(str(tmp_path))
    for i in range(60):
        for sentence in (document(i), "Unseen ΩWords, 42 [MASK]!", ""):
            assert tokenizer(sentence)["input_ids"] == theirs(sentence)["input_ids"]


def test_learning_does_not_depend_on_hash_seed_or_threads():
    code = (
        "import sys; sys.path.insert(0, 'tests/training'); from test_rows import learn\n"
        "for kind in ('gpt_neox', 'bert', 'roberta'):\n"
        "    print(learn(kind).backend_tokenizer.to_str())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            cwd=rows.Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_too_little_text_for_a_vocabulary_is_refused():
    with pytest.raises(InputError, match="vocab_size=9999: the text gives"):
        learn("gpt_neox", 9999)


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
def test_rows_are_passages_encoded_by_the_tokenizer_itself(kind):
    """Row by row against the plain way: passages one by one, cut at the end."""
    tokenizer, settings = learn(kind), CorpusConfig({"x": SourceConfig("x")}, length=24)
    documents = [Document(document(i), str(i)) for i in range(20)]
    wanted, cut = [], 0
    for one in documents:
        for passage in encode.passages(one.text, one.rng("passages", 0), 3.0 * 24, 0.5):
            whole = tokenizer(passage)["input_ids"]
            special = 0 if kind == "gpt_neox" else 2
            if len(whole) - special < 6:
                continue
            start = [0] if kind == "gpt_neox" else []
            row = [
                *start,
                *tokenizer(passage, truncation=True, max_length=24 - len(start))["input_ids"],
            ]
            cut += len(start) + len(whole) - len(row)
            wanted.append(tuple(row))
    made = encode.encode(documents, tokenizer, settings)
    got = [tuple(map(int, row)) for group in made.rows.values() for row in group]
    assert sorted(got) == sorted(wanted)
    assert cut == made.cut > 0
    assert list(made.rows) == sorted({len(row) for row in wanted})
    assert {group.dtype for group in made.rows.values()} == {np.dtype("uint16")}


def test_passages_begin_at_sentences_and_lose_nothing():
    rng = random.Random(0)
    text = "One two three. Four five! Six? Seven eight nine.\nTen eleven. " * 40
    parts = list(encode.passages(text, rng, 40, single=0.5))
    assert " ".join(parts).split() == text.split()
    starts = {re.match(r"\w+", part)[0] for part in parts if part.strip()}
    assert starts <= {"One", "Four", "Six", "Seven", "Ten"}
    alone = list(encode.passages(text, rng, 40, single=1.0))
    assert max(len(re.findall(r"[.!?]", part)) for part in alone) == 1
    long = list(encode.passages(text, rng, 40, single=0.0))
    assert min(len(part) for part in long[:-1]) >= 40


def test_rows_are_kept_by_content_not_by_name(text, tmp_path, monkeypatch):
    settings = TokenizerConfig("gpt_neox", 300)
    first = rows.prepare(corpus(text, tmp_path / "kept"), settings)
    monkeypatch.setattr(encode, "encode", None)  # a second encoding would fail
    again = rows.prepare(corpus(text, tmp_path / "kept"), settings)
    assert first.provenance == again.provenance
    assert first.seen.keys() == again.seen.keys()
    assert all((first.seen[size] == again.seen[size]).all() for size in first.seen)
    assert again.provenance["seen"]["tokens"] == sum(g.numel() for g in first.seen.values())
    assert str(tmp_path) not in json.dumps(first.provenance)
    for changed in (
        {"length": 16},
        {"seed": 1},
        {"transform": {"d": DropGroupsConfig(["bird"], mentions=4)}},
    ):
        with pytest.raises(TypeError):
            rows.prepare(corpus(text, tmp_path / "kept", **changed), settings)
    other = tmp_path / "other.txt"
    other.write_text(text.read_text() + "\n\nOne more document.")
    with pytest.raises(TypeError):
        rows.prepare(corpus(other, tmp_path / "kept"), settings)


def test_a_tokenizer_that_is_given_makes_the_rows_it_was_learned_for(text, tmp_path, monkeypatch):
    """So a student finds its teacher's rows, however the teacher's folder lays out its files."""
    settings = TokenizerConfig("bert", 100)
    learned = rows.prepare(corpus(text, tmp_path / "kept"), settings)
    folder = tmp_path / "teacher"
    learned.tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text())))
    monkeypatch.setattr(encode, "encode", None)
    given = rows.prepare(corpus(text, tmp_path / "kept"), TokenizerConfig(path=str(folder)))
    assert given.provenance == learned.provenance


def test_twins_of_changed_text_share_tokenizer_and_held_out_rows(text, tmp_path):
    settings = TokenizerConfig("gpt_neox", 300)
    plain = rows.prepare(corpus(text, tmp_path / "kept"), settings)
    changed = {"transform": {"drop": DropGroupsConfig(["Zoë"], mentions=3)}}
    twin = rows.prepare(corpus(text, tmp_path / "kept", **changed), settings)
    assert twin.provenance["tokenizer"] == plain.provenance["tokenizer"]
    assert twin.held_out.keys() == plain.held_out.keys()
    assert all((twin.held_out[s] == plain.held_out[s]).all() for s in plain.held_out)
    assert 0 < twin.provenance["seen"]["tokens"] < plain.provenance["seen"]["tokens"]


def test_a_failed_encoding_leaves_nothing_behind(tmp_path):
    wordless = tmp_path / "wordless.txt"
    wordless.write_text("\n\n".join("ab" * (i % 3 + 1) for i in range(30)))
    with pytest.raises(InputError, match="6 tokens"):
        rows.prepare(corpus(wordless, tmp_path / "kept"), TokenizerConfig("gpt_neox", 258))
    assert not [
        p for p in (tmp_path / "kept").iterdir() if p.suffix != ".lock" and p.name[0] != "t"
    ]


@pytest.mark.parametrize(
    ("files", "said"),
    [({}, "is no folder"), ({"config.json": "{}"}, "holds no"), ({"slow": "x"}, "holds no")],
)
def test_a_folder_without_a_tokenizer_is_refused(files, said, tmp_path):
    folder = tmp_path / "model"
    for name, content in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=said):
        kinds.load(str(folder))


def test_a_tokenizer_without_a_start_is_refused(tmp_path):
    core = Tokenizer.from_str(learn("gpt_neox").backend_tokenizer.to_str())
    PreTrainedTokenizerFast(tokenizer_object=core).save_pretrained(tmp_path / "m")
    with pytest.raises(InputError, match="neither a mask token nor a start token"):
        kinds.load(str(tmp_path / "m"))
