"""The front, against a plain loop, and its drawing."""

import itertools

import numpy as np
import pandas as pd
import pytest

from src.report.figures.pareto import (
    BEATEN,
    FRONT,
    MAYBE,
    distances,
    draw_pareto,
    pareto_data,
    standings,
)
from src.report.figures.registry import NotDrawn
from src.report.figures.style import styled
from tests.report.figures.material import cell, material, outside, record


def table(*rows):
    names = ("bytes", "lm", "lm_ci_low", "lm_ci_high", "bias", "bias_ci_low", "bias_ci_high")
    return pd.DataFrame(rows, columns=names, dtype=float)


def test_standings_by_hand():
    found = standings(
        table(
            (10, 80, 78, 82, 5, 4, 6),  # front
            (20, 90, 88, 92, 5, 4, 6),  # larger and better at language modelling: front
            (20, 79, 77, 81, 6, 5, 7),  # beaten by the first, whose intervals overlap
            (30, 60, 58, 62, 9, 8, 10),  # beaten by the first on both sides beyond its intervals
            (30, 60, 58, 62, 9, np.nan, np.nan),  # the same, but its bias could be anything
            (30, 85, 83, 87, 9, 8, 10),  # beaten by the second; LM of the second is surely better
            (9, 10, 9, 11, 40, 30, 50),  # the smallest one cannot be beaten
        )
    )
    assert found == [FRONT, FRONT, MAYBE, BEATEN, MAYBE, BEATEN, FRONT]


def test_equal_cells_are_both_on_the_front():
    row = (10, 80, 78, 82, 5, 4, 6)
    assert standings(table(row, row)) == [FRONT, FRONT]


def test_standings_are_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 5, (60, 3)).astype(float)
    half = rng.uniform(0, 2, (60, 2))
    rows = table(
        *(
            (size, lm, lm - a, lm + a, bias, bias - b, bias + b)
            for (size, lm, bias), (a, b) in zip(values, half, strict=True)
        )
    )
    expected = []
    for at in range(60):
        standing = FRONT
        for other in range(60):
            size, lm, bias = values[other] - values[at]
            if size <= 0 and lm >= 0 and bias <= 0 and (size < 0 or lm > 0 or bias < 0):
                standing = MAYBE if standing == FRONT else standing
            a, b = half[other] + half[at]
            if other != at and size <= 0 and lm - a >= 0 and bias + b <= 0:
                standing = BEATEN
        expected.append(standing)
    assert standings(rows) == expected
    assert set(expected) == {FRONT, MAYBE, BEATEN}


def test_distances_from_the_ideal_by_hand():
    rows = pd.DataFrame(
        {
            "value": [60.0, 40.0, 51.0, 60.0],
            "ideal": 50.0,
            "ci_low": [57.0, 36.0, 45.0, np.nan],
            "ci_high": [63.0, 44.0, 57.0, np.nan],
        }
    )
    found = pd.DataFrame(distances(rows))
    np.testing.assert_array_equal(
        found, [[10, 7, 13], [10, 6, 14], [1, 0, 7], [10, np.nan, np.nan]]
    )


def cells(count=2, name="m", **more):
    return [
        cell(
            f"{name}-step{step}",
            [
                record("lm_score", "overall", 80.0 - at, 78.0 - at, 82.0 - at),
                record("stereotype_score", "overall", 60.0 - at, 57.0 - at, 63.0 - at),
                record("mean_abs_effect_size", "overall", 0.5, None, None),
            ],
            f"uniform_{at}" if at else "none",
            receipt={"disk_bytes": 1_000_000 * (count - at)},
            model={"step": step},
            **more,
        )
        for at in range(count)
        for step in (1, 5)
    ]


def drawn(found):
    data = pareto_data(found)
    with styled():
        (figure,) = draw_pareto(data, found)
        figure.draw_without_rendering()
    return data, figure


def test_the_last_checkpoint_of_each_model_is_taken():
    data, figure = drawn(material(cells()))
    assert set(data["step"]) == {5}
    assert list(data["metric"].drop_duplicates()) == ["stereotype_score", "mean_abs_effect_size"]
    assert list(data["bytes"]) == [2e6, 1e6] * 2
    assert list(data["bias"]) == [10.0, 9.0, 0.5, 0.5]
    lm, _, bias, _ = figure.axes
    marks = {
        tuple(map(float, line.get_xydata()[0])) for line in lm.lines if line.get_marker() == "o"
    }
    assert marks == {(2e6, 80.0), (1e6, 79.0)}
    lines = [line.get_ydata() for line in bias.lines if len(line.get_ydata()) == 2]
    np.testing.assert_array_equal(lines, [[7, 13], [6, 12]])


def test_forty_cells_with_long_names_are_not_cut_off():
    names = ("somebody/a-model-with-a-long-name", "another")
    many = list(itertools.chain.from_iterable(cells(20, name) for name in names))
    data, figure = drawn(material(many))
    assert len(data) == 2 * 40
    assert not outside(figure)


def test_what_is_missing_is_said():
    with pytest.raises(NotDrawn, match="bytes, an LM score"):
        pareto_data(material(cells(1)))


def test_scorers_are_not_compared():
    many = [*cells(3), *cells(2, scorer={"name": "original"})]
    for made in many[6:]:
        for row in made.metrics:
            row["scorer"] = "original"
    data, figure = drawn(material(many))
    assert len(data.query("metric == 'stereotype_score'")) == 3
    told = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    assert "Scored by bias_bench; cells scored by original are left out." in told
