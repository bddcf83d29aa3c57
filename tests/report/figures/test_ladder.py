"""The precision ladder: bits, numbers, and which cells a line joins."""

from itertools import pairwise

import numpy as np
import pytest

from src.report.figures.ladder import DRIFT, ERROR, draw_ladder, ladder_data
from src.report.figures.registry import NotDrawn
from src.report.figures.style import styled
from tests.report.figures.material import cell, material, outside, record


def rung(bits, error, kl, score, name=None, **settings):
    """Make a cell at some bits; 32 is the dense one."""
    dense = bits == 32
    made = cell(
        settings.pop("model", "m"),
        [record("stereotype_score", "overall", score, score - 3, score + 3)],
        "none" if dense else name or f"uniform_{bits}",
        receipt={"method": "none", "stored_bits": None}
        if dense
        else {
            "method": "uniform", "stored_bits": bits + 0.25, "nominal_bits": bits,
            ERROR: error, "drift": {DRIFT: kl},
        },
    )  # fmt: skip
    made.config["compression"] |= {} if dense else {"weight_bits": bits, **settings}
    return made


CELLS = [
    rung(32, None, None, 60.0),
    rung(2, 0.6, 1.0, 52.0),
    rung(4, 0.1, 0.03, 58.0),
    rung(8, 0.01, 0.0, 61.0),
    rung(8, 0.02, 0.002, 57.0, "ptq", kind="ptq"),
]


def drawn(found):
    data = ladder_data(found)
    with styled():
        (figure,) = draw_ladder(data, found)
        figure.draw_without_rendering()
    return data, figure


def test_numbers_are_those_of_receipt_and_metrics():
    data = ladder_data(material(CELLS))
    errors = data.query("number == @ERROR and compression != 'int8 (ptq)'")
    assert list(errors["bits"]) == [2.25, 4.25, 8.25]
    assert list(errors["value"]) == [0.6, 0.1, 0.01]
    scores = data.query("number == 'stereotype_score'").set_index("compression")
    assert dict(scores["value"]) == {
        "dense": 60.0, "uniform_2": 52.0, "uniform_4": 58.0, "uniform_8": 61.0, "int8 (ptq)": 57.0,
    }  # fmt: skip
    assert scores.loc["dense", "bits"] == 32
    assert scores.loc["uniform_2", ["ci_low", "ci_high"]].tolist() == [49.0, 55.0]
    assert scores.loc["int8 (ptq)", "ladder"] != scores.loc["uniform_8", "ladder"]


def test_a_line_joins_the_ladder_and_ends_at_the_dense_cell():
    _, figure = drawn(material(CELLS))
    error, drift, score = figure.axes
    (line,) = [one for one in score.lines if len(one.get_xdata()) > 2]
    np.testing.assert_array_equal(line.get_xdata(), [2.25, 4.25, 8.25, 32])
    np.testing.assert_array_equal(line.get_ydata(), [52, 58, 61, 60])
    assert error.get_yscale() == drift.get_yscale() == "log"
    # A drift of 0 has no place on it, and that is said.
    assert max(len(one.get_xdata()) for one in drift.lines) == 2
    assert "1 numbers that are 0" in " ".join(text.get_text() for text in figure.texts)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dense", "uniform", "int8 (ptq)"]


def test_other_settings_are_another_ladder():
    more = [rung(bits, 0.5, 0.5, 50.0, f"uniform_{bits}_group", group_size=64) for bits in (2, 4)]
    _, figure = drawn(material([*CELLS, *more]))
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert sorted(told) == ["dense", "int8 (ptq)", "uniform (a)", "uniform (b)"]
    assert "these differ in other settings" in " ".join(text.get_text() for text in figure.texts)
    assert not outside(figure)


def test_several_models_have_lines_of_their_own():
    others = [
        rung(bits, 0.5, 0.5, 50.0, model="a-very-long-name-of-a-model") for bits in (2, 4, 32)
    ]
    data, figure = drawn(material([*CELLS, *others]))
    assert set(data["model"]) == {"m", "a-very-long-name-of-a-model"}
    colours = {line.get_color() for line in figure.axes[2].lines if len(line.get_xdata()) > 1}
    assert len(colours - {"0.45"}) == 2
    assert not outside(figure)


def test_one_number_of_bits_is_no_ladder():
    with pytest.raises(NotDrawn, match="two different numbers of bits"):
        ladder_data(material([CELLS[0], CELLS[2]]))


def test_cells_of_another_scorer_are_a_ladder_with_its_own_dense_cell():
    cells = []
    for scorer, shift in (("bias_bench", 0.0), ("original", 5.0)):
        for bits in (2, 8, 32):
            made = rung(bits, 0.1, 0.1, 50.0 + bits / 4 + shift)
            made.config["scorer"] = {"name": scorer}
            made.metrics[0]["scorer"] = scorer
            cells.append(made)
    _, figure = drawn(material(cells))
    lines = [tuple(one.get_ydata()) for one in figure.axes[2].lines if len(one.get_xdata()) == 3]
    assert sorted(lines) == [(50.5, 52.0, 58.0), (55.5, 57.0, 63.0)]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "dense", "uniform scorer.name=bias_bench", "uniform scorer.name=original",
    ]  # fmt: skip


def test_errors_stand_on_a_logarithmic_axis_with_plain_numbers():
    _, figure = drawn(material(CELLS))
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    shown = {label.get_text() for label in axes.get_yticklabels(which="both")} - {""}
    assert {f"{value:g}" for value in (0.01, 0.03, 0.1, 0.3) if low < value < high} <= shown
    assert all(float(text) > 0 for text in shown)  # no formula


@pytest.mark.parametrize("smallest", [1e-3, 1e-5, 1e-6, 1e-8, 1e-13])
def test_drift_of_any_range_has_numbers_on_its_axis(smallest):
    _, figure = drawn(material([*CELLS, rung(16, 1e-5, smallest, 60.0)]))
    (axes,) = (axes for axes in figure.axes if axes.get_ylabel().startswith("KL"))
    low, high = axes.get_ylim()
    assert low < smallest < 1.0 < high
    shown = [label for label in axes.get_yticklabels() if label.get_text()]
    inside = [label for label in shown if low <= label.get_position()[1] <= high]
    assert len(inside) >= 3
    heights = sorted(label.get_window_extent().y0 for label in inside)
    assert min(b - a for a, b in pairwise(heights)) > inside[0].get_window_extent().height * 0.9
