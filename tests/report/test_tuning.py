"""The table of a tuning sweep: which cells are in it, their order, and what it says of each."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from src.errors import InputError
from src.report import tuning
from src.tracking.read import Cell


def record(benchmark, metric, kind, value, low=None, high=None):
    return {
        **{"benchmark": benchmark, "category": "overall", "metric": metric, "kind": kind},
        **{"value": value, "unit": "%", "ci_low": low, "ci_high": high},
    }


def cell(step, compression="none", order="tune_first", state="done"):
    config = {
        "model": {"name": "m-sst2", "step": step, "order": order},
        "compression": {"name": compression},
        "statistics": {"level": 0.9},
    }
    metrics = [
        record("crows_pairs", "stereotype_score", "bias", 50 + step, 45 + step, 55 + step),
        record("stereoset", "lm_score", "lm", 60 - step / 4, 55, 65),
        record("sst2", "accuracy", "task", None if step == 0 else 71.25, 70, 72),
    ]
    return Cell(Path(f"{compression}{order}{step}"), state, {}, config, metrics, {}, {}, {})


def shown(cells):
    console = Console(width=160, file=io.StringIO())
    console.print(tuning.table(cells))
    return console.file.getvalue()


def test_rows_are_by_compression_order_and_step_and_columns_by_kind():
    other = Cell(Path("x"), "done", {}, {"model": {"name": "hf"}}, [], {}, {}, {})
    cells = [
        *(cell(100, "prune", "compress_first"), cell(20), other, cell(100), cell(0)),
        *(cell(20, "prune"), cell(5, state="failed")),
    ]
    chosen = tuning.tuned(cells)
    assert [(c.config["compression"]["name"], c.config["model"]["step"]) for c in chosen] == [
        *(("none", 0), ("none", 20), ("none", 100)),
        *(("prune", 20), ("prune", 100)),
    ]
    text = [line for line in shown(chosen).splitlines() if line.strip()]
    assert text[0].split() == ["sst2", "stereoset", "crows_pairs"]
    assert text[3].split()[:4] == ["m-sst2", "none", "0", "undefined"]
    assert "71.2 [70.0, 72.0]" in text[4]
    assert "55.0 [55.0, 65.0]" in text[4]
    assert "70.0 [65.0, 75.0]" in text[4]
    assert "after tuning" in text[6]
    assert "before and all through" in text[7]
    assert next(tuning.lines(chosen)).startswith("in brackets 90% intervals over items")


def test_a_folder_without_such_cells_says_so(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="no finished cell of model=finetuned"):
        tuning.table([])
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "status.json").write_text(json.dumps({"state": "done"}))
    for folder, message in ((tmp_path, "no finished cell"), (tmp_path / "no", "is no folder")):
        monkeypatch.setattr(sys, "argv", ["tuning", str(folder)])
        with pytest.raises(SystemExit) as ended:
            tuning.main()
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
