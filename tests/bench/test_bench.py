"""The bench runs as a whole and notices a wrong engine; its loop is held against plain scoring."""

import json

import numpy as np
import pytest
from scipy.stats import permutation_test

from src.bench import cli
from src.bench import race as bench_race
from src.bench.grid import CellTime, grid_seconds, pair_seconds, tell_grid, weights
from src.bench.official import EFFECT_SIZE, OneAtATime, permutation_p_value
from src.bench.race import differences
from src.bench.records import Record, overall, verdict
from src.bench.samples import SETS, evenly_spaced, read_sample, thinned_tests
from src.bench.shapes import CELLS
from src.bench.subjects import random_subject, read_tokenizer
from src.benchmarks.base import Skipped
from src.benchmarks.items import AssociationTest
from src.scoring.engine import Engine
from tests import checkpoints
from tests.scoring import plain

WORKLOADS = ("crows_pairs", "stereoset", "seat", "overall")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    checkpoints.wordpiece(400).save_pretrained(folder / "masked")
    checkpoints.byte_level(False, 400).save_pretrained(folder / "causal")
    return folder


@pytest.fixture
def arguments(tokenizers, tmp_path):
    given = ["--shape=small", "--items=12", "--threads=1", "--permutations=300"]
    return [*given, f"--tokenizers={tokenizers}", f"--out={tmp_path / 'out'}"]


@pytest.mark.slow
def test_whole_bench_leaves_well_formed_records(arguments, tmp_path, capsys):
    assert cli.main(arguments) == 0
    records = json.loads((tmp_path / "out" / "bench.json").read_text())
    wanted = {
        f"{row}/{objective}/{precision}"
        for row in (*WORKLOADS, "share_of_peak")
        for objective in ("masked", "causal")
        for precision in ("fp32", "ptq")
    }
    names = [record["name"] for record in records if record["name"] != "lm_eval/causal/fp32"]
    assert sorted(names) == sorted(wanted | {"seat_permutations"})
    for record in records:
        measured = record["measured"]
        assert record.keys() == {"name", "ratio", "wanted", "bound", "ok", "measured"}
        assert measured["agrees"] is True
        assert record["ratio"] == measured["loop_seconds"] / measured["engine_seconds"] > 0
        if "tolerance" in measured:
            assert 0 <= measured["largest_difference"] <= measured["tolerance"]
            assert measured["loop_forwards"] >= measured["engine_forwards"] > 0
    for part in (record for record in records if record["name"].startswith("overall")):
        parts = [record for record in records if record["name"] in part["measured"]["of"]]
        assert len(parts) == 3
        for side in ("loop_seconds", "engine_seconds"):
            added = sum(record["measured"][side] for record in parts)
            assert part["measured"][side] == pytest.approx(added)
    assert json.loads((tmp_path / "out" / "environment.json").read_text())["threads"] == 1
    lines = capsys.readouterr().out.strip().splitlines()
    assert "12 of 92 pairs" in lines[0]
    assert lines[-1].startswith("all numbers agree")


@pytest.mark.parametrize("factor", [1.01, pytest.param(float("nan"), marks=pytest.mark.slow)])
def test_fast_but_wrong_engine_fails(arguments, tmp_path, monkeypatch, capsys, factor):
    class WrongEngine(Engine):
        def run(self, forwards):
            return [answer * np.float32(factor) for answer in super().run(forwards)]

    monkeypatch.setattr(bench_race, "Engine", WrongEngine)
    assert cli.main([*arguments, "--only", "causal/fp32"]) == 1
    records = json.loads((tmp_path / "out" / "bench.json").read_text())
    wrong = {record["name"] for record in records if not record["measured"]["agrees"]}
    assert {"crows_pairs/causal/fp32", "stereoset/causal/fp32", "overall/causal/fp32"} <= wrong
    assert not any(record["ok"] for record in records if record["name"] in wrong)
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("WRONG")


