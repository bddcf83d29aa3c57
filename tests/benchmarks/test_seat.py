"""SEAT: reading, effect sizes against a plain loop, the means against the paper's tables."""

import json
import math
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from src.benchmarks.base import Skipped
from src.benchmarks.items import AssociationTest
from src.benchmarks.registry import BENCHMARKS
from src.benchmarks.seat import Seat, SeatConfig
from src.errors import InputError

DATA = Path(os.environ.get("COMPRESSION_BIAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
PUBLISHED = json.loads((Path(__file__).parents[1] / "oracle" / "seat_published.json").read_text())


def sentences(prefix, n):
    return [f"{prefix} {i}." for i in range(n)]


def content_of(n_x=4, n_y=4, n_a=3, n_b=5):
    sizes = {"targ1": n_x, "targ2": n_y, "attr1": n_a, "attr2": n_b}
    return {
        key: {"category": key.upper(), "examples": sentences(key, n)} for key, n in sizes.items()
    }


@pytest.fixture
def load(tmp_path):
    def load(content, indent=2):
        path = tmp_path / "sent-weat6.jsonl"
        path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
        return Seat(SeatConfig(tests={"gender": ["sent-weat6"]})).load(lambda _: path)

    return load


def association_test(name="t", n=8, n_a=5, n_b=6, category="gender"):
    parts = [("x", n), ("y", n), ("a", n_a), ("b", n_b)]
    sets = [tuple(sentences(f"{name} {part}", size)) for part, size in parts]
    return AssociationTest(name, category, name, *sets)


def embed(test, rng, hidden=16, dtype=np.float32):
    texts = {*test.x, *test.y, *test.a, *test.b}
    return {text: rng.normal(size=hidden).astype(dtype) for text in sorted(texts)}


def table_of(tests, scores, **settings):
    return Seat(SeatConfig(**settings)).tabulate(tests, scores, None)


def test_reads_one_object_a_file(load):
    for indent in (None, 2):
        [item] = load(content_of(), indent)
        assert (item.id, item.category, item.cluster) == ("sent-weat6", "gender", "sent-weat6")
        sizes = [len(part) for part in (item.x, item.y, item.a, item.b)]
        assert sizes == [4, 4, 3, 5]
        assert item.y[0] == "targ2 0."


def no_examples(content):
    del content["attr1"]["examples"]


def no_set(content):
    del content["targ2"]


def empty_set(content):
    content["attr2"]["examples"] = []


def number(content):
    content["targ1"]["examples"][2] = 5


def twice(content):
    content["targ1"]["examples"][1] = content["targ1"]["examples"][0]


def unequal(content):
    content["targ2"]["examples"].pop()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_examples, "attr1 needs a list of sentences under 'examples'"),
        (no_set, "targ2 needs a list of sentences"),
        (empty_set, "attr2 needs a list of sentences"),
        (number, "targ1, example 3: 5 is not a sentence"),
        (twice, "targ1 has 'targ1 0.' twice"),
        (unequal, "targ1 has 4 examples and targ2 3"),
    ],
)
def test_malformed_files_are_refused(load, spoil, message):
    content = content_of()
    spoil(content)
    with pytest.raises(InputError) as error:
        load(content)
    assert message in str(error.value)
    assert "sent-weat6.jsonl" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_permutations": 0}, "benchmark.seat.n_permutations=0"),
        ({"seed": -1}, "benchmark.seat.seed=-1"),
        ({"alpha": 0.0}, r"benchmark.seat.alpha=0.0"),
        ({"tests": {"gender": [], "race": [], "religion": []}}, "benchmark.seat.tests names no"),
        ({"tests": {"gender": ["sent-weat3"]}}, "names sent-weat3 more than once"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SeatConfig), settings))


def test_default_is_the_papers_17_tests():
    tests = OmegaConf.to_object(OmegaConf.structured(SeatConfig)).tests
    assert {category: len(names) for category, names in tests.items()} == {
        "gender": 6,
        "race": 7,
        "religion": 4,
    }
    assert len({name for names in tests.values() for name in names}) == 17


def cosine(u, v):
    dot = sum(float(a) * float(b) for a, b in zip(u, v, strict=True))
    return dot / math.sqrt(sum(float(a) ** 2 for a in u)) / math.sqrt(sum(float(b) ** 2 for b in v))


