"""Data goes one way, and an addition costs what DESIGN promises."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"


def imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("benchmarks", ("torch", "transformers", "src.models", "src.scoring", "src.compression")),
        ("scoring/engine.py", ("src.benchmarks", "src.compression", "src.tracking")),
        ("scoring/batching.py", ("src.benchmarks", "torch")),
        ("compression", ("src.benchmarks", "src.scoring", "src.tracking")),
        ("models", ("src.benchmarks", "src.scoring", "src.compression", "src.tracking")),
        ("tracking", ("torch", "transformers", "src.models", "src.scoring", "src.compression")),
        ("data", ("torch", "src.benchmarks", "src.models")),
        ("report", ("torch", "src.models", "src.scoring", "src.compression")),
        ("statistics", ("torch", "src.models", "src.scoring", "src.compression")),
    ],
)
def test_packages_do_not_reach_back(package, forbidden):
    path = SRC / package
    files = [path] if path.is_file() else list(path.rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            for word in forbidden:
                assert not f"{name}.".startswith(f"{word}."), f"{file}: {name}"


def test_composing_a_config_needs_no_torch():
    code = "import src.main, sys; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_other_libraries_do_not_talk_into_the_bench(tmp_path):
    """transformers imports torchao where it is installed, which tells what it lacks."""
    given = ["--shape=small", "--items=12", "--permutations=300", f"--out={tmp_path}"]
    command = [sys.executable, "-m", "src.bench", *given, "--only", "seat_permutations"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "seat_permutations" in done.stdout
    assert done.stderr == ""


def test_help_of_the_bench_needs_no_torch():
    command = [sys.executable, "-X", "importtime", "-m", "src.bench", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--repeats" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert "torch" not in imported


@pytest.fixture
def copy(tmp_path):
    """A copy of the project that an addition can be made to."""
    for folder in ("src", "conf"):
        subprocess.run(["cp", "-r", str(ROOT / folder), str(tmp_path / folder)], check=True)
    return tmp_path


def run(copy, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "src.main", *arguments, "debug=dry"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_compression_is_one_module_and_one_yaml(copy):
    """The one that the README shows, as it stands there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("A whole compression, `src/compression/clip.py`") :]
    module, settings = (
        re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL).group(1)
        for kind in ("python", "yaml")
    )
    code = [line for line in module.splitlines() if line.strip()]
    assert len(code) <= 20
    (copy / "src/compression/clip.py").write_text(module)
    (copy / "conf/compression/clip.yaml").write_text(settings)
    assert "Key 'deviation' not in 'ClipConfig'" in run(
        copy, "compression=clip", "compression.deviation=1"
    )
    assert "compression.deviations=-1.0 is not possible" in run(
        copy, "compression=clip", "compression.deviations=-1"
    )
    done = subprocess.run(
        [sys.executable, "-m", "src.main", "-m", "compression=clip", "compression.deviations=0.5,2",
         "model=tiny_masked", "benchmark=sample", "tracker=none", "debug.limit=1",
         "drift.requests=4", "system.threads=1", "hydra.sweep.dir=out"],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    some, more = (
        json.loads((copy / "out" / f"compression.deviations={at}" / "receipt.json").read_text())
        for at in ("2", "0.5")
    )
    assert some["method"] == "clip"
    assert 0 < some["relative_error"] < more["relative_error"]
    assert 0 < some["drift"]["mean_kl"] < more["drift"]["mean_kl"]


def test_a_model_is_one_yaml(copy):
    (copy / "conf/model/mine.yaml").write_text(
        "defaults: [schema/checkpoint@_here_]\nname: mine\nid: me/mine\n"
    )
    assert "id: me/mine" in run(copy, "model=mine")


def test_a_table_is_one_function_and_one_yaml(copy):
    (copy / "src/report/paper/mine.py").write_text(
        "from src.report.paper.masked_rows import MaskedTable, masked_table\n"
        "from src.report.paper.table import Column\n"
        "from src.report.paper.writing import table\n"
        "@table('mine', needs=('masked',))\n"
        "def mine(found):\n"
        "    columns = [Column('ICAT', 'overall', 'lm_score')]\n"
        "    return masked_table(MaskedTable('mine', 'My own', columns), found)\n"
    )
    (copy / "conf/experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults: [paper_masked, _self_]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "src.paper", "mine", "--draw", "paper=tiny"],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = (copy / "multirun/paper_tiny/tables/mine.md").read_text(encoding="utf-8")
    assert text.startswith("**My own")
    assert "| BERT base int8 | ours | missing |" in text


def test_a_benchmark_is_one_module_and_one_yaml(copy):
    (copy / "src/benchmarks/mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from src.benchmarks.registry import benchmark\n"
        "@dataclass\n"
        "class MineConfig:\n"
        "    kind: str = 'mine'\n"
        "    level: int = 3\n"
        "@benchmark('mine', MineConfig)\n"
        "class Mine: ...\n"
    )
    (copy / "conf/benchmark/mine.yaml").write_text("defaults: [schema/mine@mine]\n")
    assert "level: 4" in run(copy, "benchmark=mine", "benchmark.mine.level=4")


def test_a_scorer_is_one_function_and_one_yaml(copy):
    (copy / "src/scoring/mine.py").write_text(
        "from src.benchmarks.items import SentencePair\n"
        "from src.scoring.scorer import Plan, scorer\n"
        "from src.scoring.plans import sentences_plan\n"
        "@scorer('mine', SentencePair, 'causal')\n"
        "def mine(pair, text):\n"
        "    return sentences_plan({'more': pair.more, 'less': pair.less}, text)\n"
    )
    (copy / "conf/scorer/mine.yaml").write_text("defaults: [schema/scorer@_here_]\nname: mine\n")
    done = subprocess.run(
        [sys.executable, "-m", "src.main", "scorer=mine", "benchmark=sample", "tracker=none",
         "~benchmark.sample_seat", "~benchmark.sample_stereoset", "debug.limit=2",
         "system.threads=1", "hydra.run.dir=out"],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "out" / "metrics.json").exists()