def test_wrong_permutation_test_fails(monkeypatch):
    tests = {"one": 30, "two": 40}
    _, astray = bench_race.race_permutations(tests, 2000)
    assert astray == []
    right = bench_race.permutation.permutation_p_value
    monkeypatch.setattr(
        bench_race.permutation, "permutation_p_value", lambda x, y, n, rng: right(y, x, n, rng)
    )
    _, astray = bench_race.race_permutations(tests, 2000)
    assert astray


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_loop_gives_the_scores_of_plain_scoring(objective, tokenizers):
    subject = random_subject(objective, "small", tokenizers)
    model, tokenizer = subject.model, subject.text.tokenizer
    start = subject.text.traits.start_id
    loop = OneAtATime(model, subject)
    pairs, clusters, tests = (workload.items[:3] for workload in read_sample(None, 20).workloads)
    for pair in pairs:
        score = loop.score(pair)
        if objective == "masked":
            wanted = plain.crows_masked(model, tokenizer, pair, False)
        else:
            wanted = {
                name: plain.sentence_causal(model, tokenizer, getattr(pair, name), start)
                for name in ("more", "less")
            }
        assert score == (None if wanted is None else pytest.approx(wanted, rel=1e-5))
    for cluster in clusters:
        score = loop.score(cluster)
        for candidate in cluster.candidates:
            if objective == "masked":
                wanted = plain.stereoset_masked(model, tokenizer, cluster, candidate, False)
            else:
                wanted = plain.sentence_causal(model, tokenizer, candidate.sentence, start)
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5)
    score = loop.score(tests[0])
    vectors = {
        sentence: plain.embedding(model, tokenizer, sentence, True, False)
        for part in SETS
        for sentence in getattr(tests[0], part)
    }
    units = {sentence: vector / np.linalg.norm(vector) for sentence, vector in vectors.items()}
    for sentence, unit in units.items():
        np.testing.assert_allclose(score[sentence], unit, atol=1e-6)
    x, y, a, b = (np.stack([units[one] for one in getattr(tests[0], part)]) for part in SETS)
    s = np.concatenate([x, y]) @ a.mean(0) - np.concatenate([x, y]) @ b.mean(0)
    size = (s[: len(x)].mean() - s[len(x) :].mean()) / s.std(ddof=1)
    assert score[EFFECT_SIZE] == pytest.approx(size, abs=1e-3)


def test_loop_runs_the_start_token_for_every_pair_but_once_for_stereoset(tokenizers):
    subject = random_subject("causal", "small", tokenizers)
    pairs, clusters, _ = (workload.items[:4] for workload in read_sample(None, 20).workloads)
    loop = OneAtATime(subject.model, subject)
    for pair in pairs:
        loop.score(pair)
    assert loop.forwards == 4 * len(pairs)
    loop = OneAtATime(subject.model, subject)
    for cluster in clusters:
        loop.score(cluster)
    assert loop.forwards == 3 * len(clusters) + 1


def test_permutation_loop_equals_scipy():
    few, many = np.random.default_rng(3), np.random.default_rng(4)
    x, y = few.normal(0.8, 1, 5), few.normal(size=5)

    def p(x, y, n):
        found = permutation_test(
            (x, y),
            lambda a, b: np.sum(a) - np.sum(b),
            n_resamples=n,
            alternative="greater",
            rng=np.random.default_rng(0),
        )
        return found.pvalue

    exact, drawn = permutation_p_value(x, y, 252, np.random.RandomState(0))
    assert (exact, drawn) == (pytest.approx(p(x, y, 252)), 252)
    x, y = many.normal(0.3, 1, 30), many.normal(size=30)
    sampled, drawn = permutation_p_value(x, y, 4000, np.random.RandomState(0))
    assert drawn == 4000
    assert sampled == pytest.approx(p(x, y, 20_000), abs=0.03)


def test_thinning_keeps_sizes_equal_and_the_share_of_repeats():
    sentences = [f"sentence {number}" for number in range(400)]
    a, b = tuple(sentences[200:300]), tuple(sentences[300:])
    tests = [
        AssociationTest("t", "c", "t", tuple(sentences[:100]), tuple(sentences[100:200]), a, b),
        AssociationTest("u", "c", "u", tuple(sentences[50:100]), tuple(sentences[100:150]), a, b),
    ]
    some = thinned_tests(tests, 0.1)
    assert [len(test.x) for test in some] == [len(test.y) for test in some] == [10, 5]
    assert some[0].a == some[1].a == tuple(sentences[200:300:10])
    assert thinned_tests(tests, 1.0) == tests
    assert thinned_tests(tests, 0.005) == []
    assert evenly_spaced(range(10), 0.3) == [0, 3, 6]
    assert evenly_spaced(range(10), 0.01) == [0]


def test_differences_notice_skips_keys_and_missing_numbers():
    skipped = Skipped("why")
    assert differences([skipped, {"more": 2.0}], [None, {"more": 2.0}]) == [0, 0]
    assert differences([skipped], [{"more": 2.0}]) == [np.inf]
    assert differences([{"more": 2.0}], [None]) == [np.inf]
    assert differences([{"more": 2.0}], [{"less": 2.0}]) == [np.inf]
    assert differences([{"more": 2.2}], [{"more": 2.0}]) == [pytest.approx(0.1)]
    assert differences([{EFFECT_SIZE: 0.02}], [{EFFECT_SIZE: 0.01}]) == [pytest.approx(0.01)]
    assert np.isnan(bench_race.largest(differences([{"m": np.nan}, {"m": 1}], [{"m": 1}] * 2)))


