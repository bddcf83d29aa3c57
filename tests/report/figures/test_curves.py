"""Figures 2 to 11: the numbers that are drawn, and that they are drawn where they belong."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection, LineCollection

from src.report.figures.curves import curve_data, draw_curves
from src.report.figures.registry import NotDrawn
from src.report.figures.style import styled
from tests.report.figures.material import cell, checkpoints, material, outside, record

VALUES = {
    ("410m", 1000, "none"): 50.0, ("410m", 7000, "none"): 55.0, ("410m", 21000, "none"): 60.0,
    ("410m", 1000, "ptq"): 48.0, ("410m", 7000, "ptq"): None, ("410m", 21000, "ptq"): 58.0,
    ("70m", 21000, "none"): 52.0, ("70m", 1000, "none"): 51.0,
    ("1.4b", 1000, "none"): 70.0,
}  # fmt: skip


def drawn(cells, metric="stereotype_score", category="gender", **more):
    found = material(cells, **more)
    data = curve_data(found, metric, category)
    with styled():
        (figure,) = draw_curves(data, found, "A title")
        figure.draw_without_rendering()
    return data, figure


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_row_a_checkpoint_in_the_order_of_sizes_and_steps():
    data = curve_data(material(checkpoints(VALUES)), "stereotype_score", "gender")
    rows = list(data[["model", "compression", "step", "value"]].itertuples(index=False, name=None))
    # The size with a single checkpoint is no curve.
    assert rows[:5] == [
        ("pythia-70m", "dense", 1000.0, 51.0),
        ("pythia-70m", "dense", 21000.0, 52.0),
        ("pythia-410m", "dense", 1000.0, 50.0),
        ("pythia-410m", "dense", 7000.0, 55.0),
        ("pythia-410m", "dense", 21000.0, 60.0),
    ]
    assert [row[:3] for row in rows[5:]] == [
        ("pythia-410m", "int8 (ptq)", step) for step in (1000.0, 7000.0, 21000.0)
    ]
    assert np.isnan(rows[6][3])
    assert set(data["source"]) == {"measured"}


def test_lines_and_bands_are_the_numbers_of_the_cells():
    data, figure = drawn(checkpoints(VALUES))
    small, large = figure.axes
    assert (small.get_title(), large.get_title()) == ("pythia-70m", "pythia-410m")
    assert set(lines(small)) == {"dense"}
    assert set(lines(large)) == {"dense", "int8 (ptq)"}
    dense = lines(large)["dense"]
    np.testing.assert_array_equal(dense.get_xdata(), [1000, 7000, 21000])
    np.testing.assert_array_equal(dense.get_ydata(), [50, 55, 60])
    band = next(c for c in large.collections if isinstance(c, FillBetweenPolyCollection))
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(1000, 46), (1000, 56), (7000, 51), (7000, 61), (21000, 56), (21000, 66)} <= corners
    # The undefined number leaves a gap in the line.
    assert np.isnan(lines(large)["int8 (ptq)"].get_ydata()[1])
    assert "1 undefined value left out" in " ".join(text.get_text() for text in figure.texts)
    assert len(data) == 8


def test_compressions_are_told_apart_without_colour():
    _, figure = drawn(checkpoints(VALUES))
    dense, compressed = (lines(figure.axes[1])[name] for name in ("dense", "int8 (ptq)"))
    assert dense.get_marker() != compressed.get_marker()
    assert dense.get_linestyle() != compressed.get_linestyle()


def test_notes_say_the_level_and_what_is_no_measurement():
    records = [record("ss", "race", 50.0, 40.0, 60.0)]
    cells = [
        cell(f"m-step{step}", records, model={"step": step}, debug={"limit": 8}) for step in (1, 2)
    ]
    _, figure = drawn(cells, "ss", "race", remarks=["Stand-in models."])
    told = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    assert "90% intervals" in told  # statistics.level of these cells
    assert "debug.limit=8: a trial on part of the items" in told
    assert "Stand-in models." in told


def test_many_compressions_have_bars_and_the_same_interval():
    values = {
        ("70m", step, f"uniform_{bits}"): 50.0 + bits for step in (1, 2) for bits in range(2, 8)
    }
    _, figure = drawn(checkpoints(values))
    bars = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert len(bars) == 6
    np.testing.assert_array_equal(bars[0].get_segments()[0], [[1, 48], [1, 58]])


def test_published_numbers_are_faint_and_only_of_the_same_model():
    published = pd.DataFrame(
        {
            "model": ["pythia-70m"] * 3 + ["pythia-6.9b"] * 3,
            "compression": "dense",
            "step": [1000, 2000, 3000] * 2,
            "category": "gender",
            "metric": "stereotype_score",
            "value": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "source": "somebody 2023",
        }
    )
    data, figure = drawn(checkpoints(VALUES), published=published)
    assert list(data.query("source == 'somebody 2023'")["value"]) == [1.0, 2.0, 3.0]
    faint = [line for line in figure.axes[0].lines if line.get_label() == "_published"]
    np.testing.assert_array_equal(faint[0].get_ydata(), [1, 2, 3])
    assert "Published: somebody 2023." in " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("models", [1, 2, 7])
def test_nothing_is_cut_off(models):
    name = "a-model-with-a-rather-long-name-of-somebody-{}-b"
    cells = [
        cell(
            f"{name.format(at)}-step{step}",
            [record("lm_score", "overall", 80.0 + at, 70.0, 90.0)],
            f"compression_with_a_long_name_{how}",
            model={"step": step},
        )
        for at in range(models)
        for step in (512, 143000)
        for how in range(9)
    ]
    _, figure = drawn(cells, "lm_score", "overall")
    assert len(figure.axes) == models
    assert not outside(figure)


def test_without_intervals_there_are_lines_and_no_bands():
    _, figure = drawn(checkpoints(VALUES | dict.fromkeys(VALUES, 50.0), low=np.nan, high=np.nan))
    assert "intervals" not in " ".join(text.get_text() for text in figure.texts)


def test_steps_that_double_are_drawn_by_their_logarithm():
    doubling = {("70m", 2**k, "none"): 50.0 for k in range(10)}
    _, figure = drawn(checkpoints(doubling))
    assert figure.axes[0].get_xscale() == "symlog"
    evenly = {("70m", 1000 * k, "none"): 50.0 for k in range(10)}
    _, figure = drawn(checkpoints(evenly))
    assert figure.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (checkpoints({("70m", 1000, "none"): 50.0}), "two finished checkpoints"),
        ([cell("bert", [record("ss", "race", 50.0)])], "no finished cell has stereotype_score"),
    ],
)
def test_what_is_missing_is_said(cells, reason):
    with pytest.raises(NotDrawn, match=reason):
        curve_data(material(cells), "stereotype_score", "gender")
