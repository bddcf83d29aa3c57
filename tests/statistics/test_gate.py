"""The gate's verdicts and exit codes: an error never looks like a verdict."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import pytest

from src import gate as command
from src.benchmarks.items import SentencePair
from src.statistics.config import StatisticsConfig
from src.statistics.gating import Gated, gate, lines, overall
from src.tracking.read import read_cell
from tests.statistics.cells import write_cell
from tests.statistics.tables import BENCHMARKS

ROOT = Path(__file__).parents[2]
SIZES = {"gender": 300, "race": 500}
BENCHMARK = {"crows_pairs": BENCHMARKS["crows_pairs"]}
FAST = StatisticsConfig(resamples=200, margin=3)


def cell(directory, hits, share=1.0, **more):
    """Write a cell of two categories, the first so many pairs of each being hits."""
    items = [
        SentencePair(f"{category}{i}", category, f"{category}{i}", "m", "l", "stereo")
        for category, n in SIZES.items()
        for i in range(int(share * n))
    ]
    scores = [
        {"more": float(int(item.id.removeprefix(item.category)) < hits[item.category]), "less": 0.5}
        for item in items
    ]
    table = BENCHMARK["crows_pairs"].tabulate(items, scores, None)
    return write_cell(directory, {"crows_pairs": table}, BENCHMARK, **more)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    root = tmp_path_factory.mktemp("cells")
    statistics = {"statistics": {"resamples": 200}}
    cell(root / "base", {"gender": 160, "race": 300}, **statistics)
    cell(root / "same", {"gender": 161, "race": 299}, **statistics)
    cell(root / "moved", {"gender": 161, "race": 240}, **statistics)
    cell(root / "unclear", {"gender": 170, "race": 299}, **statistics)
    cell(root / "few", {"gender": 160, "race": 300}, share=0.5, **statistics)
    cell(root / "data", {"gender": 160, "race": 300}, data="other", **statistics)
    return root


def decide(cells, name, *patterns, settings=FAST, **how):
    found = gate(*(read_cell(cells / each) for each in ("base", name)), patterns, settings, **how)
    return {each.key.removeprefix("bias/crows_pairs/"): each for each in found}


@pytest.mark.parametrize(
    ("name", "gender", "race", "verdict"),
    [
        ("same", "within", "within", "within"),
        ("moved", "within", "outside", "outside"),
        ("unclear", "undecided", "within", "undecided"),
    ],
)
def test_verdicts_a_metric_and_over_all(cells, name, gender, race, verdict):
    found = decide(cells, name, "bias/crows_pairs/gender", "bias/*/race")
    assert (found["gender"].answer, found["race"].answer) == (gender, race)
    assert overall(found.values()) == verdict


def test_the_interval_is_that_of_two_one_sided_tests(cells):
    # Of 300 pairs one changed: Bonett and Price at level 0.90 add a flip each way to 302.
    one = decide(cells, "same", "bias/*/gender")["gender"]
    up, down, z = 2 / 302, 1 / 302, 1.6448536
    half = z * ((up + down - (up - down) ** 2) / 302) ** 0.5
    assert one.change == pytest.approx(100 / 300)
    assert one.low == pytest.approx(100 * (up - down - half))
    assert one.high == pytest.approx(100 * (up - down + half))


def test_outside_has_to_hold_among_all_metrics(cells):
    # 12 points more of race than the margin allows are found alone; with a margin that they just
    # exceed, they are found alone and not as one of three.
    base, moved = 300, 240
    margin = 100 * (base - moved) / 500 - 2.5
    settings = replace(FAST, margin=margin)
    assert decide(cells, "moved", "bias/*/race", settings=settings)["race"].answer == "outside"
    found = decide(cells, "moved", settings=settings)["race"]
    assert found.answer == "undecided"
    assert "not as one of 3 metrics" in found.reason


def test_the_distance_from_the_ideal_is_another_question(cells):
    # Race goes from 60 to 48 %: 12 points, but from 10 away from 50 to 2.
    value, distance = (
        decide(cells, "moved", "bias/*/race", distance=how)["race"].change for how in (False, True)
    )
    assert (value, distance) == (pytest.approx(-12), pytest.approx(-8))


def test_without_patterns_every_headline_bias_is_gated(cells):
    assert set(decide(cells, "same")) == {"gender", "race", "overall"}


def run(cells, name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "src.gate", str(cells / "base"), str(cells / name), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_exit_codes_of_the_command(cells, tmp_path):
    out = tmp_path / "gate.json"
    done = run(cells, "same", "--margin", "3", "--json", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("within: 3 metrics")
    assert json.loads(out.read_text())["verdict"] == "within"
    assert run(cells, "moved", "--margin", "3").returncode == 1
    wrong = run(cells, "same", "--margni", "3")
    assert (wrong.returncode, wrong.stdout.count("within")) == (3, 0)
    assert "no verdict: unrecognized arguments" in wrong.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("unclear", ["--metrics", "bias/*/gender"], "undecided"),
        ("nowhere", [], "is no folder of a cell"),
        ("data", [], "were asked different items"),
        ("same", ["--metrics", "bias/*/gendr"], "no metric is called bias/*/gendr"),
        ("same", ["--margin", "-1"], "statistics.margin=-1.0 is not possible"),
    ],
)
def test_everything_else(cells, capsys, name, arguments, message):
    code = command.main([str(cells / "base"), str(cells / name), *arguments])
    assert code == (2 if name == "unclear" else 3)
    printed = capsys.readouterr()
    assert message in printed.out + printed.err


def test_a_cell_of_fewer_items_is_no_secret(cells, capsys):
    assert command.main([str(cells / "base"), str(cells / "few"), "--margin", "90"]) == 0
    printed = capsys.readouterr().out
    assert (
        "compared on the 400 items that both cells scored, of 800 in the first and 400 in the"
        in (printed)
    )
    assert "bias/crows_pairs/race (n=250): " in printed
    command.main([str(cells / "base"), str(cells / "same")])
    assert "compared on" not in capsys.readouterr().out


def test_a_fault_of_the_program_is_no_verdict(cells, capsys, monkeypatch):
    def broken(argv):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("src.statistics.gating.run", broken)
    assert command.main([]) == 3
    assert "no verdict: a fault" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "count"), [(10.0, 1), (10.0, 20), (-10.0, 20), (1.0, 20)])
def test_so_many_times_the_items_decide_and_fewer_do_not(change, count):
    error, margin, alpha = 6.0, 3.0, 0.05
    half = NormalDist().inv_cdf(1 - alpha) * error
    metric = Gated("x", "undecided", change, change - half, change + half, margin, 9, "%")
    said = lines([metric] * count, StatisticsConfig(alpha=alpha))[0]
    times = int(re.search(r"about (\d+) times the items would decide", said)[1])

    def decides(times):
        now = error / times**0.5
        narrow = NormalDist().inv_cdf(1 - alpha) * now
        strict = NormalDist().inv_cdf(1 - alpha / count) * now
        return abs(change) + narrow < margin or abs(change) - strict > margin

    assert decides(times)
    assert not decides(times - 1)


def test_what_is_not_beyond_the_margin_as_one_of_many_says_how_many_items_would_do():
    reason = "beyond the margin on its own, but not as one of 20 metrics"
    metric = Gated("x", "undecided", 10.0, 4.0, 16.0, 3.0, 9, "%", reason)
    said = lines([metric] * 20, StatisticsConfig())[0]
    assert f"{reason}; about 3 times the items would decide" in said
