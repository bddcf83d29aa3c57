"""Intervals against scipy and statsmodels, by hand, and where there can be none."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from src.errors import InputError
from src.statistics.cell import Estimate, cell_estimands, estimates, with_intervals
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Sums, percentage
from src.statistics.intervals import bca, student_interval, wilson
from src.statistics.resample import bootstrap, bootstrap_weights, jackknife, standard_error
from tests.statistics.tables import BENCHMARKS, cell_table, generator

SETTINGS = StatisticsConfig(resamples=2000)


def mean_of(values, combine=lambda sums: sums[:, 0] / sums[:, 1]):
    parts = np.stack([values, np.ones(len(values))], axis=1)
    return Sums(tuple(map(str, range(len(values)))), parts, combine)


def estimand(values, **changes):
    fields = {"category": "c", "metric": "m", "unit": "sd", "ideal": None, "kind": "bias"}
    return Estimand(**fields | {"n": len(values), "model": mean_of(values)} | changes)


def only(found) -> Estimate:
    (one,) = found.values()
    return one


def test_weights_keep_the_size_of_each_stratum():
    strata = np.array([0, 1, 0, 1, 1])
    weights = np.concatenate(list(bootstrap_weights(strata, 500, generator())))
    assert weights.shape == (500, 5)
    assert set(weights[:, strata == 0].sum(axis=1)) == {2}
    assert set(weights[:, strata == 1].sum(axis=1)) == {3}
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.1)


def test_all_resamples_are_equally_likely():
    """Three units: the ten multisets have the multinomial's chances."""
    (weights,) = bootstrap_weights(np.zeros(3, int), 54_000, generator())
    kinds, counts = np.unique(weights, axis=0, return_counts=True)
    chances = stats.multinomial(3, [1 / 3] * 3).pmf(kinds)
    assert stats.chisquare(counts, 54_000 * chances).pvalue > 0.001


def test_the_jackknife_error_of_a_mean_is_the_usual_one():
    values = generator().exponential(size=17)
    model = mean_of(values)
    error, freedom = standard_error(jackknife([model])[0], model.strata)
    assert error == pytest.approx(stats.sem(values))
    assert freedom == 16


def test_the_jackknife_error_of_two_strata_is_welchs():
    x, y = generator().normal(size=7), generator(1).normal(size=12) * 3
    left_out = np.array(
        [np.delete(v, i).mean() * s for v, s in ((x, 1), (y, -1)) for i in range(v.size)]
    )
    error, freedom = standard_error(left_out, np.repeat([0, 1], [7, 12]))
    welch = stats.ttest_ind(x, y, equal_var=False)
    assert freedom == pytest.approx(welch.df)
    assert (x.mean() - y.mean()) / error == pytest.approx(welch.statistic)


@pytest.mark.parametrize("skew", [False, True])
def test_bca_is_scipys(skew):
    """The same resamples are given to both, so that nothing is left to chance."""
    values = generator(3).exponential(size=40) if skew else generator(3).normal(size=40)
    model = mean_of(values)
    resampled = bootstrap([model], 5000, 1)[0]
    found = bca(values.mean(), resampled, jackknife([model])[0], model.strata, 0.9)
    given = SimpleNamespace(bootstrap_distribution=resampled)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=0,
        method="BCa",
        confidence_level=0.9,
        bootstrap_result=given,
    )
    assert found == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


def test_bca_of_two_samples_is_scipys():
    x, y = generator(1).exponential(size=30), generator(2).exponential(size=20) * 2
    in_x = np.repeat([1.0, 0.0], [30, 20])
    parts = np.stack([np.r_[x, 0 * y], in_x, np.r_[0 * x, y], 1 - in_x], axis=1)
    model = Sums(tuple(map(str, range(50))), parts, lambda s: s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3])
    strata = np.repeat([0, 1], [30, 20])
    (weights,) = bootstrap_weights(strata, 3000, generator())
    resampled = model.evaluate(weights)
    found = bca(x.mean() - y.mean(), resampled, jackknife([model])[0], strata, 0.95)
    theirs = stats.bootstrap(
        (x, y),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=0,
        method="BCa",
        bootstrap_result=SimpleNamespace(bootstrap_distribution=resampled),
    )
    assert found == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_value_beyond_all_its_resamples_has_an_interval(side):
    """As ICAT has at its peak, SS 50: every resample of unlike terms is below it."""
    drawn = 50 - side * np.linspace(1, 5, 1000)
    low, high = bca(50.0, drawn, 50 + generator().normal(size=30), np.zeros(30, int), 0.95, 29)
    assert drawn.min() <= low <= high <= drawn.max()


