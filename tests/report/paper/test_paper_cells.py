"""Which cells stand for which rows of the paper, and their numbers as one tidy table."""

import json

import pytest

from src.errors import InputError
from src.report.paper.cells import COLUMNS, paper_cells
from src.report.paper.config import PaperConfig
from tests.report.paper.written import cell, crows, record, seat, stereoset

PAPER = PaperConfig(
    masked={"BERT base": {"model.name": "bert"}, "BERT large": {"model.name": "bert_large"}},
    pythia={"70M": {"model.size": "70m"}, "410M": {"model.size": "410m"}},
)


@pytest.fixture
def folders(tmp_path):
    masked, pythia = tmp_path / "paper_masked", tmp_path / "paper_pythia"
    cell(masked / "a", "bert", metrics=crows(57.25, 62.33, 62.86))
    cell(masked / "b", "bert", "ptq", crows(57.0, 62.1, 46.7))
    cell(masked / "c", "gpt2", metrics=crows(1.0, 2.0, 3.0))
    cell(masked / "d", "bert_large", metrics=crows(1.0, 2.0, 3.0), state="killed")
    for step in (100000, 7000):
        about = {"name": f"pythia-70m-step{step}", "size": "70m", "step": step}
        cell(pythia / f"{step}", about, metrics=stereoset(step / 1e4, 1.0, 2.0, 3.0))
    return {"masked": masked, "pythia": pythia, "ladder": tmp_path / "none"}


def test_cells_are_found_by_their_settings(folders):
    found = paper_cells(PAPER, folders)
    names = {(one.row, one.variant, one.step) for one in found.cells}
    assert names == {
        ("BERT base", "fp32", None),
        ("BERT base", "int8", None),
        ("BERT large", "fp32", None),
        ("70M", "fp32", 7000),
        ("70M", "fp32", 100000),
    }
    assert found.one("masked", "BERT base", "int8").cell.directory == folders["masked"] / "b"
    assert found.one("masked", "BERT large", "fp32") is None  # it has no numbers
    assert found.one("pythia", "410M", "fp32") is None
    assert [one.step for one in found.of("pythia", "70M", "fp32")] == [7000, 100000]
    assert found.one("pythia", "70M", "fp32", 7000).step == 7000


def test_several_cells_for_one_row_are_an_error_that_names_them(folders):
    cell(folders["masked"] / "e", "bert", metrics=crows(1.0, 2.0, 3.0), data={"root": "x"})
    with pytest.raises(InputError, match=r"2 cells stand for BERT base fp32: .*/a, .*/e"):
        paper_cells(PAPER, folders).one("masked", "BERT base", "fp32")


def test_the_table_has_every_record_of_every_finished_cell(folders):
    also = [record("crows_pairs", "gender", "stereotype_score", 9.0, scorer="pll")]
    effects = {"weat6": (0.5, 0.001), "weat6b": (-0.25, 0.5)}
    more = [*crows(1.0, 2.0, 3.0), *also, *seat(effects, "gender")]
    cell(folders["masked"] / "f", "bert_large", "ptq", more)
    table = paper_cells(PAPER, folders).table
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 + 3 + 2 * 4 + 3 + 5
    large = table[table.row == "BERT large"]
    assert set(large.scorer) == {"bias_bench"}  # not those of scorer.also
    (effect,) = large[
        (large.category == "gender/sent-weat6b") & (large.metric == "effect_size")
    ].value
    assert effect == -0.25
    written = json.loads((folders["masked"] / "a" / "metrics.json").read_text())
    dense = table[(table.row == "BERT base") & (table.variant == "fp32")]
    for name in ("value", "ci_low", "ci_high", "n"):
        assert dense[name].tolist() == [row[name] for row in written]
    assert dense.step.isna().all()
    assert dense.bits.isna().all()
    assert set(table[table.kind == "pythia"].step) == {7000, 100000}


def test_an_empty_sweep_is_an_empty_table(tmp_path):
    found = paper_cells(PAPER, {"masked": tmp_path / "a"})
    assert found.cells == ()
    assert tuple(found.table.columns) == COLUMNS
    assert len(found.table) == 0


def test_a_name_that_is_no_folder_is_refused():
    with pytest.raises(InputError, match=r"paper\.name=\.\./x"):
        PaperConfig(name="../x")