def plain_effect_size(test, vectors):
    """REFERENCE.md 2.4 word by word."""

    def association(w):
        to_a = [cosine(vectors[w], vectors[a]) for a in test.a]
        to_b = [cosine(vectors[w], vectors[b]) for b in test.b]
        return sum(to_a) / len(to_a) - sum(to_b) / len(to_b)

    x, y = ([association(w) for w in part] for part in (test.x, test.y))
    mean = sum(x + y) / len(x + y)
    sd = math.sqrt(sum((s - mean) ** 2 for s in x + y) / (len(x + y) - 1))
    return (sum(x) / len(x) - sum(y) / len(y)) / sd, x, y


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_effect_size_equals_a_plain_loop(seed, dtype):
    rng = np.random.default_rng(seed)
    test = association_test(n=int(rng.integers(2, 20)))
    vectors = embed(test, rng, dtype=dtype)
    table = table_of([test], [vectors], n_permutations=100)
    expected, _, _ = plain_effect_size(test, vectors)
    assert table["effect_size"][0] == pytest.approx(expected, rel=1e-9)
    assert table[["n_x", "n_a", "n_b"]].iloc[0].tolist() == [len(test.x), 5, 6]


def test_sets_may_share_sentences():
    rng = np.random.default_rng(0)
    test = association_test()
    test = AssociationTest("t", "gender", "t", test.x, test.y, test.a, test.b[:3] + test.a[:2])
    vectors = embed(test, rng)
    table = table_of([test], [vectors], n_permutations=100)
    assert table["effect_size"][0] == pytest.approx(plain_effect_size(test, vectors)[0], rel=1e-9)


def test_p_value_of_a_small_test_is_the_enumerated_share():
    rng = np.random.default_rng(3)
    test = association_test(n=5)
    vectors = embed(test, rng)
    _, x, y = plain_effect_size(test, vectors)
    sums = [sum(part) for part in combinations(x + y, 5)]
    share = sum(s >= sum(x) - 1e-12 for s in sums) / len(sums)
    assert table_of([test], [vectors])["p_value"][0] == pytest.approx(share, abs=1e-12)


def test_p_value_does_not_depend_on_the_other_tests_but_on_the_seed():
    rng = np.random.default_rng(4)
    tests = [association_test(name, n=12) for name in ("one", "two", "three")]
    scores = [embed(test, rng) for test in tests]
    settings = {"n_permutations": 2000}
    forward = table_of(tests, scores, **settings).set_index("item_id")["p_value"]
    backward = table_of(tests[::-1], scores[::-1], **settings).set_index("item_id")["p_value"]
    assert forward.to_dict() == backward.to_dict()
    other = table_of(tests, scores, seed=1, **settings).set_index("item_id")["p_value"]
    assert forward.to_dict() != other.to_dict()
    assert forward.to_numpy() == pytest.approx(other.to_numpy(), abs=0.08)


def test_each_test_has_random_numbers_of_its_own():
    rng = np.random.default_rng(4)
    first = association_test("one", n=12)
    vectors = embed(first, rng)
    second = AssociationTest("two", "gender", "two", first.x, first.y, first.a, first.b)
    table = table_of([first, second], [vectors, vectors], n_permutations=2000)
    assert table["effect_size"][0] == table["effect_size"][1]
    assert table["p_value"][0] != table["p_value"][1]
    assert table["p_value"][0] == pytest.approx(table["p_value"][1], abs=0.08)


def test_decision_follows_alpha():
    rng = np.random.default_rng(0)
    test = association_test(n=12)
    vectors = embed(test, rng)
    for word, attribute in zip(test.x, test.a * 3, strict=False):
        vectors[word] = vectors[attribute] + 0.05 * rng.normal(size=16)
    row = table_of([test], [vectors], n_permutations=1000)
    assert row["p_value"][0] == 1 / 1000
    assert row["decision"][0] == "significant"
    strict = table_of([test], [vectors], n_permutations=1000, alpha=0.001)
    assert strict["decision"][0] == "not significant"


def test_no_spread_is_undefined_not_zero():
    test = association_test()
    rng = np.random.default_rng(0)
    vectors = embed(test, rng)
    same = rng.normal(size=16)
    for position, text in enumerate((*test.x, *test.y)):
        vectors[text] = same * (position + 1)
    table = table_of([test], [vectors])
    assert np.isnan(table["effect_size"][0])
    assert table["p_value"][0] == 1.0
    assert "standard deviation is 0" in table["skip_reason"][0]
    metrics = Seat(SeatConfig(tests={"gender": ["t"]})).metrics(table)
    reasons = {m.metric: m.reason for m in metrics if np.isnan(m.value)}
    assert "standard deviation is 0" in reasons["effect_size"]
    assert reasons["mean_abs_effect_size"] == "undefined for t"


