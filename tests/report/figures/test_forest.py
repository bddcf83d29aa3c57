"""The forest plot: all comparisons of a file, at their values, with their verdicts."""

import json

import numpy as np
import pytest

from src.report.figures.forest import ROWS, SIGNS, draw_forest, forest_data
from src.report.figures.registry import NotDrawn
from src.report.figures.style import styled
from src.statistics.verdict import MARKS
from tests.report.figures.material import cell, material, outside

CATEGORIES = ("age", "gender", "physical_appearance", "overall")


def row(category, difference, verdict="undecided", pair="m none -> m ptq", **more):
    half = None if difference is None else 2.0
    return {
        "pair": pair, "benchmark": "crows_pairs", "metric": "stereotype_score",
        "category": category, "n": 100, "value_a": 50.0, "value_b": 51.0,
        "difference": difference, "ci_low": half and difference - half,
        "ci_high": half and difference + half, "margin": 3.0, "p_holm": 0.5, "verdict": verdict,
        "conclusion": "", "unit": "%", "kind": "bias",
    } | more  # fmt: skip


def sweep(folder, rows):
    (folder / "comparisons.json").write_text(json.dumps({"comparisons": rows}))
    return material([cell("m", [])], roots=[folder])


def drawn(found):
    data = forest_data(found)
    with styled():
        pages = draw_forest(data, found)
        for page in pages:
            page.draw_without_rendering()
    return data, pages


def test_every_headline_comparison_is_a_row(tmp_path):
    rows = [row(c, at) for at, c in enumerate(CATEGORIES)]
    rows += [row("gender", 9.0, metric="stereo_score")]  # no table shows it
    data, (figure,) = drawn(sweep(tmp_path, rows))
    assert list(data["difference"]) == [0.0, 1.0, 2.0, 3.0]
    (axes,) = figure.axes
    # "overall" comes first, then the categories as the file has them.
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "overall ?", "age ?", "gender ?", "physical appearance ?",
    ]  # fmt: skip
    marks = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    assert [float(line.get_xdata()[0]) for line in marks] == [3.0, 0.0, 1.0, 2.0]
    spans = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_lw() == 1.0]
    np.testing.assert_array_equal(spans[0].get_xdata(), [1.0, 5.0])
    margin = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    np.testing.assert_allclose([margin.x0, margin.x1], [-3.0, 3.0])


def test_verdicts_have_marks_of_their_own(tmp_path):
    rows = [row(f"c{at}", 0.5, verdict) for at, verdict in enumerate(MARKS)]
    rows[-1]["difference"] = rows[-1]["ci_low"] = rows[-1]["ci_high"] = None
    _, (figure,) = drawn(sweep(tmp_path, rows))
    (axes,) = figure.axes
    looks = {
        (line.get_marker(), line.get_markerfacecolor() == "white")
        for line in axes.lines
        if line.get_marker() not in ("None", "")
    }
    assert len(looks) == len(MARKS) - 1
    assert "undefined" in [text.get_text() for text in axes.texts]
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [f"{SIGNS[v].meaning} {MARKS[v]}".strip() for v in SIGNS]


def test_a_large_sweep_takes_pages_and_loses_no_row(tmp_path):
    rows = [
        row(category, 1.0, pair=f"a-model-with-a-long-name-{n} none -> it quantized to {n} bits")
        for n in range(18)
        for category in CATEGORIES
    ]
    data, pages = drawn(sweep(tmp_path, rows))
    assert len(data) == 72
    shown = [label.get_text() for page in pages for label in page.axes[0].get_yticklabels()]
    assert len(shown) == 72
    assert len(pages) == -(-18 // (ROWS // 6))
    assert not any(outside(page) for page in pages)
    assert f"(2 of {len(pages)})" in pages[1].texts[0].get_text()


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("m-step1 none -> m-step1 ptq", "m-step1: none → ptq"),
        ("m none seed=0 -> m prune a=1 seed=0", "m: none seed=0 → prune a=1 seed=0"),
        ("a none -> b none", "a none → b none"),
    ],
)
def test_what_two_cells_share_is_said_once(tmp_path, pair, told):
    _, (figure,) = drawn(sweep(tmp_path, [row("gender", 1.0, pair=pair)]))
    assert told in [text.get_text() for text in figure.axes[-1].texts]


def test_a_long_name_has_rows_of_its_own_across_all_panels(tmp_path):
    name = "a-model-of-an-uncommonly-long-name/" * 6
    measures = ({}, {"benchmark": "stereoset", "metric": "ss"})
    rows = [row("gender", 1.0, pair=f"{name}x none -> {name}x ptq", **more) for more in measures]
    rows += [row("gender", 1.0, pair=f"{name}y none -> {name}y ptq", **more) for more in measures]
    _, (figure,) = drawn(sweep(tmp_path, rows))
    first, last = figure.axes
    names = [text for text in last.texts if "none → ptq" in text.get_text()]
    assert len(names) == 2
    ink = [text.get_window_extent() for text in names]
    below = [
        label.get_window_extent() for axes in (first, last) for label in axes.get_yticklabels()
    ]
    assert not any(
        one.overlaps(other) for one in ink for other in [*below, *ink] if one is not other
    )
    strips = [one.get_extents() for axes in (first, last) for one in axes.patches[1:3]]
    for one in ink:
        assert one.x1 < figure.bbox.x1
        # Nothing of a panel is behind it: a white strip in each hides band and line.
        assert sum(strip.y0 < one.y0 and one.y1 < strip.y1 + 1 for strip in strips) == 2


def test_differences_without_interval_are_drawn_and_said(tmp_path):
    _, (figure,) = drawn(sweep(tmp_path, [row("gender", 1.0, ci_low=None, ci_high=None)]))
    assert "no interval" in " ".join(text.get_text() for text in figure.texts)


def test_a_sweep_without_comparisons_says_what_to_do(tmp_path):
    found = material([cell("m", [])], roots=[tmp_path])
    with pytest.raises(NotDrawn, match="compressed cell beside its dense twin"):
        forest_data(found)
    (tmp_path / "comparisons.json").write_text("[]")
    with pytest.raises(NotDrawn, match="cannot be read"):
        forest_data(found)
