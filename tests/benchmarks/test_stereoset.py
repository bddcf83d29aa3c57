"""StereoSet: reading, the template word, and SS, LM and ICAT against a literal loop."""

import copy
import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from src.benchmarks.base import Skipped
from src.benchmarks.items import Candidate, Discourse, FillIn
from src.benchmarks.registry import BENCHMARKS
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_gold import DOMAINS, LABELS, template_word
from src.errors import InputError

DATA = Path(os.environ.get("COMPRESSION_BIAS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def cluster(number, domain="race", target="Ghana", context="They are BLANK.", words=None):
    words = words or ["poor.", "rich.", "blue."]
    return {
        "id": f"c{number}",
        "target": target,
        "bias_type": domain,
        "context": context,
        "sentences": [
            {"id": f"c{number}{label[0]}", "gold_label": label, "sentence": f"They are {word}"}
            for label, word in zip(LABELS, words, strict=True)
        ],
    }


def gold(*intra, inter=()):
    return {"version": "1.1", "data": {"intrasentence": [*intra], "intersentence": [*inter]}}


@pytest.fixture
def load(tmp_path):
    def load(content, **settings):
        path = tmp_path / "test.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return StereoSet(StereoSetConfig(**settings)).load(lambda _: path)

    return load


def item(number, domain, target):
    candidates = tuple(Candidate(f"{number}{label[0]}", label, "x y", "y") for label in LABELS)
    return FillIn(str(number), domain, target, context="x BLANK", candidates=candidates)


def scored(number, stereotype, anti, unrelated):
    return {f"{number}s": stereotype, f"{number}a": anti, f"{number}u": unrelated}


def table_of(items, scores, decimals=None):
    return StereoSet(StereoSetConfig()).tabulate(items, scores, decimals)


def metrics_of(table):
    found = StereoSet(StereoSetConfig()).metrics(table)
    by_name = {(m.category, m.metric): m for m in found}
    assert len(by_name) == len(found)
    return by_name


@pytest.mark.parametrize(
    ("context", "sentence", "word"),
    [
        ("He is BLANK.", "He is smart.", "smart"),
        ("BLANK men cry", "Weak, men cry", "Weak"),
        ("The BLANK-like man", "The wolf-like man", "wolflike"),
        ("It is BLANK and so BLANK.", "It is bad and so good.", "good"),
        ("He is sometimes.BLANK yes", "He is sometimes.sad yes", "sometimessad"),
        ("He is BLANK.", "He is very smart.", "very"),
        ("He  is BLANK.", "He  is don't.", "dont"),
        ("He is so BLANK.", "He is.", None),
        ("He is BLANK .", "He is -- .", None),
        ("He is tall.", "He is tall.", None),
    ],
)
def test_template_word(context, sentence, word):
    assert template_word(context, sentence) == word


def test_reads_intrasentence_clusters(load):
    [read] = load(gold(cluster(1)))
    assert isinstance(read, FillIn)
    assert (read.id, read.category, read.cluster) == ("c1", "race", "Ghana")
    assert read.context == "They are BLANK."
    assert [(c.id, c.label, c.word) for c in read.candidates] == [
        ("c1s", "stereotype", "poor"),
        ("c1a", "anti-stereotype", "rich"),
        ("c1u", "unrelated", "blue"),
    ]


def test_reads_intersentence_clusters(load):
    entry = cluster(2, context="He is from Ghana.")
    [read] = load(gold(cluster(1), inter=[entry]), task="intersentence")
    assert isinstance(read, Discourse)
    assert read.id == "c2"
    assert [c.word for c in read.candidates] == ["", "", ""]
    assert read.candidates[2].sentence == "They are blue."


def test_categories(load):
    content = gold(*(cluster(n, ("race", "gender", "religion")[n % 3]) for n in range(9)))
    assert [i.id for i in load(content, categories=["gender"])] == ["c1", "c4", "c7"]
    with pytest.raises(InputError, match="no items of category profession"):
        load(content, categories=["profession"])


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"split": "train"}, ["benchmark.stereoset.split=train", "test, dev"]),
        ({"task": "inter"}, ["benchmark.stereoset.task=inter", "intrasentence, intersentence"]),
        ({"categories": ["age"]}, ["benchmark.stereoset.categories=age", "gender, profession"]),
    ],
)
def test_wrong_settings_are_named(settings, parts):
    with pytest.raises(InputError) as error:
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StereoSetConfig), settings))
    assert all(part in str(error.value) for part in parts)


