"""Which items changed sides: by hand, against statsmodels, and under no change."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.errors import InputError
from src.report.cells import collect
from src.report.flips import read_flips, write_flips
from src.statistics import flips
from src.statistics.flip_tests import flip_tests, flipped
from src.statistics.flips import main
from src.statistics.sides import matched
from tests.statistics.cells import write_cell
from tests.statistics.tables import BENCHMARKS, scores
from tests.statistics.tables import pairs as pairs_of_items

ROOT = Path(__file__).parents[2]


def pairs(margins, category="gender", decisions=None):
    """An item table of CrowS-Pairs."""
    decided = decisions or ["more" if margin > 0 else "less" for margin in margins]
    return pd.DataFrame(
        {
            "benchmark": "crows_pairs",
            "scorer": "bias_bench",
            "item_id": [str(index) for index in range(len(margins))],
            "category": category,
            "cluster": [str(index) for index in range(len(margins))],
            "score_more": margins,
            "score_less": 0.0,
            "decision": decided,
        }
    )


def fill_ins(sides, terms):
    """An item table of StereoSet; a side is 1 for the stereotype."""
    return pd.DataFrame(
        {
            "benchmark": "stereoset",
            "scorer": "bias_bench",
            "item_id": [str(index) for index in range(len(sides))],
            "category": "race",
            "cluster": terms,
            "score_stereotype": np.asarray(sides, dtype=float),
            "score_anti_stereotype": 0.5,
            "decision": ["stereotype" if side else "anti-stereotype" for side in sides],
        }
    )


def test_flips_by_hand():
    before, after = pairs([0.3, -0.2, 0.1, -0.4, 0.5]), pairs([0.2, 0.1, -0.3, -0.1, -0.2])
    rows = matched(before, after)
    assert rows["direction"].tolist() == ["", "to_stereo", "to_anti", "", "to_anti"]
    (test,) = flip_tests(rows, 100, 0)
    assert (test.n, test.to_stereo, test.to_anti) == (5, 1, 2)
    assert test.p == pytest.approx(2 * 4 / 8 - 3 / 8)  # of three flips one up: mid-p
    assert (test.margin_flipped, test.margin_kept) == (pytest.approx(0.2), pytest.approx(0.35))
    assert test.verdict(0.05) == "no direction seen"
    moved = flipped(rows)
    assert moved["item_id"].tolist() == ["4", "2", "1"]
    assert moved["moved"].tolist() == pytest.approx([0.7, 0.4, 0.3])


def test_a_tie_counts_as_the_score_counts_it_and_a_skipped_item_not_at_all():
    before = pairs([0.3, 0.0, 0.1], decisions=["more", "tie", "skipped"])
    after = pairs([0.0, 0.2, 0.1], decisions=["tie", "more", "more"])
    assert matched(before, after)["direction"].tolist() == ["to_anti", "to_stereo"]


def test_items_are_matched_by_name_and_not_by_place():
    before = pairs([0.3, -0.2, 0.1])
    after = before.iloc[::-1].reset_index(drop=True)
    assert not matched(before, after)["direction"].any()


def test_independent_items_have_mcnemars_test():
    up, down, same = 12, 3, 40
    before = pairs([-1.0] * up + [1.0] * (down + same))
    after = pairs([1.0] * up + [-1.0] * down + [1.0] * same)
    (test,) = flip_tests(matched(before, after), 100, 0)
    assert test.method == "McNemar mid-p"
    exact = mcnemar([[same, down], [up, 0]], exact=True).pvalue
    assert test.p == pytest.approx(exact - binom.pmf(down, up + down, 0.5))
    assert test.verdict(0.05) == "directed to the stereotype"


def test_items_of_a_term_do_not_count_as_independent():
    # Twelve items flip, all the same way, but they are of two terms: 2 signs, p = 2/4.
    terms = ["a"] * 6 + ["b"] * 6 + ["c"] * 6
    before, after = fill_ins([0] * 18, terms), fill_ins([1] * 12 + [0] * 6, terms)
    (test,) = flip_tests(matched(before, after), 1000, 0)
    assert test.to_stereo == 12
    assert test.p == pytest.approx(0.5)
    assert test.verdict(0.05) == "no direction seen"


def test_all_categories_are_one_family_for_holm():
    before = pd.concat([pairs([-1.0] * 8, "gender"), pairs([1.0] * 8, "race")], ignore_index=True)
    before["item_id"] = before["cluster"] = before.index.astype(str)
    after = before.assign(decision=["more"] * 16, score_more=1.0)
    gender, race, overall = flip_tests(matched(before, after), 100, 0)
    assert (gender.p, gender.p_holm) == (pytest.approx(1 / 256), pytest.approx(3 / 256))
    assert (race.p, race.verdict(0.05)) == (1.0, "none")
    assert (overall.category, overall.n) == ("overall", 16)


def test_nothing_in_common_is_refused():
    with pytest.raises(InputError, match="no item in common"):
        matched(pairs([1.0]), pairs([1.0]).assign(item_id="other"))
    with pytest.raises(InputError, match="no decisions"):
        matched(pd.DataFrame({"item_id": ["1"]}), pairs([1.0]))


@pytest.mark.slow
def test_noise_without_direction_is_called_directed_in_at_most_five_percent():
    rng = np.random.default_rng(0)
    terms, sizes = np.arange(30), rng.integers(10, 40, 30)
    cluster = np.repeat(terms, sizes).astype(str)
    true = rng.normal(size=sizes.sum()) + 0.5 * np.repeat(rng.normal(size=30), sizes)
    directed = 0
    for seed in range(300):
        together = 0.3 * rng.normal(size=(2, 30))[:, np.repeat(terms, sizes)]
        noise = 0.3 * (rng.normal(size=(2, true.size)) + together)
        before, after = (fill_ins(true + part > 0, cluster) for part in noise)
        directed += flip_tests(matched(before, after), 499, seed)[0].p < 0.05
    assert directed / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


@pytest.fixture
def sweep(tmp_path):
    """A sweep of an uncompressed cell and one that is compressed, with CrowS-Pairs."""
    rng = np.random.default_rng(1)
    items, benchmarks = pairs_of_items(), {"crows_pairs": BENCHMARKS["crows_pairs"]}
    for name in ("none", "ptq"):
        table = benchmarks["crows_pairs"].tabulate(items, scores(items, rng), None)
        write_cell(tmp_path / name, {"crows_pairs": table}, benchmarks, compression={"name": name})
    return tmp_path


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "src.statistics.flips", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_shows_and_writes_the_flips_of_two_cells_or_a_sweep(sweep, ending):
    out = sweep / f"flips.{ending}"
    done = run(sweep / "none", sweep / "ptq", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "crows_pairs overall" in done.stdout
    rows = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert f"{len(rows)} flipped items are in {out}" in done.stdout
    assert len(rows)
    assert "text" not in rows
    assert set(rows["direction"]) == {"to_stereo", "to_anti"}
    assert main_lines(run(sweep).stdout) == main_lines(done.stdout)


def test_the_settings_are_the_cells_own(sweep, monkeypatch):
    config, asked = sweep / "ptq" / "config.yaml", []
    own = "statistics: {resamples: 123, seed: 7, alpha: 0.2}"
    config.write_text(f"{config.read_text()}\n{own}\n")
    monkeypatch.setattr(flips, "flip_tests", lambda _, *how: asked.append(how) or [])
    monkeypatch.setattr(flips, "lines", lambda _, alpha: asked.append(alpha) or [])
    flips.main([str(sweep / "none"), str(sweep / "ptq")])
    assert asked == [(123, 7), 0.2]


def main_lines(printed):
    return [line for line in printed.splitlines() if line.startswith("  crows_pairs")]


def test_what_cannot_be_compared_is_one_clear_line(sweep, capsys):
    other = sweep / "other"
    table = pd.read_parquet(sweep / "ptq" / "items.parquet").drop(columns=["benchmark", "scorer"])
    benchmarks = {"crows_pairs": BENCHMARKS["crows_pairs"]}
    write_cell(other, {"crows_pairs": table}, benchmarks, data="b")
    for folders, message in (
        ([sweep / "none", other], "were asked different items: their file.csv differ"),
        ([sweep / "none", sweep / "nowhere"], "is no folder of a cell"),
        ([other], "no compressed cell"),
        ([sweep] * 3, "give two cells"),
        ([sweep / "none", sweep / "ptq", "--out", sweep / "f.txt"], "name it .parquet or .csv"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(list(map(str, folders)))
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_texts_are_read_from_the_data_again_on_request(tmp_path):
    """The shipped sample items, since texts are not in the records."""
    config = CrowsPairsConfig(file="sample/crows_pairs.csv")
    benchmark = CrowsPairs(config)
    items = benchmark.load(DataFiles(DataConfig()).locate)
    rng = np.random.default_rng(2)
    cells = [
        write_cell(
            tmp_path / name,
            {"crows_pairs": benchmark.tabulate(items, scores(items, rng), None)},
            {"crows_pairs": benchmark},
            data="a",
        )
        for name in "ab"
    ]
    out = tmp_path / "flips.csv"
    main([*map(str, cells), "--text", "--out", str(out)])
    known = {f"{item.more} | {item.less}" for item in items}
    assert set(pd.read_csv(out)["text"]) <= known


def test_a_sweeps_flips_are_in_one_file_by_cell(sweep):
    write_flips(sweep, collect(sweep))
    rows = read_flips(sweep)
    assert len(rows)
    assert set(rows["cell"]) == {"m ptq"}
    assert set(rows["direction"]) == {"to_stereo", "to_anti"}
    # Of a single cell there is nothing to compare, and no old file is left.
    write_flips(sweep, collect(sweep / "ptq"))
    assert not (sweep / "flips.parquet").exists()
    assert read_flips(sweep).empty