def test_verdict_says_what_is_short():
    counted = {"useful_flops": 6e9, "peak_flops_per_second": 3e9}
    fast = Record("a", 50.0, 10.0, "masked", "fp32", details=counted)
    slow = Record("b", 10.0, 10.0, "masked", "fp32", details={**counted, "useful_flops": 12e9})
    assert overall([fast, slow], 4.0).ratio == 3.0
    assert verdict([fast, overall([fast], 4.0)]).endswith("reached: overall/masked/fp32 5.0x")
    assert "3.0x of 4.0x" in verdict([overall([fast, slow], 4.0)])
    assert overall([fast, slow], 4.0).bound == 60.0 / (2.0 + 4.0)
    wrong = Record("c", 9.0, 1.0, agrees=False, details=counted)
    assert not overall([fast, wrong], None).ok
    assert verdict([fast, wrong]).startswith("WRONG")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--items=0", "--items=0"),
        ("--items=1", "leaves no SEAT test"),
        ("--threads=0", "below 1"),
        ("--data-root=/nowhere", "/nowhere"),
        ("--tokenizers=/nowhere", "no usable tokenizer"),
    ],
)
def test_bad_arguments_are_refused(arguments, tmp_path, capsys, wrong, said):
    with pytest.raises(SystemExit, match="2"):
        cli.main([*arguments, wrong])
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json"))


def test_models_that_ship_lend_their_tokenizers(tmp_path):
    given = ["--shape=small", "--items=12", "--threads=1", "--permutations=300"]
    assert cli.main([*given, "--only", "seat_permutations", f"--out={tmp_path}"]) == 0
    for objective, special in (("masked", "[MASK]"), ("causal", "<|endoftext|>")):
        assert special in read_tokenizer(None, objective).get_vocab()


def test_bound_is_the_ratio_at_the_peak():
    counted = {"useful_flops": 6e9, "peak_flops_per_second": 2e9}
    assert Record("a", 12.0, 4.0, details=counted).bound == 4.0
    assert Record("a", 12.0, 4.0).bound is None


def test_only_some_rows_leave_the_others_of_the_same_conditions(arguments, tmp_path, capsys):
    path = tmp_path / "out" / "bench.json"
    assert cli.main([*arguments, "--only", "seat_permutations"]) == 0
    first = json.loads(path.read_text())
    assert [record["name"] for record in first] == ["seat_permutations"]
    assert cli.main([*arguments, "--only", "masked/ptq"]) == 0
    both = json.loads(path.read_text())
    assert both[0] == first[0]
    rows = [*WORKLOADS, "share_of_peak"]
    assert [record["name"] for record in both[1:]] == [f"{row}/masked/ptq" for row in rows]
    assert cli.main([*arguments, "--only", "seat_permutations", "--threads=2"]) == 0
    assert len(json.loads(path.read_text())) == 1


@pytest.mark.slow
def test_cells_are_timed_whole(arguments, tmp_path, capsys):
    wanted = ["--cells", "small", "--limit=1", f"--scratch={tmp_path}"]
    assert cli.main([*arguments, *wanted]) == 0
    cells = json.loads((tmp_path / "out" / "cells.json").read_text())["cells"]
    assert [cell["compression"] for cell in cells] == ["none", "ptq"]
    for cell in cells:
        assert cell["seconds"] >= cell["phases"]["cell"] >= cell["phases"]["evaluate"] > 0
        assert cell["process_seconds"] > 0
        assert cell["measured"]["tokens_run"] > 0
    assert cells[1]["measured"]["weights_reused"]
    assert not list(tmp_path.glob("compression-bias-*"))
    assert "needs a dense and an int8 cell of one of its sizes" in capsys.readouterr().out


def test_the_grid_is_the_sum_over_its_checkpoints():
    def cell(size, compression, seconds, dtype="float32"):
        return CellTime(size, dtype, compression, seconds, 0, {}, {})

    times = [cell(size, kind, 10.0) for size in CELLS for kind in ("none", "ptq")]
    checkpoints = sum(shape.checkpoints for shape in CELLS.values())
    assert sum(grid_seconds(pair_seconds(times)).values()) == 20 * checkpoints
    assert f"{2 * checkpoints} cells" in tell_grid(times)
    assert "not measured" not in tell_grid(times)
    few = [cell("1.4b", "none", 1.0), cell("1.4b", "ptq", 2.0), cell("6.9b", "none", 5.0)]
    found = grid_seconds(pair_seconds(few))
    assert found["1.4b"] == 21 * 3.0
    scale = weights(CELLS["6.9b"]) / weights(CELLS["1.4b"])
    assert found["6.9b"] == pytest.approx(21 * 3.0 * scale)
    assert "at least" in tell_grid(few)
    two = [*few, cell("6.9b", "ptq", 7.0)]
    between = grid_seconds(pair_seconds(two))
    small, large, middle = (weights(CELLS[size]) for size in ("1.4b", "6.9b", "2.8b"))
    line = 3.0 + (12.0 - 3.0) * (middle - small) / (large - small)
    assert between["2.8b"] == pytest.approx(21 * line)
    assert between["6.9b"] == 21 * 12.0
    assert "at least" not in tell_grid(two)
    assert "small" not in found
    assert "needs" in tell_grid([cell("70m", "none", 1.0, "bfloat16")])
