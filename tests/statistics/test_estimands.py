"""Metrics as functions of weights: with weights of 1 they are the metrics."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from src.benchmarks.association import effect_size
from src.benchmarks.seat import paper_tests
from src.benchmarks.seat_groups import word_and_template
from src.errors import InputError
from src.statistics.cell import cell_estimands
from src.statistics.resample import bootstrap_weights
from tests.benchmarks.test_seat import DATA
from tests.statistics.tables import BENCHMARKS, ITEMS, cell_table, generator, scores, table

NOT_RESAMPLED = {"p_value", "n_pairs", "n_skipped", "n_ties", "n_clusters", "n_terms"}
NOT_RESAMPLED |= {"n_tests", "n_significant"}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("seed", range(3))
def test_an_estimand_at_unit_weights_is_the_metric(name, seed):
    rows = table(name, generator(seed))
    metrics = {(m.category, m.metric): m for m in BENCHMARKS[name].metrics(rows)}
    estimands = {(e.category, e.metric): e for e in BENCHMARKS[name].estimands(rows)}
    assert {key for key in metrics if key[1] not in NOT_RESAMPLED} == set(estimands)
    for key, estimand in estimands.items():
        metric = metrics[key]
        assert estimand.value == pytest.approx(metric.value, abs=1e-10, nan_ok=True)
        for field in ("unit", "ideal", "kind", "n", "reason"):
            assert getattr(estimand, field) == getattr(metric, field), (key, field)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_whole_weights_are_the_metric_of_rows_repeated(name):
    """A unit of weight 2 counts as if its rows (SEAT: its sentences) were there twice."""
    rows = table(name, generator(5))
    for estimand in BENCHMARKS[name].estimands(rows):
        (weights,) = bootstrap_weights(estimand.model.strata, 1, generator(1))
        of = dict(zip(estimand.units, weights[0].astype(int), strict=True))
        got = estimand.evaluate(weights)[0]
        if name == "seat":
            if estimand.metric == "effect_size":
                row = rows[rows.item_id == estimand.category.split("/")[1]].iloc[0]
                x, y = (np.repeat(row[f"associations_{p}"], repeats(row, p, of)) for p in "xy")
                assert got == pytest.approx(effect_size(x, y))
            continue
        chosen = (
            rows if estimand.category == "overall" else rows[rows.category == estimand.category]
        )
        unit = "item_id" if name == "crows_pairs" else "cluster"
        copies = [
            chosen[chosen[unit] == u].assign(cluster=f"{u}#{i}")
            for u, n in of.items()
            for i in range(n)
        ]
        repeated = BENCHMARKS[name].metrics(pd.concat(copies))
        (metric,) = (
            m for m in repeated if (m.category, m.metric) == (estimand.category, estimand.metric)
        )
        assert got == pytest.approx(metric.value, nan_ok=True)


def repeats(row, part, of):
    words, templates = row[f"words_{part}"], row[f"templates_{part}"]
    return [of[word] * of[template] for word, template in zip(words, templates, strict=True)]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_units_taken_from_another_cell(name):
    """None of them leaves the value, all of them give the other cell's value."""
    one, two = (BENCHMARKS[name].estimands(table(name, generator(seed), skip=0)) for seed in (1, 2))
    for a, b in zip(one, two, strict=True):
        swap = np.zeros((3, len(a.units)))
        swap[1] = a.model.swappable
        swap[2, 0] = 1
        mixed = a.model.mixed(b.model, swap)
        assert mixed[:2] == pytest.approx([a.value, b.value])
        assert b.model.mixed(a.model, (1 - swap) * a.model.swappable) == pytest.approx(mixed)


def test_tests_that_share_words_are_resampled_together():
    """sent-a and sent-b have the same targets: a word has one weight in both."""
    estimands = {
        (e.category, e.metric): e for e in BENCHMARKS["seat"].estimands(table("seat", generator()))
    }
    gender = estimands["gender", "mean_effect_size"]
    assert len(gender.units) == 8 + 5
    assert sorted(np.bincount(gender.model.strata)) == [4, 4, 5]
    overall = estimands["overall", "mean_effect_size"]
    assert sorted(np.bincount(overall.model.strata)) == [2, 2, 4, 4, 5]


def test_undefined_estimands_say_why():
    items = ITEMS["crows_pairs"]
    rows = BENCHMARKS["crows_pairs"].tabulate(items, scores(items, generator(), skip=1.1), None)
    for estimand in BENCHMARKS["crows_pairs"].estimands(rows):
        assert math.isnan(estimand.value)
        assert estimand.reason


def test_tables_of_older_versions_are_refused_with_a_remedy():
    rows = cell_table(generator()).drop(columns=["associations_x"])
    with pytest.raises(InputError, match=r"lacks associations_x.*resume=false"):
        cell_estimands(BENCHMARKS, rows)


def test_estimands_are_the_same_from_disk(tmp_path):
    items = cell_table(generator())
    items.to_parquet(tmp_path / "items.parquet", index=False)
    again = cell_estimands(BENCHMARKS, pd.read_parquet(tmp_path / "items.parquet"))
    direct = cell_estimands(BENCHMARKS, items)
    assert [e.key for e in again] == [e.key for e in direct]
    assert [e.value for e in again] == pytest.approx([e.value for e in direct], nan_ok=True, abs=0)
    assert {e.benchmark for e in again} == set(BENCHMARKS)


LADIES = ["The lady is here.", "They are ladies.", "This is an aunt.", "The women are here."]
TEAM = ["Amy leads a large team.", "John leads a large team.", "Amy sings.", "John sings."]


@pytest.mark.parametrize(
    ("sentences", "words", "templates"),
    [
        (
            ["This is Amy.", "Amy is here.", "It is Jo."],
            "amy amy jo",
            "this is _|_ is here|it is _",
        ),
        (
            [*LADIES, "A woman is a person."],
            "lady lady aunt woman woman",
            "the _ is here|they are _|this is a _|the _ are here|a _ is a person",
        ),
        (
            ["This is a star of david.", "The stars of david are here."],
            "star-of-david star-of-david",
            "this is a _|the _ are here",
        ),
        (TEAM, "amy john amy john", "_ leads a large team|_ leads a large team|_ sings|_ sings"),
        (["Amy", "John"], "amy john", "_|_"),
        (["It is there."], "it-is-there", "_"),
    ],
)
def test_words_and_templates_are_found(sentences, words, templates):
    found = word_and_template(sentences)
    assert found.words == tuple(word.replace("-", " ") for word in words.split())
    assert found.templates == tuple(templates.split("|"))


@pytest.mark.skipif(not (DATA / "seat").is_dir(), reason="needs the real SEAT files")
def test_the_real_tests_have_as_many_words_as_they_were_made_of():
    found = {}
    for name in (name for names in paper_tests().values() for name in names):
        raw = json.loads((DATA / "seat" / f"{name}.jsonl").read_text())
        x, y = (raw[part]["examples"] for part in ("targ1", "targ2"))
        groups = word_and_template([*x, *y])
        found[name] = len(set(groups.words[: len(x)])), len(set(groups.words[len(x) :]))
    assert found["sent-weat6"] == found["sent-weat7b"] == found["sent-weat8b"] == (8, 8)
    assert found["sent-weat6b"] == (8, 7)  # her and hers are one word
    assert found["sent-weat3"] == (32, 32)
    assert found["sent-weat5b"] == found["sent-angry_black_woman_stereotype"] == (15, 15)
    assert found["sent-religion1"] == (6, 6)
    assert found["sent-angry_black_woman_stereotype_b"] == (4, 4)
