"""Conclusions on other items and by other scorers."""

import json

import numpy as np
import pandas as pd
import pytest

from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.errors import InputError
from src.report.sensitivity import sensitivity_lines, write_sensitivity
from src.statistics import sensitivity as command
from src.statistics.config import StatisticsConfig
from src.statistics.sensitivity import ALL, UNFLAGGED, sensitivity
from tests.statistics.test_agreement import pairs

BENCHMARKS = {"crows_pairs": CrowsPairs(CrowsPairsConfig())}
SETTINGS = StatisticsConfig(resamples=500, margin=8.0)
N = 200


def cells():
    """60 pairs move to the stereotype's side by one scorer: the flagged ones; by another none."""
    sides = np.where(np.arange(N) % 2, 1.0, -1.0)
    moved = sides.copy()
    moved[:120] = 1.0
    flagged = pd.array([number < 120 for number in range(N)], dtype="boolean")
    unknown = pd.array([None] * N, dtype="boolean")
    few = pd.array([number == 199 for number in range(N)], dtype="boolean")
    before, after = (
        pd.concat([pairs("bias_bench", own), pairs("pll", sides)], ignore_index=True).assign(
            flag_moved=pd.concat([pd.Series(flagged)] * 2, ignore_index=True),
            flag_unknown=pd.concat([pd.Series(unknown)] * 2, ignore_index=True),
            flag_few=pd.concat([pd.Series(few)] * 2, ignore_index=True),
        )
        for own in (sides, moved)
    )
    return before, after


def test_a_conclusion_that_rests_on_flagged_items_does_not_hold_without_them():
    rows = {
        (row.scorer, row.items): row
        for row in sensitivity(*cells(), BENCHMARKS, SETTINGS)
        if row.category == "overall"
    }
    sets = (ALL, "without flag_moved", "without flag_few", UNFLAGGED)
    assert list(rows) == [(scorer, items) for scorer in ("bias_bench", "pll") for items in sets]
    first = rows["bias_bench", ALL]
    assert (first.n, first.verdict, first.holds) == (N, "changed", True)
    assert first.difference == pytest.approx(30)
    assert rows["bias_bench", "without flag_few"].holds is True
    without = rows["bias_bench", "without flag_moved"]
    assert (without.n, without.difference, without.holds) == (80, 0, False)
    assert rows["bias_bench", UNFLAGGED].n == 79
    assert rows["pll", ALL].holds is False


@pytest.mark.slow
def test_a_change_the_other_way_is_another_conclusion():
    before, after = cells()
    swapped = [
        pd.concat([own[own.scorer == "bias_bench"], other[other.scorer == "bias_bench"].assign(
            scorer="pll")], ignore_index=True)
        for own, other in ((before, after), (after, before))
    ]  # fmt: skip
    rows = [r for r in sensitivity(*swapped, BENCHMARKS, SETTINGS) if r.items == ALL]
    assert {(r.scorer, r.verdict, r.holds) for r in rows} == {
        ("bias_bench", "changed", True),
        ("pll", "changed", False),
    }


def cell(directory, name, items):
    (directory / name).mkdir()
    items.to_parquet(directory / name / "items.parquet")
    config = {
        "model": {"name": "m"},
        "compression": {"name": name},
        "benchmark": {"crows_pairs": {"kind": "crows_pairs"}},
        "statistics": {"resamples": 500, "margin": 8.0},
        "scorer": {"name": "bias_bench", "also": ["pll"]},
    }
    (directory / name / "config.yaml").write_text(json.dumps(config))
    (directory / name / "status.json").write_text(
        json.dumps({"state": "done", "fingerprint": name, "ended": "now"})
    )


def test_a_sweep_has_a_file_and_a_line(tmp_path, capsys):
    before, after = cells()
    cell(tmp_path, "none", before)
    cell(tmp_path, "int8", after)
    command.main([str(tmp_path)])
    said = capsys.readouterr().out
    assert "m none -> m int8: 2 of 2 conclusions depend on the items or the scorer" in said
    assert "without flag_moved (n=80): +0.00" in said
    (pair,) = json.loads((tmp_path / "sensitivity.json").read_text())
    assert (pair["cell_a"], pair["cell_b"]) == ("none", "int8")
    assert len(list(sensitivity_lines(tmp_path))) == 1
    status = tmp_path / "int8" / "status.json"
    status.write_text(json.dumps({"state": "done", "fingerprint": "other", "ended": "later"}))
    assert list(sensitivity_lines(tmp_path)) == []  # it was run again since


def test_without_twins_there_is_nothing_to_look_at(tmp_path, capsys):
    with pytest.raises(InputError, match="no finished compressed cell"):
        write_sensitivity(tmp_path)
    with pytest.raises(SystemExit):
        command.main([str(tmp_path / "none")])
    assert "is no folder" in capsys.readouterr().err
