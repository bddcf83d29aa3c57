"""Best checkpoints, trends and series of cells: by hand, against scipy, and by simulation."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from src.statistics.axes import analyse
from src.statistics.best import confidence_set_p
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand, Sums, percentage
from src.statistics.measured_cells import Measured
from src.statistics.resample import bootstrap
from src.statistics.series import place, series
from src.statistics.trend import contrast, trend
from src.tracking.read import Cell

SETTINGS = StatisticsConfig(resamples=500)


def share(hits):
    """The percentage of ones among items."""
    hits = np.asarray(hits, dtype=float)
    units = tuple(map(str, range(len(hits))))
    return Sums(units, np.stack([hits, np.ones_like(hits)], axis=1), percentage)


def confidence_set(models):
    values = np.array([model.evaluate(np.ones((1, len(model.units))))[0] for model in models])
    return confidence_set_p(values, bootstrap(models, 500, 0))


def test_equal_checkpoints_are_tied_and_clearly_worse_ones_are_not():
    rng = np.random.default_rng(0)
    ability = rng.uniform(size=400)
    good = [share(ability + 0.1 * rng.normal(size=400) < 0.9) for _ in range(3)]
    p = confidence_set([share(ability < 0.5), *good, share(ability < 0.8)])
    assert (p >= 0.05).tolist() == [False, True, True, True, False]
    assert p.max() == 1


def test_identical_checkpoints_and_a_certain_difference():
    hits = np.arange(50) % 2
    assert confidence_set([share(hits), share(hits)]).tolist() == [1, 1]
    # Better on every single item: resampling cannot change that.
    assert confidence_set([share(np.zeros(50)), share(np.ones(50))]).tolist() == [0, 1]


@pytest.mark.slow
def test_the_best_checkpoint_is_in_its_set_as_often_as_promised():
    # Equally good ones are the hardest case: any of them may be the truly best one.
    rng = np.random.default_rng(1)
    kept = np.zeros(5)
    for _ in range(300):
        common = rng.normal(size=(174, 1))
        losses = common + 0.5 * rng.normal(size=(174, 5)) + np.r_[0.02, np.zeros(4)]
        weights = rng.multinomial(174, np.full(174, 1 / 174), size=400) / 174
        kept += confidence_set_p(losses.mean(axis=0), (weights @ losses).T) >= 0.05
    assert kept[0] / 300 >= 0.93


def test_the_fitted_rise_by_hand():
    # Ranks 0..3, whatever the spacing; values 1, 2, 4, 5 have the slope 1.4 a rank.
    assert contrast([1, 10, 100, 7000]) @ [1, 2, 4, 5] == pytest.approx(3 * 1.4)
    assert contrast([32, 2, 8, 4]) @ [5, 1, 4, 2] == pytest.approx(3 * 1.4)
    assert contrast([1, 2, 3]) @ [7, 7, 7] == pytest.approx(0)


def test_a_trend_in_the_items_is_found_and_none_is_not():
    rng = np.random.default_rng(2)
    ability = rng.normal(size=300)
    rising = [share(ability + 0.3 * rng.normal(size=300) < level) for level in (0, 0.2, 0.4, 0.6)]
    found = trend(rising, [8, 4, 3, 2], SETTINGS)
    assert found.rise < 0  # bits fall along the list, and the axis is their order
    assert found.ci_high < 0
    assert found.p < 0.001
    assert np.isnan(found.kendall_p)
    flat = [share(ability + 0.3 * rng.normal(size=300) < 0) for _ in range(6)]
    none = trend(flat, range(6), SETTINGS)
    assert none.ci_low < 0 < none.ci_high
    values = [model.evaluate(np.ones((1, 300)))[0] for model in flat]
    assert none.kendall_p == pytest.approx(kendalltau(range(6), values).pvalue)
    same = trend([share(ability < 0)] * 3, range(3), SETTINGS)
    assert (same.rise, same.p) == (0, 1)
    assert same.ci_method.startswith("none")


@pytest.mark.slow
def test_without_a_trend_five_percent_are_found():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(400):
        ability = rng.normal(size=105)
        cells = [share(ability + rng.normal(size=105) < 0) for _ in range(4)]
        found += trend(cells, range(4), StatisticsConfig(resamples=100)).p < 0.05
    assert 0.02 <= found / 400 <= 0.08


def cell(directory="x", state="done", **settings):
    """A cell with dotted settings, an underscore pair for a dot."""
    config: dict = {"model": {"name": "m", "dtype": "float32"}, "compression": {"name": "none"}}
    for key, value in settings.items():
        group, _, name = key.partition("__")
        config[group][name] = value
    return Cell(Path(directory), state, {}, config, [], {}, {}, {})


def steps(*numbers, **settings):
    return [cell(model__name=f"m-step{n}", model__step=n, **settings) for n in numbers]


def test_series_are_found_where_one_ordered_setting_differs():
    small, large = (steps(1000, 1, 7000, model__size=size) for size in ("70m", "1.4b"))
    found = series([*small, *large])
    assert [(one.axis, one.label, one.at) for one in found] == [
        ("model.step", "m 70m none", (1.0, 1000.0, 7000.0)),
        ("model.step", "m 1.4b none", (1.0, 1000.0, 7000.0)),
    ]
    assert found[0].cells == (small[1], small[0], small[2])


def test_the_uncompressed_twin_ends_an_axis_of_bits_or_sparsity():
    rounded = [cell(compression__name="uniform", compression__weight_bits=bits) for bits in (8, 4)]
    (bits,) = series([cell(), *rounded])
    assert bits.at == (4.0, 8.0, 32.0)
    assert bits.cells[-1].config["compression"]["name"] == "none"
    assert bits.label == "m uniform"
    pruned = [cell(compression__name="prune", compression__sparsity=s) for s in (0.5, 0.7)]
    assert series([cell(), *pruned])[0].at == (0.0, 0.5, 0.7)
    seeds = [cell(compression__name="noise", compression__seed=seed) for seed in range(4)]
    assert series([cell(), *seeds]) == []
    assert series([*rounded, cell(model__name="other")]) == []


def test_places_on_an_axis():
    assert [place(value) for value in ("70m", "1.4b", 3, 0.5, "layer", True, None)] == [
        70e6, 1.4e9, 3.0, 0.5, None, None, None,
    ]  # fmt: skip


def stereoset(hits, preferred):
    """Estimands as StereoSet has them, over one term an item."""
    shares = {"lm_score": ("lm", None, share(hits)), "ss": ("bias", 50.0, share(preferred))}
    estimands = [
        Estimand(
            "overall", metric, "%", ideal, kind, len(hits), model, benchmark="stereoset", scorer="s"
        )
        for metric, (kind, ideal, model) in shares.items()
    ]
    return {estimand.key: estimand for estimand in estimands}


def test_a_sweep_over_steps_has_all_three_analyses():
    rng = np.random.default_rng(4)
    ability, taste = rng.uniform(size=(2, 300))
    found = analyse(
        [
            Measured(one, stereoset(ability < lm, taste < ss))
            for one, lm, ss in zip(
                steps(1, 1000, 7000, 14000, 21000, 29000, model__size="70m"),
                (0.5, 0.8, 0.9, 0.95, 0.95, 0.951),
                (0.5, 0.6, 0.61, 0.64, 0.65, 0.67),
                strict=True,
            )
        ],
        SETTINGS,
    )
    (whole,) = found["rank_correlations"]
    assert whole["n_points"] == 6
    assert whole["tau"] > 0.8
    (best,) = found["best"]
    assert best["tied"] == [14000, 21000, 29000]
    assert best["key"] == "lm/stereoset/overall"
    by_key = {row["key"]: row for row in found["trends"]}
    ss = by_key["bias/stereoset/overall"]
    assert ss["verdict"] == "rises steadily"
    assert ss["p_holm"] >= ss["p"]
    assert ss["rise"] > 10


def test_a_sweep_without_an_axis_has_none():
    one = Measured(cell(), stereoset(np.ones(20), np.arange(20) % 2))
    found = analyse([one, one], SETTINGS)
    assert [found[name] for name in ("rank_correlations", "best", "trends")] == [[], [], []]


def test_two_models_of_one_ladder_are_two_series():
    """Their names and ids follow from nothing: neither may take the other's place."""
    ladder = [
        cell(model__name=name, model__id=f"me/{name}", compression__name=f"uniform_{bits}",
             compression__kind="uniform", compression__weight_bits=bits)
        for name in ("one", "two")
        for bits in (8, 4, 2)
    ]  # fmt: skip
    found = {one.label: one for one in series(ladder)}
    assert set(found) == {"one uniform", "two uniform"}
    assert found["one uniform"].cells == tuple(ladder[2::-1])
    assert found["two uniform"].cells == tuple(ladder[:2:-1])
