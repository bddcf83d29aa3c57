"""axes.json and the lines below a sweep's table, from cells on disk."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from src.report.axes import lines, read_axes, write_axes
from src.report.cells import collect
from src.report.terminal import print_sweep
from tests.statistics.cells import write_cell
from tests.statistics.tables import BENCHMARKS, ITEMS

BENCHMARK = {"stereoset": BENCHMARKS["stereoset"]}
GAINS = np.array([0.3, 0.2, 0.0])
"""By how much skill raises the stereotype, the anti-stereotype and the unrelated candidate."""
STEPS = (1, 1000, 7000, 14000, 21000, 29000)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two sizes at six steps: LM score and SS rise with the step, and more for the larger."""
    root, rng = tmp_path_factory.mktemp("sweep"), np.random.default_rng(0)
    items = ITEMS["stereoset"]
    noise = rng.normal(size=(len(items), 3))
    for lean, size in ((1.0, "70m"), (2.0, "1.4b")):
        for step in STEPS:
            skill = lean * np.log10(step)
            scores = [
                dict(zip((c.id for c in item.candidates), row, strict=True))
                for item, row in zip(items, noise + skill * GAINS, strict=True)
            ]
            table = BENCHMARKS["stereoset"].tabulate(items, scores, None)
            model = {"name": f"p-{size}-step{step}", "size": size, "step": step, "dtype": "float32"}
            settings = {"model": model, "statistics": {"resamples": 200}}
            write_cell(root / f"{size}-{step}", {"stereoset": table}, BENCHMARK, **settings)
    write_axes(root, collect(root))
    return root


def test_the_file_holds_all_three_analyses(sweep):
    found = json.loads((sweep / "axes.json").read_text())
    assert found["settings"]["resamples"] == 200
    by_step = [row for row in found["best"] if row["axis"] == "model.step"]
    assert {row["series"] for row in by_step} == {"p 70m none", "p 1.4b none"}
    assert all(row["best_at"] in row["tied"] and 1 not in row["tied"] for row in by_step)
    parts = {row["part"]: row for row in found["rank_correlations"] if row["category"] == "overall"}
    assert parts["all"]["n_points"] == 12
    assert set(parts) == {"all", "within", "between", "70m", "1.4b"}
    lm = [row for row in found["trends"] if row["key"] == "lm/stereoset/overall"]
    assert all(row["verdict"] == "rises steadily" for row in lm if row["axis"] == "model.step")


def test_the_lines_stand_below_the_table(sweep):
    written = io.StringIO()
    print_sweep(sweep, Console(width=160, file=written))
    printed = written.getvalue()
    for line in lines(read_axes(sweep)):
        assert line in printed
    assert "p 1.4b none along model.step: best lm/stereoset/overall" in printed
    assert "lm/stereoset/overall rises steadily: +" in printed
    assert "Kendall's tau-c" in printed
    assert "of it within one size" in printed


def test_a_sweep_that_has_no_axis_has_no_file_left(sweep, tmp_path):
    (tmp_path / "axes.json").write_text("{}")
    write_axes(tmp_path, collect(sweep / "70m-1"))
    assert not (tmp_path / "axes.json").exists()
    assert read_axes(tmp_path) == {}
    assert list(lines({})) == []


def test_a_cell_of_another_version_is_left_out_with_a_word(sweep, caplog, tmp_path):
    cells = collect(sweep)
    (sweep / "70m-1" / "items.parquet").rename(tmp_path / "items.parquet")
    try:
        write_axes(tmp_path, cells)
    finally:
        (tmp_path / "items.parquet").rename(sweep / "70m-1" / "items.parquet")
    assert "left out of axes.json" in caplog.text
    (small,) = (row for row in read_axes(tmp_path)["best"] if row["series"] == "p 70m none")
    assert len(small["cells"]) == 5
