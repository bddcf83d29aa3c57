"""What can be detected: by hand, against the libraries, and by simulation."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, ttest_1samp
from statsmodels.stats.power import NormalIndPower, TTestPower
from statsmodels.stats.proportion import proportion_effectsize

from src.errors import InputError
from src.statistics import detectable
from src.statistics.power import main

ROOT = Path(__file__).parents[2]


def mid_p(k, n):
    """The mid-p value of k of n at 1/2, from scipy's exact one."""
    return binomtest(k, n).pvalue - (binom.pmf(k, n, 0.5) if 2 * k != n else 0.0)


def test_power_of_the_mcnemar_test_by_hand():
    # All 5 items change sides, so the test is a binomial one of 5 at 1/2: of the outcomes only
    # 0:5 and 5:0 have a mid-p of 1/32 < 0.05 (1:4 has 7/32). With a change of 0.8 an item goes
    # up with probability 0.9.
    assert detectable.mcnemar_power(5, 1.0, 0.8, 0.05) == pytest.approx(0.9**5 + 0.1**5)
    # With 4 nothing is ever rejected: 1/16 > 0.05.
    assert detectable.mcnemar_power(4, 1.0, 0.8, 0.05) == 0


@pytest.mark.parametrize("pairs", [12, 40])
def test_power_averages_over_the_number_of_discordant_pairs(pairs):
    discordance, change = 0.7, 0.3
    share = (discordance + change) / 2 / discordance
    expected = 0.0
    for n in range(1, pairs + 1):
        rejected = [k for k in range(n + 1) if mid_p(k, n) <= 0.05]
        expected += binom.pmf(n, pairs, discordance) * binom.pmf(rejected, n, share).sum()
    assert detectable.mcnemar_power(pairs, discordance, change, 0.05) == pytest.approx(expected)


@pytest.mark.parametrize("pairs", [105, 262, 516])
@pytest.mark.parametrize("discordance", [0.05, 0.2, 0.4])
def test_the_test_keeps_near_its_level_and_its_answers_fit_each_other(pairs, discordance):
    assert detectable.mcnemar_power(pairs, discordance, 0.0, 0.05) <= 0.055
    change = detectable.paired_change(pairs, discordance, 0.05, 0.8)
    if np.isnan(change):
        assert detectable.mcnemar_power(pairs, discordance, discordance, 0.05) < 0.8
        return
    assert detectable.mcnemar_power(pairs, discordance, change, 0.05) == pytest.approx(0.8)
    assert abs(detectable.pairs_needed(change, discordance, 0.05, 0.8) - pairs) <= pairs // 20


def test_pairs_needed_are_near_those_of_the_approximation():
    # Connor (1987), Biometrics 43.
    discordance, change = 0.2, 0.05
    z_a, z_b = norm.ppf(0.975), norm.ppf(0.8)
    connor = ((z_a * discordance**0.5 + z_b * (discordance - change**2) ** 0.5) / change) ** 2
    needed = detectable.pairs_needed(change, discordance, 0.05, 0.8)
    assert needed == pytest.approx(connor, rel=0.02)


def test_independent_scores_agree_with_the_arcsine_approximation():
    items = detectable.items_needed(0.1, 0.5, 0.05, 0.8)
    other = NormalIndPower().solve_power(proportion_effectsize(0.6, 0.5), alpha=0.05, power=0.8)
    assert items == pytest.approx(other, rel=0.01)
    assert detectable.unpaired_change(items, 0.5, 0.05, 0.8) == pytest.approx(0.1, rel=0.01)


def test_pairing_sees_smaller_changes():
    paired = detectable.paired_change(262, 0.1, 0.05, 0.8)
    assert paired < detectable.unpaired_change(262, 0.57, 0.05, 0.8) / 2