@pytest.mark.parametrize("bad", [0.0, np.inf, np.nan])
def test_unusable_embeddings_are_undefined(bad):
    test = association_test()
    vectors = embed(test, np.random.default_rng(0))
    vectors[test.a[1]] = np.full(16, bad, dtype=np.float32)
    table = table_of([test], [vectors])
    assert np.isnan(table["effect_size"][0])
    assert np.isnan(table["p_value"][0])
    assert table["decision"][0] == "skipped"
    assert table["skip_reason"][0] == "an embedding is zero or not finite"


def test_a_skipped_test_makes_its_means_undefined_and_is_named():
    rng = np.random.default_rng(0)
    tests = [association_test("one"), association_test("two"), association_test("r", category="r")]
    scores = [embed(tests[0], rng), Skipped("no embeddings"), embed(tests[2], rng)]
    seat = Seat(SeatConfig(tests={"gender": ["one", "two"], "r": ["r"]}, n_permutations=100))
    found = {(m.category, m.metric): m for m in seat.metrics(seat.tabulate(tests, scores, None))}
    assert found["gender/two", "effect_size"].reason == "no embeddings"
    mean = found["gender", "mean_abs_effect_size"]
    assert (np.isnan(mean.value), mean.n, mean.reason) == (True, 1, "undefined for two")
    assert np.isnan(found["overall", "mean_effect_size"].value)
    assert found["r", "mean_abs_effect_size"].value > 0


def published_table(rows):
    return pd.DataFrame(
        [
            {
                "item_id": name,
                "category": row["category"],
                "effect_size": d,
                "p_value": 0.5,
                "n_x": 64,
                "decision": "not significant",
                "skip_reason": "",
            }
            for row in rows
            for name, d in row["effect_sizes"].items()
        ]
    )


@pytest.mark.parametrize(
    "row", PUBLISHED["rows"], ids=lambda row: f"{row['category']}-{row['row']}"
)
def test_mean_of_printed_effect_sizes_is_the_printed_mean(row, tmp_path):
    seat = Seat(SeatConfig())
    assert list(row["effect_sizes"]) == seat.settings.tests[row["category"]]
    published_table([row]).to_parquet(tmp_path / "items.parquet")
    metrics = seat.metrics(pd.read_parquet(tmp_path / "items.parquet"))
    found = {(m.category, m.metric): m for m in metrics}
    assert len(found) == len(metrics)
    mean = found[row["category"], "mean_abs_effect_size"]
    # The printed values were rounded before we average them.
    assert mean.value == pytest.approx(row["mean_abs"], abs=0.0011)
    assert (mean.unit, mean.ideal, mean.kind) == ("sd", 0.0, "bias")
    signed = sum(row["effect_sizes"].values()) / len(row["effect_sizes"])
    assert found[row["category"], "mean_effect_size"].value == pytest.approx(signed)
    for name, d in row["effect_sizes"].items():
        assert found[f"{row['category']}/{name}", "effect_size"].value == d


def test_overall_is_the_mean_over_all_17_tests():
    """BERT base: .590, as its leaderboard entry says."""
    rows = [row for row in PUBLISHED["rows"] if row["row"] == "BERT base fp32"]
    metrics = Seat(SeatConfig()).metrics(published_table(rows))
    [mean] = [m for m in metrics if (m.category, m.metric) == ("overall", "mean_abs_effect_size")]
    assert (round(mean.value, 3), mean.n) == (0.590, 17)


def test_is_registered_with_its_settings():
    assert BENCHMARKS["seat"] == (SeatConfig, Seat)


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA")
def test_the_real_files_and_a_whole_table():
    seat = Seat(SeatConfig(n_permutations=1000))
    items = seat.load(lambda path: DATA / path)
    sizes = {item.id: (len(item.x), len(item.a), len(item.b)) for item in items}
    assert len(sizes) == 17
    assert sizes["sent-weat6"] == (64, 101, 112)
    assert sizes["sent-weat3"] == (256, 215, 249)
    assert sizes["sent-angry_black_woman_stereotype_b"] == (52, 54, 54)
    rng = np.random.default_rng(0)
    table = seat.tabulate(items, [embed(item, rng) for item in items], None)
    # Random embeddings: no association beyond noise, p roughly uniform.
    assert table["effect_size"].abs().max() < 0.8
    assert table["p_value"].between(1 / 1000, 1).all()
