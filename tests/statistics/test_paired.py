"""Paired comparisons: against statsmodels and scipy, by hand, and with nothing changed."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from src.benchmarks.items import AssociationTest
from src.statistics.change import Difference
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Sums, percentage
from src.statistics.mcnemar import Flips, cohens_g, exact_p, flips, mid_p, paired_interval
from src.statistics.paired import compare
from src.statistics.pairing import common_items, compare_cells
from src.statistics.swaps import relabel, swap_test
from tests.statistics.tables import BENCHMARKS, cell_table, generator, said, scores, table

SETTINGS = StatisticsConfig(resamples=2000)


def means(values, **changes):
    """The mean over units, as an estimand in points."""
    parts = np.stack([values, np.ones(len(values))], axis=1)
    model = Sums(tuple(map(str, range(len(values)))), parts, lambda s: s[:, 0] / s[:, 1])
    fields = {"category": "c", "metric": "ss", "unit": "%", "ideal": 50.0, "kind": "bias"}
    return Estimand(**fields | {"n": len(values), "model": model} | changes)


def shares(outcomes):
    outcomes = np.asarray(outcomes, dtype=float)
    counted = ~np.isnan(outcomes)
    parts = np.stack([np.nan_to_num(outcomes), counted], axis=1).astype(float)
    model = Sums(tuple(map(str, range(len(outcomes)))), parts, percentage)
    given = {"model": model, "outcomes": outcomes, "sides": outcomes, "n": int(counted.sum())}
    return means(outcomes, **given, flip=100 / len(outcomes), bounds=(0.0, 100.0))


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (5, 5), (3, 9), (9, 3), (30, 12)])
def test_mcnemar(up, down):
    change = Flips(up, down, 105)
    exact = stats.binomtest(up, up + down).pvalue if up + down else 1.0
    assert exact_p(change) == pytest.approx(exact)
    assert exact_p(change) == pytest.approx(mcnemar([[40, up], [down, 9]], exact=True).pvalue)
    # Mid-p by hand: both tails without half of what was seen.
    of = stats.binom(up + down, 0.5)
    seen = [k for k in range(up + down + 1) if math.isclose(of.pmf(k), of.pmf(up))]
    rarer = [k for k in range(up + down + 1) if of.pmf(k) < of.pmf(up) * (1 - 1e-9)]
    by_hand = sum(of.pmf(k) for k in rarer) + sum(of.pmf(k) for k in seen) / 2
    assert mid_p(change) == pytest.approx(by_hand if up + down else 1.0)


def test_flips_leave_out_what_either_does_not_count():
    first, second = np.array([0, 0, 1, 1, np.nan, 1.0]), np.array([1, 0, 0, 1, 1, np.nan])
    assert flips(first, second) == (1, 1, 4)
    assert cohens_g(Flips(3, 1, 9)) == 0.25
    assert math.isnan(cohens_g(Flips(0, 0, 9)))


def test_the_paired_interval_by_hand():
    """Bonett and Price's: one more flip each way among two items more."""
    low, high = paired_interval(Flips(8, 2, 98), 0.95)
    half = 1.959964 * math.sqrt((0.09 + 0.03 - 0.06**2) / 100)
    assert (low, high) == pytest.approx((100 * (0.06 - half), 100 * (0.06 + half)), rel=1e-6)
    assert paired_interval(Flips(0, 0, 98), 0.95) == pytest.approx((-2.772, 2.772), abs=0.001)


