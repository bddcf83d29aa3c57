"""The documented chains: train, measure the checkpoints, tables; and the demo."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.schema import ROOT

NOUNS = ["cat", "dog", "bird", "fish", "house", "river", "garden", "road", "door", "king"]
QUIET = ["tracker=none", "system.device=cpu", "system.threads=1"]


def program(folder, module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commands(target):
    """The program lines of a Makefile target."""
    text = (ROOT / "Makefile").read_text()
    lines = text[text.index(f"\n{target}: ") + 1 :].split("\n\n")[0].splitlines()
    return [line.partition("/python -m ")[2].split() for line in lines if "/python -m " in line]


def scores(cell, benchmark, metric):
    rows = json.loads((cell / "metrics.json").read_text())
    return next(
        row["value"]
        for row in rows
        if (row["benchmark"], row["category"], row["metric"]) == (benchmark, "overall", metric)
    )


@pytest.mark.slow
def test_a_training_its_checkpoints_and_the_table_are_one_chain(tmp_path):
    """What `make chain` runs, in the order of the Makefile, on a made-up text."""
    rng = random.Random(0)

    def sentence():
        return f"The {rng.choice(NOUNS)} saw the {rng.choice(NOUNS)} near a {rng.choice(NOUNS)}."

    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(" ".join(sentence() for _ in range(9)) for _ in range(300)))
    train, measure, report = commands("chain")
    assert [train[0], measure[0], report[0]] == ["src.pretrain", "src.main", "src.report.html"]
    small = [f"corpus.sources.text.path={text}", "tokenizer.vocab_size=300", "tracker=none"]
    small += ["training.batch_tokens=512", f"corpus.cache={tmp_path / 'cache'}"]
    program(tmp_path, "src.pretrain", train[1], *small)
    output = program(tmp_path, "src.main", *measure[1:2], *QUIET)
    assert "chain-step300" in output
    cells = sorted(path.parent for path in (tmp_path / "multirun/chain").rglob("metrics.json"))
    assert len(cells) == 8
    program(tmp_path, "src.report.html", report[1])
    assert (tmp_path / "multirun/chain/report.html").is_file()
    steps = {yaml.safe_load((cell / "config.yaml").read_text())["model"]["step"] for cell in cells}
    assert steps == {0, 30, 100, 300}


@pytest.mark.slow
def test_the_demo_shows_a_model_that_learns(tmp_path):
    """What `make demo` runs."""
    first, second, report = commands("demo")
    for one in (first, second):
        program(tmp_path, "src.main", *one[1:2], *QUIET)
    program(tmp_path, "src.report.html", report[1])
    found = {}
    for path in (tmp_path / "multirun/demo").rglob("metrics.json"):
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        key = (config["model"]["name"], config["compression"]["name"])
        found[key] = scores(path.parent, "sample_stereoset", "lm_score")
    assert len(found) == 15
    for size in ("0.4m", "1.3m"):
        early, late = (found[f"tiny-{size}-step{step}", "none"] for step in (16, 5100))
        assert late > early + 10
        assert late > 65
    assert ("tiny_bert", "distilled") in found
    assert (Path(tmp_path) / "multirun/demo/report.html").is_file()
