"""Simulated studies: intervals cover the truth, and tests find nothing where there is nothing.

Data are like the benchmarks': proportions near one half, terms of the size of StereoSet's that
scatter around it, words and templates with effects of their own.
"""

import functools
import itertools

import numpy as np
import pytest

from src.benchmarks.seat_units import Crossed, Effects, Targets
from src.statistics.cell import interval_of
from src.statistics.change import Difference, of_model
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Sums
from src.statistics.intervals import folded_interval, wilson
from src.statistics.mcnemar import Flips, exact_p, mid_p, paired_interval
from src.statistics.resample import resample
from src.statistics.swaps import relabel, swap_test

pytestmark = pytest.mark.slow
SETTINGS = StatisticsConfig(resamples=1999)
REPLICATIONS = 3000
TERMS = {
    9: (25, 29, 25, 28, 27, 26, 30, 24, 27),
    30: (
        *(23, 24, 24, 24, 24, 24, 25, 25, 26, 26, 26, 27, 27, 27, 27),
        *(27, 27, 27, 28, 28, 28, 28, 28, 29, 29, 29, 30, 30, 31, 32),
    ),
}
"""Items of each term, as in StereoSet's test split (religion) and its dev split (profession)."""


def of_terms(rates):
    parts = np.stack([rates, np.ones(len(rates))], axis=1)
    return Sums(tuple(map(str, range(len(rates)))), parts, lambda s: 100 * s[:, 0] / s[:, 1])


@pytest.mark.parametrize("n", [105, 262, 1508])
@pytest.mark.parametrize("share", [0.5, 0.6])
def test_wilson_covers(n, share):
    intervals = [wilson(hits, n, 0.95)[:2] for hits in range(n + 1)]
    hits = np.random.default_rng(1).binomial(n, share, 100_000)
    low, high = np.array(intervals)[hits].T
    assert 0.93 <= np.mean((low <= 100 * share) & (100 * share <= high)) <= 0.97


