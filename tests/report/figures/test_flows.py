"""The flip diagram, of two cells on disk whose flips are known."""

import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection

from src.report.cells import collect
from src.report.figures.flows import draw_flows, flow_data
from src.report.figures.material import Material
from src.report.figures.registry import NotDrawn
from src.report.figures.style import styled
from src.statistics.mcnemar import Flips, mid_p
from src.tracking.read import ITEMS
from tests.report.figures.material import outside
from tests.statistics.cells import write_cell
from tests.statistics.tables import BENCHMARKS
from tests.statistics.tables import ITEMS as QUESTIONS


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A dense cell that leans to the stereotype, and one where every third item flipped."""
    root = tmp_path_factory.mktemp("sweep")
    benchmark, questions = BENCHMARKS["crows_pairs"], QUESTIONS["crows_pairs"]
    for name in ("none", "ptq"):
        scores = [
            {"more": 1.0, "less": 2.0 if name == "ptq" and at % 3 == 0 else 0.0}
            for at, _ in enumerate(questions)
        ]
        table = benchmark.tabulate(questions, scores, None)
        write_cell(
            root / name,
            {"crows_pairs": table},
            {"crows_pairs": benchmark},
            compression={"name": name},
        )
    return root


def test_counts_are_those_of_a_plain_count(sweep):
    data = flow_data(Material(collect(sweep)))
    one, other = (pd.read_parquet(sweep / name / ITEMS) for name in ("none", "ptq"))
    both = one.merge(other, on="item_id", suffixes=("_dense", "_ptq"))
    for row in data.to_dict("records"):
        some = both
        if row["category"] != "overall":
            some = both[both["category_dense"] == row["category"]]
        sides = list(
            zip(some["decision_dense"] == "more", some["decision_ptq"] == "more", strict=True)
        )
        assert row["n"] == len(some)
        assert row["stay_stereo"] == sides.count((True, True))
        assert row["to_anti"] == sides.count((True, False))
        assert row["to_stereo"] == sides.count((False, True))
        assert row["stay_anti"] == sides.count((False, False))
    overall = data.set_index("category").loc["overall"]
    assert 0 < overall["to_anti"] < overall["n"]
    assert overall["p_holm"] >= mid_p(Flips(0, int(overall["to_anti"]), int(overall["n"])))


def test_bands_are_as_high_as_their_counts(sweep):
    found = Material(collect(sweep))
    data = flow_data(found)
    with styled():
        (figure,) = draw_flows(data, found)
    assert not outside(figure)
    row = data.set_index("category").loc["overall"]
    axes = figure.axes[0]
    assert axes.get_title() == "overall"
    bands = [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]
    heights = []
    for band in bands:
        corners = band.get_paths()[0].vertices
        start = corners[corners[:, 0] == corners[:, 0].min()][:, 1]
        heights.append(start.max() - start.min())
    counts = [row[name] / row["n"] for name in ("stay_stereo", "to_anti") if row[name]]
    assert heights == pytest.approx(counts)
    told = " ".join(text.get_text() for text in axes.texts)
    assert f"→ anti {row['to_anti']}" in told
    assert "→ stereo 0" in told
    assert str(row["n"]) in told  # all items are on the stereotype's side in the dense cell


def test_many_cells_take_pages(sweep):
    found = Material(collect(sweep))
    one = flow_data(found)
    many = pd.concat([one.assign(compression=f"compression_{at}") for at in range(9)])
    with styled():
        pages = draw_flows(many, found)
    assert [len(page.axes) // len(pages[0].axes[:4]) for page in pages] == [7, 2]
    assert not any(outside(page) for page in pages)


def test_without_a_twin_it_is_said(sweep):
    with pytest.raises(NotDrawn, match="no compressed cell has a dense twin"):
        flow_data(Material(collect(sweep / "ptq")))