def test_the_swap_test_of_a_mean_is_scipys_sign_flip():
    """All 2^9 of them, against scipy's exhaustive permutation test."""
    first, second = generator(1).normal(size=9), generator(2).normal(0.6, size=9)
    found = swap_test(relabel(means(first).model, means(second).model, 10_000, 0), None)
    theirs = stats.permutation_test(
        (second - first,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found.exhaustive
    assert found.exact == pytest.approx(theirs.pvalue)
    assert found.p == pytest.approx(theirs.pvalue - 1 / 512)  # the observed one and its mirror
    assert found.smallest == pytest.approx(1 / 512)


def test_the_swap_test_by_enumeration_where_the_value_is_no_mean():
    """The same as building every mixed pair of cells by hand, for values and for distances."""
    rng = generator(3)
    a, b = (rng.integers(0, 9, (4, 3)).astype(float) + 1 for _ in range(2))
    combine = lambda s: s[:, 0] * np.minimum(s[:, 1], s[:, 2]) / s[:, 2]  # noqa: E731
    models = [Sums(tuple("abcd"), parts, combine) for parts in (a, b)]
    for ideal in (None, 20.0):
        sizes = []
        for swap in itertools.product([False, True], repeat=4):
            one, two = (
                np.where(np.array(swap)[:, None], b, a),
                np.where(np.array(swap)[:, None], a, b),
            )
            values = [float(combine(parts.sum(axis=0)[None])[0]) for parts in (one, two)]
            away = values if ideal is None else [abs(value - ideal) for value in values]
            sizes.append(abs(away[1] - away[0]))
        sizes = np.array(sizes)
        found = swap_test(relabel(*models, 100, 0), ideal)
        assert found.exact == pytest.approx(np.mean(sizes >= sizes[0] - 1e-9))
        equal = np.isclose(sizes, sizes[0])
        assert found.p == pytest.approx(np.mean(sizes > sizes[0] + 1e-9) + np.mean(equal) / 2)


def test_random_swaps_come_near_all_swaps():
    first, second = generator(1).normal(size=12), generator(2).normal(0.5, size=12)
    models = means(first).model, means(second).model
    every, some = (swap_test(relabel(*models, draws, 0), None) for draws in (5000, 4000))
    assert (every.exhaustive, some.exhaustive) == (True, False)
    assert some.p == pytest.approx(every.p, abs=0.02)
    assert some.exact >= 1 / 4000


def test_weights_are_the_same_on_both_cells():
    """A constant shift has no spread, however much the items scatter."""
    values = generator().normal(50, 20, size=40)
    (row,) = compare([(means(values), means(values + 4))], SETTINGS)
    assert row.difference == pytest.approx(4)
    assert row.ci_method == "none: all clusters are alike, so resampling them changes nothing" or (
        row.ci_high - row.ci_low < 1e-9
    )


def test_a_difference_of_means_agrees_with_the_paired_t_interval():
    first, second = generator(1).normal(50, 10, size=60), generator(2).normal(53, 10, size=60)
    (row,) = compare([(means(first), means(second))], StatisticsConfig(resamples=20_000))
    exact = stats.ttest_rel(second, first)
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(exact.confidence_interval()), abs=0.35)
    assert row.p == pytest.approx(exact.pvalue, abs=0.02)
    assert row.effect_size == pytest.approx(exact.statistic / math.sqrt(60))
    assert row.mde == pytest.approx(
        (stats.t.ppf(0.975, 59) + stats.t.ppf(0.8, 59)) * stats.sem(second - first)
    )


@pytest.mark.parametrize(("shift", "equivalent"), [(0.0, True), (2.6, False), (5.0, False)])
def test_equivalence_is_two_one_sided_t_tests(shift, equivalent):
    from statsmodels.stats.weightstats import ttost_paired

    values = generator(1).normal(50, 10, size=80)
    other = values + shift + stats.norm.ppf((np.arange(80) + 0.5) / 80) * 3
    (row,) = compare([(means(values), means(other))], SETTINGS)
    assert row.equivalent is equivalent
    assert (ttost_paired(other, values, -3, 3)[0] < 0.05) == equivalent
    assert row.margin == 3.0


def test_percentages_are_compared_by_their_flips():
    first = [0] * 40 + [1] * 60
    second = [1] * 9 + [0] * 31 + [0] * 2 + [1] * 58
    (row,) = compare([(shares(first), shares(second))], SETTINGS)
    assert (row.value_a, row.value_b, row.difference) == (60.0, 67.0, 7.0)
    assert (row.test, row.p, row.p_exact) == (
        "McNemar mid-p",
        mid_p(Flips(9, 2, 100)),
        exact_p(Flips(9, 2, 100)),
    )
    assert (row.flips_to_stereo, row.flips_to_anti) == (9, 2)
    assert (row.ci_low, row.ci_high) == paired_interval(Flips(9, 2, 100), 0.95)
    assert row.effect_size == pytest.approx(9 / 11 - 0.5)
    assert row.p_smallest == 0.5**11
    # 60 -> 67 is 7 farther from 50.
    assert row.distance_difference == 7.0
    assert row.distance_ci_low <= 7.0 <= row.distance_ci_high


def test_a_score_that_crosses_the_ideal_may_keep_its_distance():
    first, second = [0] * 40 + [1] * 60, [0] * 60 + [1] * 40
    (row,) = compare([(shares(first), shares(second))], SETTINGS)
    assert (row.difference, row.distance_difference) == (-20.0, 0.0)
    assert row.p < 0.001
    assert row.distance_p > 0.2


@pytest.mark.parametrize("ties", [0, 3])
def test_without_a_flip_there_is_an_interval_and_no_finding(ties):
    outcomes = np.r_[np.zeros(40), np.ones(60 - ties), np.full(ties, np.nan)]
    (row,) = compare([(shares(outcomes), shares(outcomes))], SETTINGS)
    assert (row.difference, row.p, row.p_smallest) == (0.0, 1.0, 1.0)
    assert row.ci_low == pytest.approx(-row.ci_high)
    assert 2 < row.ci_high < 4
    assert row.equivalent  # 90 % interval: 2.3 points each way
    assert math.isnan(row.mde)  # so few flips would not be found whatever way they went


def test_ties_in_one_cell_only_leave_no_plain_percentage():
    first, second = np.r_[np.zeros(40), np.ones(60)], np.r_[np.nan, np.zeros(39), np.ones(60)]
    (row,) = compare([(shares(first), shares(second))], SETTINGS)
    assert row.test.startswith("swaps of clusters")
    assert row.difference == pytest.approx(100 * 60 / 99 - 60)


def test_few_changed_clusters_do_not_make_a_narrow_interval():
    """One of 30 terms changed by one item: resampling alone would say [0, small]."""
    first = generator().normal(50, 10, size=30)
    second = first + np.r_[4.0, np.zeros(29)]
    flip = 100 / 600
    (row,) = compare([(means(first, flip=flip), means(second, flip=flip))], SETTINGS)
    error = math.hypot(stats.sem(second - first), math.sqrt(2) * flip)
    half = stats.t.ppf(0.975, 29) * error
    assert (row.ci_low, row.ci_high) == pytest.approx((4 / 30 - half, 4 / 30 + half))
    assert row.ci_method == "cluster t, 1 clusters changed"


def test_a_set_of_one_word_has_no_detectable_change_either():
    """Its own scatter is unknown, and an error without it would promise too much."""
    seat, found = BENCHMARKS["seat"], []
    for words in (["John"], ["John", "Paul", "Mike"]):
        x, y = said(words), said(["Amy", "Joan", "Lisa"][: len(words)])
        test = AssociationTest("sent-c", "religion", "sent-c", x, y, ("a",), ("b",))
        answers = [scores([test], generator(seed)) for seed in (1, 2)]
        tables = [seat.tabulate([test], one, None) for one in answers]
        one, two = (table.assign(benchmark="seat", scorer="s") for table in tables)
        rows = compare_cells(one, two, {"seat": seat}, SETTINGS)
        row = next(row for row in rows if row.metric == "mean_abs_effect_size" and not row.reason)
        found.append((row.ci_method.startswith("none"), math.isnan(row.mde), row.p < 1))
    assert found == [(True, True, True), (False, False, True)]


def test_terms_whose_lm_score_changed_have_not_changed_in_ss():
    """Else SS of one flip would have an interval as of many, and of none a p below 1."""
    before = cell_table(generator(1)).query("benchmark == 'stereoset'").reset_index(drop=True)
    after = before.copy()
    after["lm_stereotype"] = 1 - after["lm_stereotype"]
    rows = compare_cells(before, after, BENCHMARKS, SETTINGS)
    for row in rows:
        if row.metric in ("ss", "lm_anti_stereotype"):
            assert (row.difference, row.p, row.p_smallest) == (0.0, 1.0, 1.0)
            assert row.ci_method == "cluster t, 0 clusters changed"
        elif row.metric == "lm_stereotype":
            assert row.p < 1


@pytest.mark.parametrize("flip", [1.0, math.nan])
def test_one_cluster_without_a_change_shows_no_equivalence(flip):
    one = means(np.array([50.0]), flip=flip)
    (row,) = compare([(one, one)], SETTINGS)
    assert row.ci_method == "none: one cluster only"
    assert math.isnan(row.ci_low)
    assert row.equivalent is None


def test_a_paired_interval_that_is_wider_than_need_be_says_so():
    methods = []
    for flips_up in (3, 30):
        first, second = [0] * 60 + [1] * 40, [1] * flips_up + [0] * (60 - flips_up) + [1] * 40
        (row,) = compare([(shares(first), shares(second))], SETTINGS)
        methods.append(row.ci_method)
    assert methods == ["paired, Bonett-Price, 3 flips: wider than need be", "paired, Bonett-Price"]


def test_undefined_and_unlike_estimands_are_not_compared():
    one = means(np.arange(4.0))
    for other in (replace(one, reason="all skipped"), means(np.arange(5.0))):
        (row,) = compare([(one, other)], SETTINGS)
        assert row.reason
        assert row.ci_method == f"none: {row.reason}"
        assert math.isnan(row.difference)
        assert row.equivalent is None


def test_a_cell_compared_with_itself_has_changed_nowhere():
    items = cell_table(generator())
    rows = compare_cells(items, items, BENCHMARKS, SETTINGS)
    assert {row.benchmark for row in rows} == set(BENCHMARKS)
    for row in rows:
        assert (row.difference, row.p, row.reason) == (0.0, 1.0, "")
        assert row.ci_low <= 0 <= row.ci_high
        assert row.flips_to_stereo in (0, None)


def test_exchanging_the_cells_turns_every_sign():
    one, two = cell_table(generator(1)), cell_table(generator(2))
    there, back = (compare_cells(*pair, BENCHMARKS, SETTINGS) for pair in ((one, two), (two, one)))
    for a, b in zip(there, back, strict=True):
        assert a.difference == pytest.approx(-b.difference)
        assert (a.n, a.value_a, a.value_b) == (b.n, b.value_b, b.value_a)
        assert (a.flips_to_stereo, a.flips_to_anti) == (b.flips_to_anti, b.flips_to_stereo)
        assert a.p == pytest.approx(b.p, abs=0.05)


def test_cells_are_compared_on_the_items_that_both_scored():
    one, two = cell_table(generator(1), skip=0.3), cell_table(generator(2), skip=0.3)
    a, b = common_items(one, two.sample(frac=1, random_state=0))
    assert list(a.item_id) == list(b.item_id)
    assert not {"skipped"} & ({*a.decision} | {*b.decision})
    both = set(one.item_id[one.decision != "skipped"]) & set(two.item_id[two.decision != "skipped"])
    assert set(a.item_id) == both
    rows = compare_cells(one, two, BENCHMARKS, SETTINGS)
    (row,) = (r for r in rows if (r.category, r.metric) == ("overall", "stereotype_score"))
    assert row.n == (a.benchmark == "crows_pairs").sum()
    hits = 100 * np.mean(a.decision[a.benchmark == "crows_pairs"] == "more")
    assert row.value_a == pytest.approx(hits)


def test_an_item_of_the_same_id_and_other_words_is_another_item():
    one = table("seat", generator(1)).assign(benchmark="seat", scorer="s")
    two = one.copy()
    two.at[0, "words_x"] = ["other", *two.at[0, "words_x"][1:]]
    assert list(common_items(one, two)[0].item_id) == ["sent-b", "sent-c"]


def test_one_benchmark_is_enough():
    one, two = (
        table("crows_pairs", generator(seed)).assign(benchmark="crows_pairs", scorer="s")
        for seed in (1, 2)
    )
    rows = compare_cells(one, two, BENCHMARKS, SETTINGS)
    assert {row.benchmark for row in rows} == {"crows_pairs"}


def test_the_distance_is_a_difference_of_distances():
    model = Difference(
        means(np.array([40.0, 52.0])).model, means(np.array([70.0, 58.0])).model, 50.0
    )
    assert model.evaluate(np.ones((1, 2)))[0] == pytest.approx(14.0 - 4.0)


def test_scorers_are_compared_each_with_itself():
    """A cell may hold several scorers' answers to an item; of two without a shared one, both."""
    tables = [table("crows_pairs", generator(s)).assign(benchmark="crows_pairs") for s in range(4)]
    one = pd.concat([tables[0].assign(scorer="a"), tables[1].assign(scorer="b")])
    two = pd.concat([tables[2].assign(scorer="a"), tables[3].assign(scorer="b")])
    both = compare_cells(one, two, BENCHMARKS, SETTINGS)
    for number, scorer in enumerate("ab"):
        alone = compare_cells(
            tables[number].assign(scorer=scorer),
            tables[number + 2].assign(scorer=scorer),
            BENCHMARKS,
            SETTINGS,
        )
        assert repr(alone) == repr([row for row in both if row.scorer == scorer])
    apart = compare_cells(
        tables[0].assign(scorer="a"), tables[3].assign(scorer="b"), BENCHMARKS, SETTINGS
    )
    assert {row.scorer for row in apart} == {"a, b"}
