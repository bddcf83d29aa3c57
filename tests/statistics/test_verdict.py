"""Corrections for many tests, and what is concluded."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from src.statistics.family import adjust, described
from src.statistics.verdict import verdict

ROW = {
    **{"benchmark": "crows_pairs", "category": "gender", "metric": "stereotype_score"},
    **{"kind": "bias", "unit": "%", "ideal": 50.0, "difference": -4.1, "reason": ""},
    **{"ci_low": -7.0, "ci_high": -1.2, "p": 0.01, "p_holm": 0.04, "p_smallest": 0.0},
    **{"equivalent": False, "margin": 3.0, "mde": 8.02, "family_size": 20, "ci_method": "x"},
    **{"distance_difference": -4.1, "distance_ci_low": -7.0, "distance_ci_high": -1.2},
    **{"distance_p": 0.01, "distance_p_holm": 0.03},
}
OPEN = {"p_holm": 0.4, "p": 0.2, "ci_low": -6.04, "ci_high": 5.0}
AWAY = {"difference": 4.1, "distance_difference": 4.1}
AWAY |= {"distance_ci_low": 1.2, "distance_ci_high": 7.0}
FELL = "fell by 4.1 [1.2, 7.0] points"
ANYTHING = "undecided: could be anything from -6.0 to +5.0"


@pytest.mark.parametrize(
    ("changes", "mark", "sentence"),
    [
        ({}, "changed", f"bias {FELL}"),
        (AWAY, "changed", "bias rose by 4.1 [1.2, 7.0] points"),
        (
            {"distance_p_holm": 0.3},
            "changed",
            f"score {FELL}; whether it is nearer to or farther from 50 is undecided",
        ),
        ({"kind": "lm", "ideal": None, "distance_difference": None}, "changed", FELL),
        ({"equivalent": True}, "changed, small", f"bias {FELL}; by less than 3 points"),
        ({"p_holm": 0.4, "equivalent": True}, "same", "no change larger than 3 points"),
        (OPEN, "undecided", f"{ANYTHING}; this design detects 8.0"),
        (
            OPEN | {"p": 0.02},
            "undecided",
            f"{ANYTHING}; this design detects 8.0 (p=0.020 alone, 0.40 among 20 tests)",
        ),
        (
            OPEN | {"mde": None},
            "undecided",
            f"{ANYTHING}; this design detects no change of any size",
        ),
        (
            OPEN | {"p_smallest": 0.06},
            "undecided",
            f"{ANYTHING}; too few items or terms changed for any test",
        ),
        (
            OPEN | {"ci_low": None, "ci_high": None, "ci_method": "none: one cluster only"},
            "undecided",
            "undecided: no interval (one cluster only); this design detects 8.0",
        ),
        (
            OPEN | {"ci_low": None, "ci_high": None, "ci_method": "none: x", "mde": None},
            "undecided",
            "undecided: no interval (x)",
        ),
        (
            {"unit": "sd", "ideal": 0.0, "margin": 0.1, "p_holm": 0.4, "equivalent": True},
            "same",
            "no change larger than 0.1 sd",
        ),
        ({"reason": "all skipped", "difference": None}, "undefined", "not compared: all skipped"),
    ],
)
def test_what_may_be_concluded(changes, mark, sentence):
    assert verdict(ROW | changes, 0.05) == (mark, sentence)


def rows_of(*values, metric="ss"):
    return [
        {"metric": metric, "benchmark": "b", "p": p, "cell_a": "a", "cell_b": "b"} for p in values
    ]


def test_adjusted_by_hand():
    """Holm: 3 · 0.01, 2 · 0.02, 0.5; Benjamini and Hochberg: 3 · 0.01, 3/2 · 0.02, 0.5."""
    rows = rows_of(0.5, 0.01, 0.02)
    adjust(rows)
    assert [row["p_holm"] for row in rows] == pytest.approx([0.5, 0.03, 0.04])
    assert [row["q_bh"] for row in rows] == pytest.approx([0.5, 0.03, 0.03])
    assert {row["family_size"] for row in rows} == {3}


def test_families_are_apart_and_undefined_tests_are_no_members():
    rows = [*rows_of(0.01, None, 0.04, float("nan")), *rows_of(0.01, metric="icat")]
    adjust(rows)
    assert [row["p_holm"] for row in rows] == pytest.approx([0.02, None, 0.04, None, 0.01])
    assert [row["family"] for row in rows] == ["headline"] * 4 + ["other"]
    assert [row["family_size"] for row in rows] == [2, 2, 2, 2, 1]
    assert described(rows) == "2 tests: b SS of every category, in 1 comparison"
    adjust([])


def test_many_are_scipys():
    values = np.random.default_rng(0).uniform(size=30) ** 2
    rows = rows_of(*values)
    adjust(rows)
    assert [row["q_bh"] for row in rows] == pytest.approx(false_discovery_control(values))
    assert all(row["p"] <= row["q_bh"] <= row["p_holm"] for row in rows)