@pytest.mark.parametrize("clusters", TERMS)
@pytest.mark.parametrize("share", [0.5, 0.6])
@pytest.mark.parametrize("alike", [0.02, 0.1, 0.3])
def test_macro_averages_are_covered(clusters, share, alike):
    """`alike` is the correlation of two items of a term."""
    rng = np.random.default_rng(1)
    sizes, covered = np.array(TERMS[clusters]), []
    a, b = (part * (1 - alike) / alike for part in (share, 1 - share))
    for seed in range(REPLICATIONS):
        rates = rng.binomial(sizes, rng.beta(a, b, clusters)) / sizes
        model = of_terms(rates)
        (values,) = resample([model], SETTINGS.resamples, seed)
        low, high, _ = interval_of(100 * rates.mean(), values, model.strata, 0.95)
        covered.append(low <= 100 * share <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


def paired_terms(rng, clusters, flips, shift=0.0):
    """Outcomes of two cells: items of a term alike, a share of them drawn anew in the second."""
    sizes = np.array(TERMS[clusters])
    share = np.repeat(rng.beta(4.5, 4.5, clusters), sizes)
    first = rng.random(sizes.sum()) < share
    again = rng.random(sizes.sum()) < share + shift / flips
    second = np.where(rng.random(sizes.sum()) < flips, again, first)
    terms = np.repeat(np.arange(clusters), sizes)
    return [of_terms(np.bincount(terms, cell) / sizes) for cell in (first, second)]


@pytest.mark.parametrize("clusters", TERMS)
@pytest.mark.parametrize("flips", [0.1, 0.4])
def test_paired_changes_of_macro_averages_are_covered(clusters, flips):
    rng, covered = np.random.default_rng(2), []
    effective = clusters**2 / (1 / np.array(TERMS[clusters])).sum()
    for seed in range(REPLICATIONS):
        first, second = paired_terms(rng, clusters, flips)
        one, two = (
            Estimand("c", "ss", "%", 50.0, "bias", 9, model, flip=100 / effective)
            for model in (first, second)
        )
        (drawn,) = resample([Difference(first, second)], SETTINGS.resamples, seed)
        change = of_model(one, two, None, drawn, relabel(first, second, 2, 0), SETTINGS)
        covered.append(change.interval.low <= 0 <= change.interval.high)
    assert 0.93 <= np.mean(covered) <= 0.975


@pytest.mark.parametrize("clusters", TERMS)
@pytest.mark.parametrize("ideal", [None, 50.0])
def test_the_swap_test_finds_a_difference_in_one_of_twenty_without_one(clusters, ideal):
    """Its exact p never finds more. Distances from 50 it finds a little more rarely.

    Near 50 both cells' distances may be the same though their values are not, and such ties make
    any test of them careful.
    """
    rng, found = np.random.default_rng(3), []
    for seed in range(REPLICATIONS):
        cells = paired_terms(rng, clusters, 0.3)
        found.append(swap_test(relabel(*cells, 600, seed), ideal)[:2])
    mid, exact = (np.array(found) < 0.05).mean(axis=0)
    assert (0.04 if ideal is None else 0.03) <= mid <= 0.06
    assert exact <= 0.06


@functools.cache
def p_values(most):
    """p of every number of flips up and down, mid and exact."""
    mid, exact = np.ones((2, most + 1, most + 1))
    for up, down in itertools.product(range(most + 1), repeat=2):
        if up + down <= most:
            mid[up, down] = mid_p(Flips(up, down, most))
            exact[up, down] = exact_p(Flips(up, down, most))
    return mid, exact


@pytest.mark.parametrize(
    ("n", "flips"), [(105, 0.2), (105, 0.3), (105, 0.5), (262, 0.1), (262, 0.3)]
)
def test_mcnemars_mid_p_finds_a_difference_in_one_of_twenty_without_one(n, flips):
    changed = np.random.default_rng(4).binomial(n, flips, 200_000)
    up = np.random.default_rng(5).binomial(changed, 0.5)
    mid, exact = (p[up, changed - up] for p in p_values(n))
    assert 0.04 <= np.mean(mid < 0.05) <= 0.06
    # The reason why the exact test does not decide.
    assert np.mean(exact < 0.05) < 0.04


@pytest.mark.parametrize(("n", "flips"), [(105, 0.05), (105, 0.2), (262, 0.1), (262, 0.3)])
@pytest.mark.parametrize("up_share", [0.5, 0.7])
def test_paired_percentages_are_covered(n, flips, up_share):
    changed = np.random.default_rng(6).binomial(n, flips, 40_000)
    up = np.random.default_rng(7).binomial(changed, up_share)
    studies = list(zip(up.tolist(), (changed - up).tolist(), strict=True))
    known = {study: paired_interval(Flips(*study, n), 0.95) for study in set(studies)}
    low, high = np.array([known[study] for study in studies]).T
    truth = 100 * flips * (2 * up_share - 1)
    # With five flips the interval is wider than need be, as no narrower one is safe.
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= (0.97 if n * flips > 10 else 1)


@pytest.mark.parametrize("words", [8, 16])
def test_effect_sizes_are_covered(words):
    """Words scatter most, templates and what is left less, as real associations do."""
    rng, covered, templates, truth = np.random.default_rng(8), [], 8, 0.8
    spread = np.array([1.0, 0.3, 0.5])  # word, template, rest
    total = np.sqrt((spread**2).sum() / (1 - truth**2 / 4))
    word = np.repeat(np.arange(2 * words), templates)
    template = np.tile(np.arange(templates), 2 * words)
    strata = np.repeat([0, 1, 2], [words, words, templates])
    for seed in range(1500):
        values = (
            rng.normal(0, spread[0], 2 * words)[word]
            + rng.normal(0, spread[1], templates)[template]
            + rng.normal(0, spread[2], word.size)
            + np.where(word < words, 1, -1) * truth * total / 2
        )
        targets = Targets(values, word < words, word, 2 * words + template)
        names = tuple(map(str, range(strata.size)))
        model = Crossed(names, strata, strata < 2, Effects([targets]), lambda d: d[:, 0])
        (drawn,) = resample([model], 999, seed)
        value = float(model.evaluate(np.ones((1, strata.size)))[0])
        low, high, _ = interval_of(value, drawn, strata, 0.95)
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.98


def seat_pair(rng, truth, words=8, templates=6):
    """One test in two cells that differ by chance: words, templates and sentences move alike."""
    word = np.repeat(np.arange(2 * words), templates)
    template = np.tile(np.arange(templates), 2 * words)
    strata = np.repeat([0, 1, 2], [words, words, templates])

    def scattered(size):
        by_word, by_template = rng.normal(0, size, 2 * words), rng.normal(0, 0.3 * size, templates)
        return by_word[word] + by_template[template] + rng.normal(0, 0.5 * size, word.size)

    common = scattered(1.0) + np.where(word < words, 1, -1) * truth * 0.58
    cells = []
    for _ in range(2):
        targets = Targets(common + scattered(0.3), word < words, word, 2 * words + template)
        names = tuple(map(str, range(strata.size)))
        effects = Effects([targets])
        cells.append(Crossed(names, strata, strata < 2, effects, lambda d: np.abs(d[:, 0])))
    return cells


@pytest.mark.parametrize("truth", [0.0, 0.8])
def test_words_of_seat_are_swapped_with_one_finding_in_twenty_without_a_change(truth):
    rng = np.random.default_rng(10)
    p = [swap_test(relabel(*seat_pair(rng, truth), 600, seed), None).p for seed in range(2500)]
    assert 0.04 <= np.mean(np.array(p) < 0.05) <= 0.06


@pytest.mark.parametrize("truth", [0.0, 0.8])
def test_changes_of_absolute_effect_sizes_are_covered(truth):
    rng, covered = np.random.default_rng(11), []
    for seed in range(600):
        model = Difference(*seat_pair(rng, truth))
        (drawn,) = resample([model], 999, seed)
        value = float(model.evaluate(np.ones((1, model.strata.size)))[0])
        low, high, _ = interval_of(value, drawn, model.strata, 0.95)
        covered.append(low <= 0 <= high)
    # Wider than need be where there is no effect, as |d| folds its scatter there.
    assert 0.93 <= np.mean(covered) <= (0.97 if truth else 1.0)


@pytest.mark.parametrize("tests", [4, 17])
@pytest.mark.parametrize("size", [0.0, 0.3, 0.6, 1.2, None])
def test_means_of_absolute_values_are_covered(tests, size):
    """Of effects of one size, or (None) of all sizes up to 1, known with an error of 0.4."""
    rng = np.random.default_rng(9)
    effects = np.linspace(-1, 1, tests) if size is None else np.full(tests, size)
    covered = []
    for _ in range(REPLICATIONS):
        found = rng.normal(effects, 0.4)
        resampled = np.abs(rng.normal(found, 0.4, (999, tests))).mean(axis=1)
        low, high = folded_interval(np.abs(found).mean(), resampled, 0.95, 50)
        covered.append(low <= np.abs(effects).mean() <= high)
    # Wider than need be where most effects are small, as the bias is not known.
    assert 0.91 <= np.mean(covered) <= 1.0
