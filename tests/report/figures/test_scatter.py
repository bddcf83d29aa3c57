"""Figure 1: its points, and tau-c against scipy's."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from scipy.stats import kendalltau

from src.report.figures.registry import NotDrawn
from src.report.figures.scatter import draw_scatter, scatter_data
from src.report.figures.style import look, styled
from tests.report.figures.material import cell, material, outside, record

STEPS = (1000, 7000, 21000, 43000, 72000)
RNG = np.random.default_rng(0)
SCORES = {
    (size, step, how): (80 + 2 * at + RNG.normal(), *(55 + at + 4 * RNG.normal(size=3)))
    for size in ("410m", "70m")
    for at, step in enumerate(STEPS)
    for how in ("none", "ptq")
}


def cells(scores=SCORES):
    return [
        cell(
            f"pythia-{size}-step{step}",
            [
                record("lm_score", "overall", lm),
                *(
                    record("ss", category, value)
                    for category, value in zip(("gender", "race", "religion"), bias, strict=True)
                ),
            ],
            how,
            model={"size": size, "step": step},
            statistics={"resamples": 200},
        )
        for (size, step, how), (lm, *bias) in scores.items()
    ]


def drawn(found):
    data = scatter_data(found)
    with styled():
        (figure,) = draw_scatter(data, found)
        figure.draw_without_rendering()
    return data, figure


@pytest.mark.parametrize(
    ("over", "kept"),
    [
        ("all", lambda key: True),
        ("dense", lambda key: key[2] == "none"),
        ("int8 (ptq)", lambda key: key[2] == "ptq"),
    ],
)
def test_tau_c_and_its_p_are_those_of_scipy(over, kept):
    data = scatter_data(material(cells()))
    (row,) = data.query("row == 'tau-c' and category == 'race' and cells == @over").to_dict(
        "records"
    )
    some = [scores for key, scores in SCORES.items() if kept(key)]
    lm, race = ([scores[at] for scores in some] for at in (0, 2))
    expected = kendalltau(lm, race, variant="c", alternative="greater")
    assert row["n_points"] == len(some)
    assert row["tau"] == pytest.approx(expected.statistic)
    assert row["p_positive"] == pytest.approx(expected.pvalue)
    assert row["ci_low"] <= row["tau"] <= row["ci_high"]


def test_points_stand_at_their_scores_and_later_ones_are_stronger():
    _, figure = drawn(material(cells()))
    gender = figure.axes[0]
    found = [
        c for c in gender.collections if isinstance(c, PathCollection) and len(c.get_offsets())
    ]
    points = {tuple(point) for one in found for point in one.get_offsets()}
    assert points == {scores[:2] for scores in SCORES.values()}
    for one in found:
        alphas = one.get_edgecolors()[:, 3]
        np.testing.assert_allclose(alphas, [0.25, 0.4375, 0.625, 0.8125, 1.0])
    # Dense points are filled, compressed ones open and of another shape.
    filled = [bool(one.get_facecolors()[:, 3].any()) for one in found]
    assert sorted(filled) == [False, False, True, True]
    assert len({len(one.get_paths()[0].vertices) for one in found}) == 2
    assert not outside(figure)


def test_published_points_are_faint_and_have_a_tau_of_their_own():
    steps = list(STEPS)
    published = pd.concat(
        pd.DataFrame(
            {
                "model": "pythia-70m",
                "compression": "dense",
                "step": steps,
                "category": category,
                "metric": metric,
                "value": [1.0, 2.0, 3.0, 4.0, 5.0],
                "source": "somebody 2023",
            }
        )
        for metric, category in (("lm_score", "overall"), ("ss", "gender"))
    )
    data, figure = drawn(material(cells(), published=published))
    (row,) = data.query("cells == 'published dense'").to_dict("records")
    assert (row["category"], row["n_points"], row["tau"]) == ("gender", 5, 1.0)
    assert "published dense" in [text.get_text() for text in figure.axes[3].texts]


def test_few_points_have_no_tau_and_the_reason():
    some = dict(list(SCORES.items())[:4])
    data, figure = drawn(material(cells(some)))
    taus = data.query("row == 'tau-c'")
    assert taus["tau"].isna().all()
    assert "Undefined: 4 points; 5 are needed." in " ".join(
        " ".join(text.get_text().split()) for text in figure.texts
    )


def test_undefined_scores_are_no_points():
    scores = SCORES | {("410m", 1000, "none"): (None, 50.0, 50.0, 50.0)}
    data = scatter_data(material(cells(scores)))
    assert len(data.query("row == 'point'")) == 3 * (len(SCORES) - 1)


def test_without_stereoset_it_is_said():
    with pytest.raises(NotDrawn, match="lm_score and ss"):
        scatter_data(material([cell("m", [record("stereotype_score", "gender", 50.0)])]))


def test_many_models_are_told_apart_sixteen_by_their_colour_alone():
    assert len({look(at).colour for at in range(16)}) == 16
    assert len({(one.colour, one.marker, one.filled) for one in map(look, range(100))}) == 100
