"""Predictions files: the authors' published numbers, refusals, the way back from our records."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_gold import LABELS
from src.report.stereoset_predictions import main

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("COMPRESSION_BIAS_DATA", ROOT.parent / "shared" / "data"))
PUBLISHED = json.loads((ROOT / "tests" / "oracle" / "stereoset_dev_published.json").read_text())


def cluster(task, number, domain="race", target="Ghana"):
    return {
        "id": f"{task}{number}",
        "target": target,
        "bias_type": domain,
        "context": "They are BLANK.",
        "sentences": [
            {"id": f"{task}{number}{label[0]}", "gold_label": label, "sentence": "They are so."}
            for label in LABELS
        ],
    }


def predictions_of(clusters, scores):
    """Scores as (stereotype, anti-stereotype, unrelated) for each cluster."""
    return [
        {"id": sentence["id"], "score": score}
        for entry, triple in zip(clusters, scores, strict=True)
        for sentence, score in zip(entry["sentences"], triple, strict=True)
    ]


INTRA = [cluster("intra", n, ("race", "race", "gender")[n], ("a", "b", "c")[n]) for n in range(3)]
INTER = [cluster("inter", 0)]
SCORES = [(3, 2, 1), (1, 2, 3), (3, 1, 2)]


@pytest.fixture
def run(tmp_path):
    """Score a predictions object against a gold object through the command line."""

    def run(predictions, intra=INTRA, inter=INTER):
        gold, out = tmp_path / "dev.json", tmp_path / "results" / "out.json"
        data = {"intrasentence": intra, "intersentence": inter}
        gold.write_text(json.dumps({"data": {k: v for k, v in data.items() if v is not None}}))
        file = tmp_path / "predictions.json"
        file.write_text(json.dumps(predictions))
        try:
            main([str(file), "--gold", str(gold), "--json", str(out)])
        except SystemExit:
            assert not out.exists()
            assert not list(tmp_path.rglob("*.tmp"))
            raise
        assert [path.name for path in out.parent.iterdir()] == ["out.json"]
        return json.loads(out.read_text())

    return run


def test_numbers_by_hand_and_the_printed_table(run, capsys):
    found = run({"intrasentence": predictions_of(INTRA, SCORES)})
    third = 200 / 3
    assert found == {
        "intrasentence": {
            "gender": {"LM": 50.0, "SS": 100.0, "ICAT": 0.0, "n": 1},
            "race": {"LM": 50.0, "SS": 50.0, "ICAT": 50.0, "n": 2},
            "overall": {
                "LM": pytest.approx(50.0),
                "SS": pytest.approx(third),
                "ICAT": pytest.approx(100 - third),
                "n": 3,
            },
        }
    }
    printed = capsys.readouterr().out
    assert "intrasentence" in printed
    assert "66.67" in printed


def test_both_tasks(run):
    both = {
        "intersentence": predictions_of(INTER, [(3, 2, 1)]),
        "intrasentence": predictions_of(INTRA, SCORES),
    }
    found = run(both)
    assert set(found) == {"intrasentence", "intersentence"}
    assert found["intersentence"]["overall"] == {"LM": 100.0, "SS": 100.0, "ICAT": 0.0, "n": 1}


def test_missing_unknown_and_repeated_ids_are_refused_with_counts(run):
    good = predictions_of(INTRA, SCORES)
    spoilt = [*good[2:], {"id": "zzz", "score": 1}, good[4]]
    with pytest.raises(SystemExit) as error:
        run({"intrasentence": spoilt})
    message = str(error.value)
    assert "2 of 9 gold ids have no score (such as intra0s)" in message
    assert "1 of 8 ids are not in the gold file (such as zzz)" in message
    assert "1 ids are there more than once (such as intra1a)" in message
    assert "are they mixed?" in message
    assert "predictions.json" in message


@pytest.mark.parametrize("spoil", ["missing", "unknown", "twice"])
def test_each_of_them_is_enough(run, spoil):
    good = predictions_of(INTRA, SCORES)
    spoilt = {
        "missing": good[1:],
        "unknown": [*good, {"id": "zzz", "score": 1}],
        "twice": [*good, good[0]],
    }[spoil]
    with pytest.raises(SystemExit, match="error: "):
        run({"intrasentence": spoilt, "intersentence": predictions_of(INTER, [(3, 2, 1)])})


def test_the_other_splits_predictions_are_refused(run):
    with pytest.raises(SystemExit) as error:
        run({"intrasentence": predictions_of([cluster("test", 0)], [(1, 2, 3)])})
    assert "9 of 9 gold ids have no score" in str(error.value)
    assert "are they mixed?" in str(error.value)


@pytest.mark.parametrize("inter", [INTER, None])
def test_a_task_of_which_the_gold_knows_nothing_is_left_out_and_named(run, capsys, inter):
    other = predictions_of([cluster("else", 0)], [(1, 2, 3)])
    both = {"intrasentence": predictions_of(INTRA, SCORES), "intersentence": other}
    found = run(both, inter=inter)
    assert set(found) == {"intrasentence"}
    assert "intersentence is left out: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a predictions file is an object with intrasentence and/or intersentence"),
        ({}, "a predictions file is an object"),
        ({"intra": []}, "a predictions file is an object"),
        ({"intrasentence": {"id": 1}}, "each a list of"),
        ({"intrasentence": []}, "the list is empty"),
        ({"intrasentence": [{"score": 1}]}, "is not {"),
        ({"intrasentence": [{"id": "intra0s", "score": "1"}]}, "the score '1' is not a number"),
        ({"intrasentence": [{"id": "intra0s", "score": True}]}, "the score True is not a number"),
        ({"intrasentence": [{"id": "intra0s"}]}, "the score None is not a number"),
        ({"intrasentence": [{"id": "x", "score": math.nan}]}, "NaN is not a JSON value"),
    ],
)
def test_files_in_another_format_are_refused(run, content, message):
    with pytest.raises(SystemExit) as error:
        run(content)
    assert message in str(error.value)


def item_table(tmp_path, task="intrasentence"):
    """A cell's items.parquet: random scores for the clusters, rows of another benchmark beside."""
    gold = tmp_path / "dev.json"
    data = {"intrasentence": INTRA, "intersentence": INTER}
    gold.write_text(json.dumps({"data": data}))
    benchmark = StereoSet(StereoSetConfig(split="dev", task=task))
    items = benchmark.load(lambda _: gold)
    rng = np.random.default_rng(0)
    scores = [{c.id: float(rng.normal()) for c in item.candidates} for item in items]
    table = benchmark.tabulate(items, scores, None)
    table.insert(0, "benchmark", "stereoset")
    table.insert(1, "scorer", "bias_bench")
    other = pd.DataFrame({"benchmark": ["crows_pairs"], "item_id": ["0"], "score_more": [0.5]})
    return pd.concat([other, table], ignore_index=True), gold, scores