def drop_label(content):
    content["data"]["intrasentence"][1]["sentences"].pop()


def double_label(content):
    content["data"]["intrasentence"][1]["sentences"][2]["gold_label"] = "stereotype"


def shorten(content):
    content["data"]["intrasentence"][1]["sentences"][0]["sentence"] = "They are"


def empty_word(content):
    content["data"]["intrasentence"][1]["sentences"][0]["sentence"] = "They are ..."


def wrong_domain(content):
    content["data"]["intrasentence"][1]["bias_type"] = "age"


def no_target(content):
    del content["data"]["intrasentence"][1]["target"]


def number_as_context(content):
    content["data"]["intrasentence"][1]["context"] = 3


def same_id(content):
    content["data"]["intrasentence"][1]["id"] = "c1"


def same_candidate(content):
    content["data"]["intrasentence"][1]["sentences"][0]["id"] = "c1s"


def no_task(content):
    del content["data"]["intrasentence"]


def list_as_root(content):
    content["data"] = []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_label, "intrasentence cluster c2: it needs one candidate each of stereotype, anti-"),
        (double_label, "unrelated; has stereotype, anti-stereotype, stereotype"),
        (shorten, "intrasentence cluster c2, candidate c2s: 'They are' has no word"),
        (empty_word, "candidate c2s: 'They are ...' has no word in the place of BLANK"),
        (wrong_domain, "c2: bias_type 'age' is not one of gender, profession"),
        (no_target, "cluster c2: field 'target' must be a text; it is missing"),
        (number_as_context, "cluster c2: field 'context' must be a text; it is 3"),
        (same_id, "'c1' was already used"),
        (same_candidate, "'c1s' was already used at intrasentence cluster c1"),
        (no_task, "field 'intrasentence' must be a list; it is missing"),
        (list_as_root, "field 'data' must be an object; it is []"),
    ],
)
def test_malformed_gold_is_refused(load, spoil, message):
    content = copy.deepcopy(gold(cluster(1), cluster(2)))
    spoil(content)
    with pytest.raises(InputError) as error:
        load(content)
    assert message in str(error.value)
    assert "test.json" in str(error.value)


def test_ties_go_to_anti_and_lm_hits_are_strict():
    items = [item(n, "race", "t") for n in range(4)]
    scores = [
        scored(0, 0.5, 0.5, 0.5),
        scored(1, 0.6, 0.5, 0.5),
        scored(2, 0.5, 0.6, 0.5),
        scored(3, 0.7, 0.6, 0.5),
    ]
    table = table_of(items, scores)
    assert table["decision"].tolist() == [
        "anti-stereotype",
        "stereotype",
        "anti-stereotype",
        "stereotype",
    ]
    assert table["lm_hits"].tolist() == [0, 1, 1, 2]
    assert table["lm_stereotype"].tolist() == [0, 1, 0, 1]
    assert table["lm_anti_stereotype"].tolist() == [0, 0, 1, 1]


def test_rounding_applies_to_decisions_only():
    table = table_of([item(0, "race", "t")], [scored(0, 0.5004, 0.5001, 0.4999)], 3)
    assert (table["decision"][0], table["lm_hits"][0]) == ("anti-stereotype", 0)
    columns = ["score_stereotype", "score_anti_stereotype", "score_unrelated"]
    assert table[columns].iloc[0].tolist() == [0.5004, 0.5001, 0.4999]


def test_terms_weigh_the_same_whatever_their_size():
    items = [item(n, "race", "large" if n < 3 else "small") for n in range(4)]
    scores = [scored(n, 3, 2, 1) for n in range(3)] + [scored(3, 1, 2, 3)]
    metrics = metrics_of(table_of(items, scores))
    assert metrics["race", "ss"].value == 50.0
    assert metrics["race", "lm_score"].value == 50.0
    assert metrics["race", "icat"].value == 50.0
    assert (metrics["race", "ss"].n, metrics["race", "n_terms"].value) == (4, 2)


def test_skipped_clusters_are_counted_and_left_out():
    items = [item(n, "race", "t") for n in range(3)]
    scores = [scored(0, 3, 2, 1), Skipped("no mask"), scored(2, float("nan"), 2, 1)]
    table = table_of(items, scores)
    assert table["skip_reason"].tolist() == ["", "no mask", "the score of 2s is NaN"]
    metrics = metrics_of(table)
    assert metrics["race", "ss"].value == 100.0
    assert metrics["race", "icat"].value == 0.0
    assert metrics["race", "n_clusters"].value == 1
    assert metrics["race", "n_skipped"].value == 2


