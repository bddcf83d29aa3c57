"""comparisons.json of a sweep, the table of it, W&B, and the command that compares two cells."""

import io
import json
import math
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from src.report import comparison_table, comparisons
from src.report.cells import collect
from src.report.comparisons import compare_sweep, track
from src.report.flips import write_flips
from src.report.terminal import print_sweep
from src.statistics import compare
from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.statistics.refresh import made_with
from src.tracking.records import METRIC_FIELDS, CellRecords
from tests.statistics.tables import BENCHMARKS, cell_table, generator

SETTINGS = StatisticsConfig(resamples=500)
FIELDS = {
    *("pair", "metric", "category", "difference", "ci_low", "ci_high", "p", "p_holm", "q_bh"),
    *("equivalent", "mde", "flips_to_stereo", "flips_to_anti"),
}


def write_cell(directory, compression, items, tracker=None):
    """Write a cell as the program does."""
    records = CellRecords(directory)
    records.start(f"fingerprint of {compression}")
    records.write_config(
        {
            "model": {"name": "bert"},
            "compression": {"name": compression, "kind": compression},
            "benchmark": {name: asdict(built.settings) for name, built in BENCHMARKS.items()},
            "scorer": {"name": "s"},
            "sweep": "the-sweep",
            "tracker": tracker or {"kind": "none"},
        }
    )
    metrics = [
        {"benchmark": name, "scorer": "s", **asdict(metric)}
        for name, built in BENCHMARKS.items()
        for metric in built.metrics(items[items.benchmark == name])
    ]
    filled = with_intervals(metrics, cell_estimands(BENCHMARKS, items), SETTINGS)
    records.write_metrics({name: row[name] for name in METRIC_FIELDS} for row in filled)
    records.write_items(items)
    records.write_json("statistics.json", made_with(SETTINGS))
    for name in ("receipt.json", "system.json", "environment.json"):
        records.write_json(name, {})
    records.finish("done")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A sweep of three cells that has its comparisons."""
    folder = tmp_path_factory.mktemp("sweep")
    write_cell(folder / "none", "none", cell_table(generator(1)))
    write_cell(folder / "ptq", "ptq", cell_table(generator(2), lean=1.5))
    write_cell(folder / "fp16", "fp16", cell_table(generator(1)))
    compare_sweep(folder, collect(folder))
    return folder


@pytest.fixture
def sweep(compared, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(compared, tmp_path / "sweep"))


def rows_of(directory):
    return json.loads((directory / "comparisons.json").read_text())["comparisons"]


def test_every_compressed_cell_is_compared_with_its_twin(sweep):
    (sweep / "comparisons.json").unlink()
    found = compare_sweep(sweep, collect(sweep))
    assert found.changed
    assert found.problems == []
    rows = rows_of(sweep)
    assert rows == found.rows
    assert all(set(row) >= FIELDS for row in rows)
    pairs = {(row["cell_a"], row["cell_b"], row["pair"]) for row in rows}
    assert pairs == {
        ("none", "fp16", "bert none -> bert fp16"),
        ("none", "ptq", "bert none -> bert ptq"),
    }
    keys = {(row["cell_b"], row["benchmark"], row["category"], row["metric"]) for row in rows}
    assert len(keys) == len(rows)
    same = [row for row in rows if row["cell_b"] == "fp16"]
    assert {row["difference"] for row in same} == {0.0}
    assert not any(row["verdict"].startswith("changed") for row in same)
    moved = [row for row in rows if row["verdict"].startswith("changed")]
    assert moved
    for row in moved:
        assert row["p_holm"] < 0.05
        assert row["p"] <= row["q_bh"] <= row["p_holm"]
    headline = [row for row in rows if row["family"] == "headline"]
    assert {row["family_size"] for row in headline} == {len(headline)}
    assert found.family.startswith(f"{len(headline)} tests: crows_pairs SS, seat mean |d|, ")
    assert found.family.endswith("in 2 comparisons")


def test_what_did_not_change_is_not_compared_again(sweep, monkeypatch):
    first = compare_sweep(sweep, collect(sweep))
    with monkeypatch.context() as broken:
        broken.setattr(comparisons, "compare_directories", lambda *_: 1 / 0)
        again = compare_sweep(sweep, collect(sweep))
    assert (again.rows, again.changed) == (first.rows, False)
    write_cell(sweep / "fp16", "fp16", cell_table(generator(5)))
    changed = compare_sweep(sweep, collect(sweep))
    assert changed.changed
    assert any(row["difference"] for row in changed.rows if row["cell_b"] == "fp16")


def test_other_statistics_are_other_comparisons(sweep):
    narrow = compare_sweep(sweep, collect(sweep)).rows
    for name in ("none", "ptq", "fp16"):
        wanted = StatisticsConfig(resamples=500, level=0.99, margin=20.0)
        CellRecords(sweep / name).write_json("statistics.json", made_with(wanted))
    wide = compare_sweep(sweep, collect(sweep)).rows
    for a, b in zip(narrow, wide, strict=True):
        if a["test"] == "McNemar mid-p":
            assert b["ci_low"] <= a["ci_low"] < a["ci_high"] <= b["ci_high"]
            assert b["ci_high"] - b["ci_low"] > a["ci_high"] - a["ci_low"]
    assert {row["margin"] for row in wide if row["unit"] == "%"} == {20.0}
    assert sum(row["equivalent"] for row in wide) > sum(row["equivalent"] for row in narrow)


def test_a_cell_of_an_older_version_is_named_and_hides_no_other(sweep):
    items = cell_table(generator(1)).drop(columns=["associations_x"])
    (sweep / "fp16" / "items.parquet").unlink()
    CellRecords(sweep / "fp16").write_items(items)
    (sweep / "comparisons.json").unlink()
    found = compare_sweep(sweep, collect(sweep))
    assert {row["cell_b"] for row in found.rows} == {"ptq"}
    (problem,) = found.problems
    assert re.match(r"not compared: bert none -> bert fp16: .*associations_x", problem)
    assert problem in shown(sweep, 200).replace("\n", "")


def shown(directory, width):
    stream = io.StringIO()
    print_sweep(directory, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 120, 240])
def test_the_tables_show_intervals_verdicts_and_the_family(sweep, width):
    text = shown(sweep, width)
    lines = text.splitlines()
    notes = [index for index, line in enumerate(lines) if line.startswith("* changed (Holm")]
    assert max(map(len, lines[: notes[0]])) <= width
    words = " ".join(text.split())
    assert "what may be" in words
    assert "95% intervals" in words
    assert "no change larger than 3 points (0.1 sd; by the 90% interval)" in words
    assert f"p is adjusted for {compare_sweep(sweep, collect(sweep)).family}" in words
    moved = [row for row in rows_of(sweep) if row["family"] == "headline"]
    counted = sum(row["verdict"] == "undecided" for row in moved)
    assert f"{counted} undecided" in words
    if width == 240:
        assert "±" in text
        row = next(r for r in moved if r["category"] == "race" and r["verdict"] == "undecided")
        assert row["conclusion"] in words
        assert f"({row['difference']:+.2f}?)" in text
    # Only a table that shows half widths explains them.
    assert ("(±: half the width" in words) == ("±" in words.replace("(±", ""))


def test_a_table_that_leaves_rows_out_says_so_and_where_they_are(sweep, monkeypatch):
    rows = rows_of(sweep)
    monkeypatch.setattr(comparison_table, "MOST_ROWS", 3)
    words = " ".join(shown(sweep, 240).split())
    assert re.search(
        r"of \d+ comparisons only the changed ones have a row; all are in compar", words
    )
    for row in rows:
        row["verdict"] = "undecided"
    unmoved = replace(compare_sweep(sweep, collect(sweep)), rows=rows)
    assert comparison_table.comparison_table(unmoved) is None
    said = [line for line in comparison_table.notes(unmoved) if "none has a row" in line]
    assert len(said) == 1
    monkeypatch.undo()
    assert not [line for line in comparison_table.notes(unmoved) if "have a row" in line]


def test_nothing_to_compare_leaves_no_file(tmp_path):
    write_cell(tmp_path / "none", "none", cell_table(generator(1)))
    assert "comparison" not in shown(tmp_path, 120)
    assert not (tmp_path / "comparisons.json").exists()


def test_comparisons_of_cells_that_are_no_longer_done_are_taken_away(sweep):
    for name in ("ptq", "fp16"):
        records = CellRecords(sweep / name)
        records.start("again")
        records.finish("failed", ValueError("x"))
    found = compare_sweep(sweep, collect(sweep))
    assert (found.rows, found.changed) == ([], False)
    assert not (sweep / "comparisons.json").exists()


def test_comparisons_are_a_run_of_their_own_in_wandb(tmp_path, monkeypatch):
    from tests.tracking.test_tracker import inspect

    monkeypatch.setenv("HOME", str(tmp_path))
    settings = {"kind": "wandb", "mode": "offline"}
    write_cell(tmp_path / "s" / "none", "none", cell_table(generator(1)), settings)
    write_cell(tmp_path / "s" / "ptq", "ptq", cell_table(generator(2)), settings)
    found = compare_sweep(tmp_path / "s", collect(tmp_path / "s"))
    write_flips(tmp_path / "s", collect(tmp_path / "s"))
    track(found, tmp_path / "s")
    (summary,) = inspect(tmp_path / "s" / "comparisons", "--summary")
    wanted = {"benchmark": "crows_pairs", "category": "gender", "metric": "stereotype_score"}
    (row,) = (row for row in found.rows if wanted.items() <= row.items())
    key = "change/ptq/bias/crows_pairs/gender"
    assert summary["summary"][key] == pytest.approx(row["difference"])
    assert summary["summary"][f"{key}/verdict"] == row["verdict"]
    assert summary["name"] == "the-sweep-comparisons"
    tables = "comparisons/wandb/*run-*/files/media/table"
    (flips,) = (tmp_path / "s").glob(f"{tables}/flips_*.json")
    assert "margin_before" in json.loads(flips.read_text())["columns"]
    (table,) = (tmp_path / "s").glob(f"{tables}/comparisons_*.json")
    content = json.loads(table.read_text())
    assert len(content["data"]) == len(found.rows)
    assert set(content["columns"]) >= FIELDS
    assert len(collect(tmp_path / "s")) == 2


def test_any_two_cells_can_be_compared(sweep, capsys, tmp_path):
    compare.main([str(sweep / "fp16"), str(sweep / "ptq"), "--json", str(tmp_path / "out.json")])
    lines = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "out.json").read_text())
    assert lines[0].startswith(
        "crows_pairs: compared on the 69 items that both cells scored, of 74"
    )
    said = [line for line in lines if line.startswith("crows_pairs gender stereotype_score ")]
    assert said[0].partition(": ")[0].endswith(f"(n={rows[0]['n']})")
    assert re.search(r"Holm's correction for \d+ headline tests", lines[-1])
    compare.main([str(sweep / "fp16"), str(sweep / "ptq"), "--margin", "200", "--all"])
    everything = capsys.readouterr().out
    assert "icat" in everything
    (religion,) = (x for x in everything.splitlines() if x.startswith("stereoset religion ss "))
    assert religion.endswith(": no change larger than 200 points")


@pytest.mark.parametrize("state", ["absent", "failed", "other", "file"])
def test_cells_that_cannot_be_compared_are_refused(sweep, capsys, state):
    other = sweep / state
    if state == "failed":
        records = CellRecords(other)
        records.start("x")
        records.finish("failed", ValueError("x"))
    elif state == "other":
        write_cell(other, "none", cell_table(generator(1)))
        (other / "items.parquet").unlink()
        elsewhere = cell_table(generator(1)).assign(benchmark="elsewhere")
        CellRecords(other).write_items(elsewhere)
    elif state == "file":
        shutil.copytree(sweep / "ptq", other)
        config = (other / "config.yaml").read_text()
        assert "crows_pairs/crows_pairs_anonymized.csv" in config
        (other / "config.yaml").write_text(config.replace("_anonymized", "_translated"))
    with pytest.raises(SystemExit) as ended:
        compare.main([str(sweep / "none"), str(other)])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    told = {
        "absent": "is no folder of a cell",
        "failed": "is failed",
        "other": "nothing to compare",
        "file": "were asked different items, whose ids may be the same all the same: their "
        "benchmark.crows_pairs.file differ",
    }
    assert told[state] in message


def test_an_undefined_number_is_null(tmp_path):
    """Few items leave an interval's end or an effect size undefined."""
    problems = comparisons._write(tmp_path / comparisons.FILE, [{"mde": math.nan}], "", SETTINGS)
    assert problems == []
    assert rows_of(tmp_path) == [{"mde": None}]


def test_a_change_is_shown_in_whatever_category_it_is_found(sweep):
    found = compare_sweep(sweep, collect(sweep))
    row = next(r for r in found.rows if r["metric"] == "stereotype_score")
    more = [
        row | {"category": "profession", "verdict": "changed"},
        row | {"category": "age", "verdict": "undecided"},
    ]
    with_more = replace(found, rows=[*found.rows, *more])
    stream = io.StringIO()
    Console(file=stream, width=200).print(comparison_table.comparison_table(with_more))
    assert "crows_pairs SS profession" in stream.getvalue()
    assert "age" not in stream.getvalue()
    said = [line for line in comparison_table.notes(with_more) if "also compared" in line]
    assert len(said) == 1
    assert re.search(r"age, .*profession.*; 1 of \d+ comparisons changed$", said[0])