def export(tmp_path, table, gold, *more):
    items, out = tmp_path / "items.parquet", tmp_path / "exported.json"
    table.to_parquet(items)
    main(["--export", str(items), "--gold", str(gold), "--out", str(out), *more])
    return out


@pytest.mark.parametrize("task", ["intrasentence", "intersentence"])
def test_exported_scores_give_the_cells_own_numbers_back(tmp_path, task):
    table, gold, scores = item_table(tmp_path, task)
    out = export(tmp_path, table, gold)
    written = json.loads(out.read_text())
    assert {task: {e["id"]: e["score"] for e in written[task]}} == {
        task: {key: value for score in scores for key, value in score.items()}
    }
    main([str(out), "--gold", str(gold), "--json", str(tmp_path / "scored.json")])
    results = json.loads((tmp_path / "scored.json").read_text())
    rows = table[table["benchmark"] == "stereoset"]
    metrics = StereoSet(StereoSetConfig(task=task)).metrics(rows)
    own = {(m.category, m.metric): m.value for m in metrics}
    for category, numbers in results[task].items():
        names = {"ss": "SS", "lm_score": "LM", "icat": "ICAT", "n_clusters": "n"}
        for name, short in names.items():
            assert numbers[short] == own[category, name]


def test_export_chooses_a_scorer(tmp_path):
    table, gold, _ = item_table(tmp_path)
    second = table[table["benchmark"] == "stereoset"].assign(scorer="pll", score_unrelated=9.0)
    both = pd.concat([table, second], ignore_index=True)
    with pytest.raises(SystemExit, match="more than once; export one scorer"):
        export(tmp_path, both, gold)
    out = export(tmp_path, both, gold, "--scorer", "pll")
    written = json.loads(out.read_text())["intrasentence"]
    assert {e["score"] for e in written if e["id"].endswith("u")} == {9.0}


def test_export_refusals(tmp_path):
    table, gold, _ = item_table(tmp_path)
    skipped = table.copy()
    skipped.loc[2, "score_unrelated"] = np.nan
    with pytest.raises(SystemExit, match=r"1 cluster.*such as intra1.*three finite scores"):
        export(tmp_path, skipped, gold)
    foreign = table.copy()
    foreign.loc[2, "item_id"] = "other"
    with pytest.raises(SystemExit, match=r"such as other.*not in this gold file"):
        export(tmp_path, foreign, gold)
    with pytest.raises(SystemExit, match="no StereoSet rows"):
        export(tmp_path, table[:1], gold)
    assert not (tmp_path / "exported.json").exists()


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path):
    table, gold, _ = item_table(tmp_path)
    predictions = export(tmp_path, table, gold)
    for out in (tmp_path, gold / "out.json"):  # a folder; below a file
        with pytest.raises(SystemExit, match="error: "):
            main([str(predictions), "--gold", str(gold), "--json", str(out)])
    assert json.loads(gold.read_text())


@pytest.mark.parametrize("argv", [["--gold", "g"], ["p", "--gold", "g", "--out", "o"], ["p"]])
def test_wrong_command_lines_show_the_usage(argv, capsys):
    with pytest.raises(SystemExit) as error:
        main(argv)
    assert error.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA")
@pytest.mark.parametrize("model", PUBLISHED["models"])
def test_the_authors_predictions_give_their_published_numbers(model, tmp_path):
    folder = DATA / "stereoset"
    file = folder / "reference_predictions" / f"predictions_{model}.json"
    out = tmp_path / "out.json"
    main([str(file), "--gold", str(folder / "dev.json"), "--json", str(out)])
    found = json.loads(out.read_text())["intrasentence"]
    for category, numbers in PUBLISHED["models"][model].items():
        printed = {name: round(found[category][name], 2) for name in numbers}
        assert printed == numbers, category
    assert found["overall"]["n"] == 2106


@pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA")
def test_dev_predictions_against_the_test_gold_end_with_one_clear_line():
    folder = DATA / "stereoset"
    [file, *_] = (folder / "reference_predictions").glob("*gpt2*")
    command = [sys.executable, "-m", "src.report.stereoset_predictions", str(file)]
    done = subprocess.run(
        [*command, "--gold", str(folder / "test.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "6318 of 6318 ids are not in the gold file" in done.stderr