def test_change_from_a_standard_error():
    assert detectable.change_from_error(0.02, 0.05, 0.8) == pytest.approx(2.8016 * 0.02, rel=1e-4)
    nine = detectable.change_from_error(0.02, 0.05, 0.8, clusters=9)
    assert TTestPower().power(nine / 0.06, 9, 0.05) == pytest.approx(0.8, abs=0.005)
    assert detectable.clusters_needed(nine, 0.02, 9, 0.05, 0.8) in (9, 10)
    for error, clusters in ((0.0, 9), (float("nan"), 9), (0.02, 1)):
        assert np.isnan(detectable.change_from_error(error, 0.05, 0.8, clusters))


def test_a_change_too_small_for_any_benchmark_is_refused():
    with pytest.raises(InputError, match="more than 100,000,000 items"):
        detectable.items_needed(1e-6, 0.5, 0.05, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize(("pairs", "discordance"), [(105, 0.2), (262, 0.1), (516, 0.3)])
def test_the_stated_power_is_reached_in_simulated_studies(pairs, discordance):
    rng = np.random.default_rng(5)
    change = detectable.paired_change(pairs, discordance, 0.05, 0.8)
    up, down = (discordance + change) / 2, (discordance - change) / 2
    studies = 4000
    counts = rng.multinomial(pairs, [up, down, 1 - discordance], size=studies)
    found = sum(mid_p(int(a), int(a + b)) <= 0.05 for a, b, _ in counts)
    assert found / studies == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / studies) ** 0.5)


@pytest.mark.slow
def test_the_stated_power_is_reached_for_cluster_averages():
    rng = np.random.default_rng(6)
    change = detectable.change_from_error(2.0, 0.05, 0.8, clusters=9)
    studies = rng.normal(change, 2.0 * 3, size=(20_000, 9))
    found = ttest_1samp(studies, 0.0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
def test_equivalence_is_shown_as_often_as_planned():
    rng = np.random.default_rng(7)
    discordance, margin = 0.1, 0.03
    pairs = detectable.equivalence_needed(margin, discordance, 0.05, 0.8)
    half = [discordance / 2] * 2
    up, down, _ = rng.multinomial(pairs, [*half, 1 - discordance], size=20_000).T
    difference, discordant = (up - down) / pairs, (up + down) / pairs
    error = ((discordant - difference**2) / pairs) ** 0.5
    shown = np.abs(difference) + norm.ppf(0.95) * error < margin
    assert shown.mean() == pytest.approx(0.8, abs=0.02)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "src.statistics.power", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_answers_both_questions():
    done = run("--metric", "crows_pairs", "--category", "religion", "--discordance", "0.2",
               "--change", "3")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "105 pairs detect a change of 11.8 points or more" in done.stdout
    assert done.stdout.split()[-3:] == ["points", "1,737", "1,904"]


def test_other_designs(capsys):
    main(["--metric", "seat", "--standard-error", "0.1", "--clusters", "8", "--change", "0.5"])
    assert "8 clusters detect a change of 0.326 sd or more" in capsys.readouterr().out
    main(["--metric", "other", "--items", "40", "--base", "0.5"])
    assert "40 items each detect a change of" in capsys.readouterr().out
    main(["--metric", "other", "--items", "105", "--discordance", "0.04"])
    printed = capsys.readouterr().out
    assert "105 pairs detect no change at all" in printed
    assert "too few change sides" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "crows"], "choose one of: crows_pairs"),
        (["--metric", "crows_pairs"], "give one of --discordance"),
        (["--metric", "crows_pairs", "--base", "0.5", "--discordance", "0.2"], "give one of"),
        (["--metric", "crows_pairs", "--base", "57"], "--base 57 is not possible"),
        (["--metric", "crows_pairs", "--category", "rase", "--base", "0.5"], "mean 'race'"),
        (["--metric", "stereoset", "--discordance", "0.2"], "run a pilot"),
        (["--metric", "seat", "--standard-error", "0.1"], "--clusters of 2 or more"),
        (["--metric", "other", "--base", "0.5"], "give --pairs"),
        (["--metric", "crows_pairs", "--base", "0.5", "--change", "-1"], "a number above 0"),
    ],
)
def test_a_plan_that_cannot_be_is_one_clear_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