def test_widening_for_few_clusters_ends_at_students_interval():
    """Of a mean of normal values, up to the noise of the resamples."""
    values = stats.norm.ppf((np.arange(12) + 0.5) / 12)
    model = mean_of(values)
    left_out = jackknife([model])[0]
    low, high = bca(0.0, bootstrap([model], 50_000, 0)[0], left_out, model.strata, 0.95, freedom=11)
    error, freedom = standard_error(left_out, model.strata)
    exact = student_interval(0.0, error, freedom, 0.95)
    assert (low, high) == pytest.approx(exact[:2], rel=0.03)
    assert exact[:2] == pytest.approx(DescrStatsW(values).tconfint_mean())


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (130, 262), (1, 105)])
def test_a_plain_proportion_has_wilsons_interval(hits, n):
    outcomes = np.r_[np.ones(hits), np.zeros(n - hits), np.nan]
    found = only(estimates([estimand(outcomes, outcomes=outcomes, unit="%")], SETTINGS))
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert found.interval[:2] == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-9)
    assert found.interval.method == "wilson"
    assert found.interval[:2] == pytest.approx(
        100 * np.array(proportion_confint(hits, n, method="wilson"))
    )
    # Half the width at 50 is 1.96 errors; to find a shift four times in five takes 2.8.
    assert found.mde == pytest.approx(50 * (1.959964 + 0.841621) / math.sqrt(n), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.3], "one cluster only"),
        ([0.3, 0.3, 0.3], "all clusters are alike, so resampling them changes nothing"),
    ],
)
def test_where_resampling_tells_nothing_there_is_no_interval(values, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = only(estimates([estimand(np.array(values))], SETTINGS))
    assert found.interval.method == f"none: {reason}"
    assert math.isnan(found.interval.low)
    assert math.isnan(found.interval.high)
    assert math.isnan(found.mde)


def test_an_often_undefined_ratio_has_no_interval():
    values = np.r_[1.0, np.zeros(9)]
    model = Sums(tuple("abcdefghij"), np.stack([values, values], axis=1), percentage)
    found = only(estimates([estimand(values, model=model)], SETTINGS))
    assert found.interval.method == "none: undefined in more than 1 % of the resamples"


def test_few_clusters_are_told():
    few = only(estimates([estimand(generator().normal(size=4))], SETTINGS)).interval
    assert few.method == "cluster t, 4 clusters: few, so approximate"
    some = only(estimates([estimand(generator().normal(size=9))], SETTINGS)).interval
    assert some.method == "cluster bootstrap BCa, 9 clusters"
    many = only(estimates([estimand(generator().normal(size=30))], SETTINGS)).interval
    assert many.method == "cluster bootstrap BCa"


def test_ends_stay_where_values_can_be():
    made = estimand(np.array([0.0, 90.0, 95.0]), unit="%", bounds=(0.0, 100.0))
    assert only(estimates([made], SETTINGS)).interval[:2] == (0.0, 100.0)


@pytest.mark.parametrize("seed", range(2))
def test_every_metric_of_a_cell_has_an_interval_or_a_reason(seed):
    items = cell_table(generator(seed))
    records = [
        {
            "benchmark": name,
            "scorer": "s",
            **{f: getattr(m, f) for f in ("category", "metric", "kind", "value", "unit")},
        }
        for name, benchmark in BENCHMARKS.items()
        for m in benchmark.metrics(items[items.benchmark == name])
    ]
    filled = with_intervals(records, cell_estimands(BENCHMARKS, items), SETTINGS)
    assert len(filled) == len(records)
    for record in filled:
        method = record["ci_method"]
        if record["kind"] == "count" or record["metric"] == "p_value":
            assert method.startswith("none: ")
        else:
            assert record["ci_low"] <= record["value"] <= record["ci_high"], record
            assert record["mde"] > 0
        assert math.isnan(record["ci_low"]) == method.startswith("none: ")
    assert filled == with_intervals(records, cell_estimands(BENCHMARKS, items), SETTINGS) or any(
        math.isnan(record["mde"]) for record in filled
    )


def test_seeds_and_levels_are_settings():
    values = [estimand(generator().normal(size=25))]
    first = only(estimates(values, SETTINGS)).interval
    assert only(estimates(values, SETTINGS)).interval == first
    assert only(estimates(values, StatisticsConfig(resamples=2000, seed=1))).interval != first
    wide = only(estimates(values, StatisticsConfig(resamples=2000, level=0.99))).interval
    assert wide.low < first.low < first.high < wide.high


@pytest.mark.parametrize(
    ("key", "value"),
    [("level", 1.0), ("alpha", 0.0), ("alpha", 0.5), ("power", 1.5), ("margin", 0.0),
     ("margin_sd", -1.0), ("resamples", 99), ("seed", -1)],
)  # fmt: skip
def test_impossible_settings_are_refused(key, value):
    with pytest.raises(InputError, match=rf"statistics\.{key}={value}"):
        StatisticsConfig(**{key: value})


def test_no_items_have_no_interval():
    assert wilson(0, 0, 0.95).method == "none: no items"
