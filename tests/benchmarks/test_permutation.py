"""The permutation test against enumeration, scipy, an exact count, and its own promises."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from src.benchmarks.permutation import _random_sums, permutation_p_value


def by_enumeration(x, y):
    """Every re-partition, in exact arithmetic."""
    pool = [Fraction(str(value)) for value in (*x, *y)]
    observed = sum(pool[: len(x)])
    sums = [sum(part) for part in itertools.combinations(pool, len(x))]
    return sum(s >= observed for s in sums) / len(sums)


def by_counting(x, y):
    """Exact share for non-negative integers: the number of subsets of each size and sum."""
    total = sum(x) + sum(y)
    ways = [[0] * (total + 1) for _ in range(len(x) + 1)]
    ways[0][0] = 1
    for value in (*x, *y):
        for size in range(len(x) - 1, -1, -1):
            for s in range(total - value, -1, -1):
                ways[size + 1][s + value] += ways[size][s]
    return sum(ways[len(x)][sum(x) :]) / math.comb(2 * len(x), len(x))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_small_sets_are_enumerated_exactly_ties_included(n, seed):
    rng = np.random.default_rng(seed)
    # Decimal values on a coarse grid: sums tie often, and floating point would miss some of them.
    x, y = (rng.integers(-4, 5, size=n) / 10 for _ in range(2))
    p = permutation_p_value(x, y, 100_000, rng)
    assert p == by_enumeration(x.tolist(), y.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_exact_branch_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=7), rng.normal(size=7)
    reference = stats.permutation_test(
        (x, y), lambda a, b: a.sum(), n_resamples=np.inf, alternative="greater", vectorized=False
    )
    assert permutation_p_value(x, y, 100_000, rng) == pytest.approx(reference.pvalue, abs=1e-12)


@pytest.mark.parametrize(("n", "seed"), [(10, 0), (16, 1), (33, 2), (52, 3)])
def test_sampled_branch_is_unbiased(n, seed):
    """Within five standard errors of the exact share, for sizes that do and do not fill bytes."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, size=n), rng.integers(0, 6, size=n)
    exact, draws = by_counting(x.tolist(), y.tolist()), 150_000
    p = permutation_p_value(x.astype(float), y.astype(float), draws, rng)
    assert p == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / draws))


def test_sampled_branch_agrees_with_scipys_sampling():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.3, 1, size=56), rng.normal(size=56)
    reference = stats.permutation_test(
        (x, y),
        lambda a, b, axis: a.sum(axis=axis),
        n_resamples=20_000,
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(6),
    ).pvalue
    error = math.sqrt(reference * (1 - reference) * (1 / 20_000 + 1 / 100_000))
    p = permutation_p_value(x, y, 100_000, rng)
    assert p == pytest.approx(reference, abs=5 * error)


@pytest.mark.parametrize(("n", "size"), [(4, 2), (9, 8), (10, 1)])
def test_random_subsets_are_uniform(n, size):
    """Powers of two as values, so that a sum tells its subset."""
    wanted = np.zeros(n + 1, dtype=np.int64)
    wanted[size] = 30_000
    sums = _random_sums(2.0 ** np.arange(n), wanted, np.random.default_rng(0))
    subsets, counts = np.unique(sums, return_counts=True)
    assert len(subsets) == math.comb(n, size)
    assert all(int(s).bit_count() == size for s in subsets)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_sampled_p_is_never_below_one_over_n():
    x, y = np.arange(20.0) + 100, np.arange(20.0)
    assert permutation_p_value(x, y, 5000, np.random.default_rng(0)) == 1 / 5000
    assert permutation_p_value(y, x, 5000, np.random.default_rng(0)) == 1.0


def test_one_permutation_is_the_observed_one():
    x, y = np.arange(20.0), np.arange(20.0) - 1
    assert permutation_p_value(x, y, 1, np.random.default_rng(0)) == 1.0


@pytest.mark.parametrize("n", [5, 30])
def test_equal_values_tie_in_every_repartition(n):
    x = np.full(n, 0.1)
    assert permutation_p_value(x, x.copy(), 2000, np.random.default_rng(0)) == 1.0


def test_ties_do_not_depend_on_the_order_of_adding():
    rng = np.random.default_rng(1)
    values = rng.permutation(np.repeat([0.1, 0.2, 0.3, 0.7], 20))
    x, y = values[:40], values[40:]
    integers = (values * 10).round()
    p = permutation_p_value(x, y, 50_000, np.random.default_rng(2))
    assert p == permutation_p_value(integers[:40], integers[40:], 50_000, np.random.default_rng(2))


def test_more_draws_than_fit_at_once():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=12), rng.integers(0, 3, size=12)
    exact = by_counting(x.tolist(), y.tolist())
    p = permutation_p_value(x.astype(float), y.astype(float), 1_100_000, rng)
    assert p == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 1_100_000))


def test_nan_gives_nan_and_unequal_sizes_are_refused():
    x = np.array([0.1, np.nan])
    rng = np.random.default_rng(0)
    assert math.isnan(permutation_p_value(x, np.zeros(2), 100, rng))
    with pytest.raises(ValueError, match="not 2 and 3"):
        permutation_p_value(x, np.zeros(3), 100, rng)


@pytest.mark.parametrize("shift", [0.9, 0.2, 0.0, -0.4])
def test_mirrored_draws_estimate_at_least_as_well_as_independent_ones(shift):
    rng = np.random.default_rng(5)
    x, y = rng.normal(shift, 1, 9), rng.normal(size=9)
    exact = permutation_p_value(x, y, math.comb(18, 9), rng)
    draws = 400
    found = [permutation_p_value(x, y, draws + 1, np.random.default_rng(n)) for n in range(800)]
    hits = np.array(found) * (draws + 1) - 1
    independent = draws * exact * (1 - exact)
    assert hits.mean() == pytest.approx(draws * exact, abs=4 * math.sqrt(independent / 800))
    assert hits.var() < 1.15 * independent