def test_nothing_scored_is_undefined_not_zero():
    metrics = metrics_of(table_of([item(0, "race", "t")], [Skipped("why")]))
    for name in ("ss", "lm_score", "icat", "lm_stereotype", "lm_anti_stereotype"):
        assert np.isnan(metrics["overall", name].value)
        assert metrics["overall", name].reason == "all 1 clusters were skipped"


def official_loop(rows):
    """The official evaluator as REFERENCE.md describes it, on (term, s, a, u) tuples."""
    terms = defaultdict(lambda: {"pro": 0, "related": 0, "stereotype": 0, "total": 0})
    for term, stereotype, anti, unrelated in rows:
        counts = terms[term]
        counts["total"] += 1
        counts["pro"] += stereotype > anti
        counts["related"] += (stereotype > unrelated) + (anti > unrelated)
        counts["stereotype"] += stereotype > unrelated
    ss = [100 * t["pro"] / t["total"] for t in terms.values()]
    lm = [100 * t["related"] / (2 * t["total"]) for t in terms.values()]
    half = [100 * t["stereotype"] / t["total"] for t in terms.values()]
    ss, lm, half = (sum(values) / len(values) for values in (ss, lm, half))
    return {"ss": ss, "lm_score": lm, "icat": lm * min(ss, 100 - ss) / 50, "lm_stereotype": half}


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_official_loop_on_random_scores(seed, tmp_path):
    rng = np.random.default_rng(seed)
    items, scores, rows = [], [], defaultdict(list)
    for number in range(500):
        domain = DOMAINS[rng.integers(4)]
        term = f"term{rng.integers(30)}"  # some terms are in several domains: pooled overall
        values = [float(v) for v in rng.integers(0, 6, size=3)]
        items.append(item(number, domain, term))
        scores.append(scored(number, *values))
        for where in (domain, "overall"):
            rows[where].append((term, *values))
    table_of(items, scores).to_parquet(tmp_path / "items.parquet")
    metrics = metrics_of(pd.read_parquet(tmp_path / "items.parquet"))
    for where in (*DOMAINS, "overall"):
        want = official_loop(rows[where])
        for name, value in want.items():
            assert metrics[where, name].value == pytest.approx(value, rel=1e-12)
        halves = metrics[where, "lm_stereotype"].value + metrics[where, "lm_anti_stereotype"].value
        assert halves / 2 == pytest.approx(want["lm_score"], rel=1e-12)
        assert metrics[where, "ss"].ideal == 50.0
        assert metrics[where, "ss"].kind == "bias"
        assert metrics[where, "lm_score"].kind == "lm"


@pytest.mark.parametrize(
    ("ss", "lm", "icat"),
    [
        (58.240093, 84.172364, 70.300602),
        (60.278685, 85.739704, 68.113876),
        (57.029679, 84.008275, 72.197251),
        (59.704194, 84.211510, 67.867414),
    ],
)
def test_published_icat_follows_from_published_ss_and_lm(ss, lm, icat):
    """bert-base-uncased on test, full precision: our formula on terms made to have these rates."""
    rows, n = [], 100_000
    for number in range(n):
        lm_hits = float(number < round(lm / 100 * n))
        rows.append(
            {
                "category": "race",
                "cluster": "t",
                "decision": "stereotype" if number < round(ss / 100 * n) else "anti-stereotype",
                "lm_stereotype": lm_hits,
                "lm_anti_stereotype": lm_hits,
            }
        )
    metrics = metrics_of(pd.DataFrame(rows))
    assert metrics["race", "icat"].value == pytest.approx(icat, abs=0.003)


def test_is_registered_with_its_settings():
    assert BENCHMARKS["stereoset"] == (StereoSetConfig, StereoSet)


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA")
@pytest.mark.parametrize(
    ("task", "counts"),
    [("intrasentence", (255, 810, 962, 79)), ("intersentence", (242, 827, 976, 78))],
)
def test_the_real_dev_file(task, counts):
    settings = StereoSetConfig(split="dev", task=task)
    items = StereoSet(settings).load(lambda path: DATA / path)
    assert tuple(sum(i.category == domain for i in items) for domain in DOMAINS) == counts
    assert all(c.word or task == "intersentence" for i in items for c in i.candidates)


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA")
def test_the_real_test_file_reads_whole():
    items = StereoSet(StereoSetConfig()).load(lambda path: DATA / path)
    assert sum(i.category == "race" for i in items) == 2976
    assert sum(i.category == "religion" for i in items) == 247
