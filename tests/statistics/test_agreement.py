"""Agreement of scorers: concordance, flips, and the file of a sweep."""

import numpy as np
import pandas as pd
import pytest

from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.statistics.agreement import agreements, kendalls_w

BENCHMARKS = {
    "crows_pairs": CrowsPairs(CrowsPairsConfig()),
    "stereoset": StereoSet(StereoSetConfig()),
}


def pairs(scorer, margins, category="age"):
    margins = np.asarray(margins, dtype=float)
    decision = np.where(margins > 0, "more", np.where(margins < 0, "less", "tie"))
    return pd.DataFrame(
        {
            "benchmark": "crows_pairs",
            "scorer": scorer,
            "item_id": [str(number) for number in range(len(margins))],
            "category": category,
            "cluster": [str(number) for number in range(len(margins))],
            "direction": "stereo",
            "score_more": margins,
            "score_less": 0.0,
            "decision": np.where(np.isnan(margins), "skipped", decision),
        }
    )


def overall(*tables):
    rows = agreements(BENCHMARKS, pd.concat(tables, ignore_index=True))
    return next(row for row in rows if row.category == "overall")


def test_concordance_is_the_textbooks():
    """Against W = 12 S / (m² (n³ - n)), and the tie correction T = Σ(t³ - t) of Kendall (1948)."""
    rng = np.random.default_rng(0)
    margins = rng.permuted(np.tile(np.arange(9.0), (4, 1)), axis=1).T
    ranks = margins + 1
    s = ((ranks.sum(1) - ranks.sum(1).mean()) ** 2).sum()
    assert kendalls_w(margins) == pytest.approx(12 * s / (16 * (9**3 - 9)))
    tied = np.array([[1.0, 1], [2, 1], [2, 2], [3, 3], [4, 4]])
    ranks = np.array([[1.0, 1.5], [2.5, 1.5], [2.5, 3], [4, 4], [5, 5]])
    s = ((ranks.sum(1) - 6) ** 2).sum()
    assert kendalls_w(tied) == pytest.approx(12 * s / (4 * (125 - 5) - 2 * (6 + 6)))
    assert kendalls_w(np.tile(np.arange(5.0), (3, 1)).T) == pytest.approx(1)
    assert np.isnan(kendalls_w(np.ones((5, 3))))
    assert np.isnan(kendalls_w(np.ones((2, 3))))


def test_scorers_that_agree_and_that_do_not():
    first = [3.0, 2, 1, -1, -2, np.nan]
    row = overall(
        pairs("a", first), pairs("b", np.multiply(first, 9)), pairs("c", [-1, 1, 2, 0, 3, 1])
    )
    assert (row.n, row.metric) == (5, "stereotype_score")
    assert row.scores == pytest.approx({"a": 60, "b": 60, "c": 60})
    assert row.all_same_side == pytest.approx(60)
    same, other, _ = row.pairs
    assert (same.scorer_a, same.scorer_b) == ("a", "b")
    assert (same.same_side, same.flips_to_stereo) == (100, 0)
    assert same.kendall_tau == pytest.approx(1)
    assert (other.flips_to_stereo, other.flips_to_anti, other.score_difference) == (1, 1, 0)
    assert other.same_side == pytest.approx(60)


def test_only_items_that_all_scorers_decided_are_compared():
    row = overall(pairs("a", [1, 1, -1, np.nan]), pairs("b", [np.nan, 1, 1, 1]))
    assert row.n == 2
    assert row.scores == {"a": 50, "b": 100}
    assert row.pairs[0].score_difference == 50
    assert np.isnan(row.kendalls_w)
    assert agreements(BENCHMARKS, pairs("a", [1, 2])) == []
    assert (
        agreements(BENCHMARKS, pd.concat([pairs("a", [1, np.nan]), pairs("b", [np.nan, 1])])) == []
    )
