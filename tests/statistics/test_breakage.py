"""Bias and LM score together: what is marked as breakage, and the region of the two changes."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import chi2, norm

from src.statistics.breakage import add_joint_changes
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Sums, percentage
from src.statistics.paired import compare
from src.tracking.plain import plain

SETTINGS = StatisticsConfig(resamples=300)
N = 400


def estimand(hits, metric, benchmark="stereoset", category="overall"):
    ideal, kind = (None, "lm") if metric == "lm_score" else (50.0, "bias")
    hits = np.asarray(hits, dtype=float)
    units = tuple(f"{benchmark}{i}" for i in range(len(hits)))
    model = Sums(units, np.stack([hits, np.ones_like(hits)], axis=1), percentage)
    return Estimand(category, metric, "%", ideal, kind, len(hits), model, benchmark=benchmark,
                    scorer="s", bounds=(0.0, 100.0))  # fmt: skip


def joint(*pairs, settings=SETTINGS):
    rows = [plain(asdict(row)) for row in compare(pairs, settings)]
    add_joint_changes(rows, pairs, settings)
    return rows


def answers(share, seed):
    """Hits of a share of the items, nested: a larger share has all hits of a smaller one."""
    return np.random.default_rng(seed).permutation(N) < share * N


def ss_and_lm(ss, lm):
    """SS and LM pairs, each as (before, after) shares."""
    return (
        tuple(estimand(answers(share, 0), "ss") for share in ss),
        tuple(estimand(answers(share, 1), "lm_score") for share in lm),
    )


@pytest.mark.parametrize(
    ("ss", "lm", "reading", "breakage"),
    [
        ((0.70, 0.60), (0.9, 0.8), "breakage: nearer to the ideal, but with a loss", True),
        ((0.30, 0.40), (0.9, 0.8), "breakage: nearer to the ideal, but with a loss", True),
        ((0.70, 0.60), (0.9, 0.9), "nearer to the ideal, and no loss of LM score above 3", False),
        ((0.60, 0.70), (0.9, 0.8), "further from the ideal, with a loss of LM score", False),
        ((0.70, 0.70), (0.9, 0.8), "no change of bias seen, with a loss of LM score", False),
        ((0.70, 0.70), (0.9, 0.9), "no change of bias seen", False),
        ((0.70, 0.51), (0.9, 0.5), "LM score not clearly above chance after", False),
        ((0.51, 0.70), (0.5, 0.9), "LM score not clearly above chance before", False),
    ],
)
def test_readings(ss, lm, reading, breakage):
    bias, score = joint(*ss_and_lm(ss, lm))
    assert bias["joint"]["reading"].startswith(reading)
    assert bias["joint"]["breakage"] is breakage
    assert bias["joint"]["same_items"] is True
    assert score["joint"] is None


def test_a_loss_that_is_neither_seen_nor_ruled_out_is_undecided():
    rng = np.random.default_rng(3)
    noisy = [answers(0.8, 1) ^ (rng.random(N) < 0.25) for _ in range(2)]
    bias, _ = ss_and_lm((0.70, 0.60), (0.9, 0.9))
    score = tuple(estimand(hits, "lm_score") for hits in noisy)
    found, _ = joint(bias, score)
    assert (
        found["joint"]["reading"] == "nearer to the ideal; whether LM score was lost is undecided"
    )


def test_the_covariance_is_that_of_two_means_over_the_same_items():
    bias, score = ss_and_lm((0.7, 0.6), (0.9, 0.8))
    found, _ = joint(bias, score)
    moved = [
        100.0 * (after.model.parts[:, 0] - before.model.parts[:, 0])
        for before, after in (bias, score)
    ]
    # 70 to 60 % is on one side of 50, so the distance changes as the score does.
    assert np.array(found["joint"]["covariance"]) == pytest.approx(np.cov(moved) / N)
    assert found["joint"]["radius"] == pytest.approx(chi2.ppf(0.95, 2) ** 0.5, rel=0.01)


def test_another_benchmark_is_put_beside_stereosets_overall_lm_score():
    pairs = tuple(
        estimand(answers(s, 5), "stereotype_score", "crows_pairs", "gender") for s in (0.7, 0.6)
    )
    domain = tuple(estimand(answers(s, 1), "lm_score", category="gender") for s in (0.9, 0.9))
    found, _, other = joint(pairs, domain, ss_and_lm((0.5, 0.5), (0.9, 0.8))[1])
    assert found["joint"]["lm"] == "stereoset overall"
    assert found["joint"]["same_items"] is False
    assert found["joint"]["covariance"][0][1] == 0
    assert found["joint"]["breakage"] is True
    assert other["joint"] is None


def test_without_an_lm_score_there_is_no_joint_view():
    (found,) = joint(ss_and_lm((0.7, 0.6), (0.9, 0.8))[0])
    assert found["joint"] is None


@pytest.mark.slow
def test_the_region_holds_the_true_changes_as_often_as_promised():
    rng = np.random.default_rng(6)
    held, studies = 0, 400
    for _ in range(studies):
        # Ability makes both scores, so that their changes go together.
        ability = rng.normal(size=174)
        before, after = (
            [ability + rng.normal(size=174) < limit for limit in limits]
            for limits in ((0.8, 1.6), (0.5, 1.2))
        )
        pairs = [
            tuple(estimand(cell[i], metric) for cell in (before, after))
            for i, metric in enumerate(("ss", "lm_score"))
        ]
        found, score = joint(*pairs, settings=StatisticsConfig(resamples=100))
        centre = np.array([found["distance_difference"], score["difference"]])
        off = centre - 100 * (
            norm.cdf([0.5 / 2**0.5, 1.2 / 2**0.5]) - norm.cdf([0.8 / 2**0.5, 1.6 / 2**0.5])
        )
        inverse = np.linalg.inv(found["joint"]["covariance"])
        held += off @ inverse @ off <= found["joint"]["radius"] ** 2
    assert 0.92 <= held / studies <= 0.98
