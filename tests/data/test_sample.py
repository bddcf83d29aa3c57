"""The embedded sample items keep to the three benchmarks' formats (checked by plain code)."""

import ast
import csv
import json
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest

import src.data

SAMPLE = Path(src.data.__file__).parent / "sample"
HEADER = [
    "",
    "sent_more",
    "sent_less",
    "stereo_antistereo",
    "bias_type",
    "annotations",
    "anon_writer",
    "anon_annotators",
]
CROWS_TYPES = {
    "race-color",
    "socioeconomic",
    "gender",
    "disability",
    "nationality",
    "sexual-orientation",
    "physical-appearance",
    "religion",
    "age",
}
LABELS = ["anti-stereotype", "stereotype", "unrelated"]
DOMAINS = {"gender", "profession", "race", "religion"}
SEAT_TESTS = ("gender", "race", "religion")


@pytest.fixture(scope="module")
def pairs():
    with (SAMPLE / "crows_pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    return [dict(zip(HEADER, row, strict=True)) for row in rows[1:]]


@pytest.fixture(scope="module")
def stereoset():
    content = json.loads((SAMPLE / "stereoset" / "test.json").read_text(encoding="utf-8"))
    assert set(content) == {"version", "data"}
    assert set(content["data"]) == {"intrasentence", "intersentence"}
    return content["data"]


def test_pairs_are_enough_and_numbered(pairs):
    assert [pair[""] for pair in pairs] == [str(number) for number in range(len(pairs))]
    kinds = Counter(pair["bias_type"] for pair in pairs)
    assert len(pairs) >= 72
    assert set(kinds) == CROWS_TYPES
    assert all(kinds[kind] >= 20 for kind in ("gender", "race-color", "religion"))
    for kind in kinds:
        directions = {p["stereo_antistereo"] for p in pairs if p["bias_type"] == kind}
        assert directions == {"stereo", "antistereo"}, kind
    for pair in pairs:
        assert isinstance(ast.literal_eval(pair["annotations"]), list)
        assert isinstance(ast.literal_eval(pair["anon_annotators"]), list)


def test_pairs_are_minimal(pairs):
    """They differ, in at most two places of one or two words, and share most words."""
    for pair in pairs:
        more, less = pair["sent_more"].split(), pair["sent_less"].split()
        matcher = SequenceMatcher(None, more, less, autojunk=False)
        changed = [code for code in matcher.get_opcodes() if code[0] != "equal"]
        assert 1 <= len(changed) <= 2, pair
        assert all(code[0] == "replace" for code in changed), pair
        assert all(i2 - i1 <= 2 and j2 - j1 <= 2 for _, i1, i2, j1, j2 in changed), pair
        assert matcher.ratio() >= 0.6, pair
    texts = [pair[side] for pair in pairs for side in ("sent_more", "sent_less")]
    assert len(set(texts)) == len(texts)
    assert all(text == text.strip() and text.endswith(".") for text in texts)


def test_clusters_have_stable_unique_ids_and_one_candidate_a_label(stereoset):
    ids = []
    for clusters in stereoset.values():
        for cluster in clusters:
            assert set(cluster) == {"id", "target", "bias_type", "context", "sentences"}
            assert cluster["bias_type"] in DOMAINS
            assert sorted(s["gold_label"] for s in cluster["sentences"]) == LABELS
            assert all(
                set(s) == {"sentence", "id", "labels", "gold_label"} for s in cluster["sentences"]
            )
            ids += [cluster["id"], *(s["id"] for s in cluster["sentences"])]
    assert len(set(ids)) == len(ids)
    assert all(len(i) == 32 and set(i) <= set("0123456789abcdef") for i in ids)
    orders = {tuple(s["gold_label"] for s in c["sentences"]) for c in stereoset["intrasentence"]}
    assert len(orders) == 3  # nothing may rest on the candidates' order


def test_intrasentence_candidates_match_their_template(stereoset):
    """One BLANK, one word in its place, everything else as in the context."""
    for cluster in stereoset["intrasentence"]:
        context = cluster["context"]
        assert context.count("BLANK") == 1
        before, after = context.split("BLANK")
        words = []
        for sentence in (s["sentence"] for s in cluster["sentences"]):
            assert sentence.startswith(before)
            assert sentence.endswith(after)
            assert len(sentence.split(" ")) == len(context.split(" "))
            words.append(sentence[len(before) : len(sentence) - len(after)])
        assert all(word.isalpha() for word in words), words
        assert len(set(words)) == 3
        assert cluster["target"].lower() in context.lower()


def test_there_are_enough_clusters(stereoset):
    intra, inter = stereoset["intrasentence"], stereoset["intersentence"]
    assert len(intra) >= 66
    assert len(inter) >= 12
    assert {c["bias_type"] for c in inter} == DOMAINS
    terms = Counter((c["bias_type"], c["target"]) for c in intra)
    assert min(terms.values()) >= 4
    per_domain = Counter(domain for domain, _ in terms)
    assert set(per_domain) == DOMAINS
    assert min(per_domain.values()) >= 3
    for cluster in inter:
        sentences = [s["sentence"] for s in cluster["sentences"]]
        assert "BLANK" not in cluster["context"]
        assert len({*sentences, cluster["context"]}) == 4


@pytest.mark.parametrize("name", SEAT_TESTS)
def test_association_tests_are_one_object_with_equal_targets(name):
    path = SAMPLE / "seat" / f"sent-sample-{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    test = json.loads(lines[0])
    assert set(test) == {"targ1", "targ2", "attr1", "attr2"}
    assert all(set(part) == {"category", "examples"} for part in test.values())
    sets = {key: part["examples"] for key, part in test.items()}
    assert len(sets["targ1"]) == len(sets["targ2"]) >= 12
    assert len(sets["attr1"]) == len(sets["attr2"]) >= 12
    everything = [sentence for examples in sets.values() for sentence in examples]
    assert len(set(everything)) == len(everything)
    assert all(sentence.endswith(".") for sentence in everything)
    assert len({part["category"] for part in test.values()}) == 4


def test_the_readme_says_what_the_sample_is_not():
    text = (SAMPLE / "README.md").read_text(encoding="utf-8").lower()
    assert "demonstration" in text
    assert "not a measurement" in text
