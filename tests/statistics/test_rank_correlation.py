"""Kendall's tau over checkpoints and sizes: by hand, against scipy and against the paper's data."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from src.statistics.rank_correlation import rank_correlations

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "REFERENCE.md"
SIZES = ["70m", "160m", "410m", "1b", "1.4b"]


def correlate(x, y, groups=None, resamples=500):
    found = rank_correlations(
        np.array(x, dtype=float), np.array(y, dtype=float), groups or ["one"] * len(x), 0.95,
        resamples, 0,
    )  # fmt: skip
    return {tau.part: tau for tau in found}


def test_parts_by_hand():
    # Two sizes of three checkpoints. Of the 3 pairs within a size, 1 of "small" and all 3 of
    # "large" agree; between the sizes all 9 agree: (13 - 2) / 15.
    x = [1, 2, 3, 11, 12, 13]
    y = [2, 3, 1, 11, 12, 13]
    found = correlate(x, y, ["small"] * 3 + ["large"] * 3)
    assert found["within"].tau == pytest.approx((1 - 2 + 3) / 6)
    assert found["between"].tau == 1
    assert found["all"].tau == pytest.approx((13 - 2) / 15)
    assert (found["within"].n_pairs, found["between"].n_pairs) == (6, 9)
    assert np.isnan(found["small"].tau)
    assert "3 points; 5 are needed" in found["small"].reason


def test_the_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    found = correlate(x, y, list("abc") * 10)
    parts = [found["within"], found["between"]]
    assert sum(part.n_pairs for part in parts) == found["all"].n_pairs == 435
    total = sum(part.n_pairs * part.tau for part in parts)
    assert total == pytest.approx(435 * found["all"].tau)


def test_tau_c_and_p_are_scipys_also_with_ties():
    rng = np.random.default_rng(1)
    for x, y in (rng.normal(size=(2, 20)), rng.integers(0, 4, size=(2, 20))):
        found = correlate(x, y)["all"]
        expected = kendalltau(x, y, variant="c", alternative="greater")
        assert found.tau == pytest.approx(expected.statistic)
        assert found.p_positive == pytest.approx(expected.pvalue)
        assert -1 <= found.ci_low <= found.tau <= found.ci_high <= 1


def test_points_that_are_alone_in_their_groups_have_the_interval_of_points_without_groups():
    """Resampled within groups of one point nothing would vary: [tau, tau] would be no interval."""
    x, y = np.random.default_rng(2).normal(size=(2, 14))
    plain = correlate(x, y)["all"]
    alone = correlate(x, y, [f"m{at}" for at in range(14)])["all"]
    assert (alone.ci_low, alone.ci_high) == (plain.ci_low, plain.ci_high)
    assert alone.ci_high - alone.ci_low > 0.5
    pairs = correlate(np.tile(x, 2), np.tile(y, 2) + 1e-9, [f"m{at}" for at in range(14)] * 2)
    assert pairs["all"].ci_high - pairs["all"].ci_low > 0.3


def test_what_cannot_be_ranked_has_a_reason():
    assert correlate([1, 2, 3, 4], [1, 2, 3, 4])["all"].reason == "4 points; 5 are needed"
    flat = correlate([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])["all"]
    assert np.isnan(flat.tau)
    assert flat.reason == "all values are equal"


def test_the_largest_pythia_by_its_first_and_last_checkpoints():
    # Six checkpoints of 1.4b (steps 1, 7, 14, 129, 136, 143 thousand): LM score against SS gender.
    lm = [83.14, 90.68, 91.23, 92.64, 92.63, 92.57]
    ss = [54.88, 64.33, 65.19, 66.59, 67.78, 67.58]
    # Of 15 pairs 129-136, 129-143 disagree.
    assert correlate(lm, ss)["all"].tau == pytest.approx(11 / 15)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not part of the project")
@pytest.mark.parametrize(
    ("sizes", "n_points", "expected"),
    [
        (["70m", "160m", "410m", "1.4b"], 83, (0.779, 0.728, 0.720)),
        (SIZES, 104, (0.757, 0.745, 0.697)),
        (["160m"], 21, (0.19, -0.03, 0.34)),
        (["1.4b"], 21, (0.41, 0.69, 0.50)),
    ],
)
def test_the_papers_claim_over_its_checkpoints(sizes, n_points, expected):
    points = [point for point in _published() if point[0] in sizes]
    groups, lm, *scores = zip(*points, strict=True)
    for score, value in zip(scores, expected, strict=True):
        found = correlate(lm, score, groups)
        assert found["all"].n_points == n_points
        assert found["all"].tau == pytest.approx(value, abs=0.006)
        if len(sizes) > 1:
            # What the pooled number hides: it comes from the sizes, not from the checkpoints.
            assert found["between"].tau > 0.75
            assert found["within"].tau < 0.5


def _published():
    """Rows of the table of independently rerun scores: size, LM, SS of three categories."""
    text = REFERENCE.read_text()
    table = text[text.index("### 5.5") : text.index("### 5.6")]
    for line in table.splitlines():
        step, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if step.isdigit():
            for size, cell in zip(SIZES, cells, strict=True):
                if cell != "—":
                    lm, scores = cell.split()
                    yield size, float(lm), *map(float, scores.split("/"))


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_interval_covers_the_truth_with_as_many_points_as_a_size_has_checkpoints(rho):
    rng = np.random.default_rng(2)
    truth, covered, trials = 2 / np.pi * np.arcsin(rho), 0, 600
    for _ in range(trials):
        x, noise = rng.normal(size=(2, 21))
        found = correlate(x, rho * x + (1 - rho**2) ** 0.5 * noise, resamples=999)["all"]
        covered += found.ci_low <= truth <= found.ci_high
    assert 0.925 <= covered / trials <= 0.985
