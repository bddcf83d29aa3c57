"""Documents: reading, mixing, holding out, transforming."""

import lzma
from pathlib import Path

import pytest

from src.errors import InputError
from src.training.corpus import read_documents, split
from src.training.data_config import CorpusConfig, SourceConfig
from src.training.transforms.counterfactual import CounterfactualConfig
from src.training.transforms.drop_groups import DropGroupsConfig


@pytest.fixture
def text(tmp_path):
    """A file of numbered documents; every third is about him, every fifth about a church."""

    def write(name, count, word="note"):
        parts = [
            f"{word} {i}."
            + (" He left." if i % 3 == 0 else "")
            + (" A church." if i % 5 == 0 else "")
            for i in range(count)
        ]
        path = tmp_path / name
        path.write_text("\n\n".join(parts))
        return str(path)

    return write


def texts(documents):
    return [document.text for document in documents]


def test_a_compressed_text_is_the_same_text(text, tmp_path):
    plain, packed = Path(text("a.txt", 12)), tmp_path / "a.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert read_documents(packed) == plain.read_text().split("\n\n")


def test_held_out_documents_stay_held_out_when_other_text_is_added(text):
    first, second = SourceConfig(text("a.txt", 400)), SourceConfig(text("b.txt", 100, "memo"))
    one = split(CorpusConfig({"a": first}, held_out=0.1))
    both = split(CorpusConfig({"b": second, "a": first}, held_out=0.1))
    assert len(one.held_out) == pytest.approx(40, abs=20)
    assert set(texts(one.held_out)) == {t for t in texts(both.held_out) if t.startswith("note")}
    assert not set(texts(both.held_out)) & set(texts(both.seen))
    assert len(both.seen) + len(both.held_out) == 500
    other = split(CorpusConfig({"a": first}, held_out=0.1, seed=1))
    assert set(texts(other.held_out)) != set(texts(one.held_out))


def test_weights_are_how_often_a_document_occurs(text):
    path = text("a.txt", 1000)
    plain = split(CorpusConfig({"a": SourceConfig(path)}))
    assert texts(plain.seen) == texts(plain.plain)
    weighted = split(CorpusConfig({"a": SourceConfig(path, weight=2.25)}))
    counts = {t: texts(weighted.seen).count(t) for t in texts(plain.seen)}
    assert set(counts.values()) == {2, 3}
    assert sum(counts.values()) / len(counts) == pytest.approx(2.25, abs=0.05)
    half = split(CorpusConfig({"a": SourceConfig(path, weight=0.5)}))
    assert len(half.seen) / len(plain.seen) == pytest.approx(0.5, abs=0.06)
    assert texts(half.plain) == texts(weighted.plain) == texts(plain.plain)
    assert texts(half.held_out) == texts(weighted.held_out)


def test_transforms_change_seen_documents_only_one_after_the_other(text):
    transform = {
        "drop": DropGroupsConfig(["church"]),
        "swap": CounterfactualConfig(mode="augment"),
    }
    made = split(CorpusConfig({"a": SourceConfig(text("a.txt", 300))}, transform, held_out=0.2))
    assert not any("church" in t for t in texts(made.seen))
    assert any("church" in t for t in texts(made.held_out))
    assert any("church" in t for t in texts(made.plain))
    him = [t for t in texts(made.seen) if "He left" in t]
    her = [t for t in texts(made.seen) if "She left" in t]
    assert him
    assert [t.replace("She", "He") for t in her] == him
    assert not any("She" in t for t in texts(made.held_out))
    assert made.counts == {
        "a": 300,
        "held out": len(made.held_out),
        "mixed": 300 - len(made.held_out),
        "seen": len(made.seen),
    }


def test_bad_texts_are_refused(text, tmp_path):
    short, binary, broken = (tmp_path / name for name in ("short", "binary.txt", "broken.xz"))
    short.write_text("one\n\ntwo")
    binary.write_bytes(b"\xff\xfe\x00")
    broken.write_bytes(lzma.compress(b"text" * 1000)[:-20])
    for path, said in [
        (tmp_path / "none.txt", "no text"),
        (tmp_path, "no text"),
        (short, r"too few documents \(2;"),
        (binary, "no UTF-8 text"),
        (broken, "no UTF-8 text"),
    ]:
        with pytest.raises(InputError, match=said) as error:
            split(CorpusConfig({"mine": SourceConfig(str(path))}))
        assert "corpus.sources.mine.path" in str(error.value)
    everything = {"drop": DropGroupsConfig(["note"])}
    with pytest.raises(InputError, match="nothing to train on"):
        split(CorpusConfig({"a": SourceConfig(text("a.txt", 200))}, everything))
    with pytest.raises(InputError, match="nothing is held out"):
        split(CorpusConfig({"a": SourceConfig(text("b.txt", 10))}, held_out=1e-9))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sources": {}}, "sources is empty"),
        ({"sources": {"a": SourceConfig("x", weight=0)}}, "sources.a.weight=0"),
        ({"held_out": 0}, "held_out=0"),
        ({"held_out": 1.0}, "held_out=1.0"),
        ({"single": 1.5}, "single=1.5"),
        ({"length": 4}, "length=4"),
        ({"chars_per_token": 0}, "chars_per_token=0"),
    ],
)
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        CorpusConfig(**{"sources": {"a": SourceConfig("x")}, **settings})
