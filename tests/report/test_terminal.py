import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from src.errors import InputError, Unsupported
from src.report.cells import collect, labels, twin
from src.report.terminal import print_sweep
from src.tracking.records import CellRecords

ROOT = Path(__file__).parents[2]
METRICS = [  # benchmark, metric, kind, unit, ideal
    ("crows_pairs", "stereotype_score", "bias", "%", 50.0),
    ("stereoset", "ss", "bias", "%", 50.0),
    ("stereoset", "lm_score", "lm", "%", None),
    ("stereoset", "icat", "lm", "%", None),
    ("seat", "mean_abs_effect_size", "bias", "sd", 0.0),
]
CATEGORIES = ("gender", "profession", "race", "religion", "overall")


def value(benchmark: str, metric: str, category: str, shift: float) -> float:
    """A number that is different for every column, so that a mix-up shows."""
    row = [(name, kind) for name, kind, *_ in METRICS].index((benchmark, metric))
    return 10.125 * (row + 1) + CATEGORIES.index(category) + shift


def cell(directory: Path, model="bert", compression="none", shift=0.0, end=None, **changes):
    """Write a cell as the program does; `end` is an error, or "killed"."""
    config = {
        "model": {"name": model, "id": f"hub/{model}"} | changes.pop("of_model", {}),
        "compression": {"name": compression, "kind": compression} | changes.pop("how", {}),
        "benchmark": {"crows_pairs": {"categories": None}},
        "scorer": {"name": "bias_bench"},
        "sweep": directory.parent.name,
        "tracker": {"kind": "none"},
    }
    records = CellRecords(directory)
    records.start("f")
    records.write_config(config | changes.pop("config", {}))
    prefix, undefined = changes.pop("prefix", ""), changes.pop("undefined", ())
    records.write_metrics(
        {
            **{"benchmark": prefix + name, "metric": metric, "kind": kind, "unit": unit},
            **{"ideal": ideal, "category": category, "scorer": "bias_bench", "n": 5},
            **{"ci_low": None, "ci_high": None, "reason": "no pairs here"},
            **{"ci_method": "none: test", "mde": None},
            "value": float("nan")
            if (name, category) in undefined
            else value(name, metric, category, shift),
        }
        for name, metric, kind, unit, ideal in METRICS
        for category in CATEGORIES
    )
    records.write_items(pd.DataFrame({"item_id": ["1"]}))
    records.write_json("receipt.json", {"memory_bytes_after": 12_300_000})
    records.write_json("system.json", {"evaluate_seconds": 45.67})
    records.write_json("environment.json", {"unsupported": changes.pop("unsupported", {})})
    assert not changes
    if isinstance(end, Exception):
        records.finish("unsupported" if isinstance(end, Unsupported) else "failed", end)
    elif end is None:
        records.finish("done")
    else:
        status = json.loads((directory / "status.json").read_text())
        records.write_json("status.json", status | {"pid": 1})


def shown(directory: Path, width: int = 200, **options) -> str:
    stream = io.StringIO()
    print_sweep(directory, Console(file=stream, width=width, **options))
    return stream.getvalue()


@pytest.fixture
def sweep(tmp_path):
    for model in ("bert", "pythia-410m-step143000"):
        cell(tmp_path / f"{model}-none", model)
        cell(tmp_path / f"{model}-ptq", model, "ptq", shift=1.25)
    cell(tmp_path / "failed", "gpt2", end=InputError("weights [bold]x[/bold] are missing\nmore"))
    cell(tmp_path / "unsupported", "gpt2", "ptq", end=Unsupported("needs a masked model"))
    cell(tmp_path / "killed", "opt", end="killed")
    return tmp_path


def test_a_wide_table_has_every_category_with_its_difference(sweep):
    text = shown(sweep, 300)
    (line,) = (line for line in text.splitlines() if line.startswith(" bert ") and "ptq" in line)
    expected = [
        f"{value(name, metric, category, 1.25):{form}} ({1.25:+{form}})"
        for name, metric, categories, form in [
            ("crows_pairs", "stereotype_score", ("gender", "race", "religion"), ".2f"),
            ("stereoset", "ss", ("gender", "race", "religion"), ".2f"),
            ("stereoset", "lm_score", ("overall",), ".2f"),
            ("seat", "mean_abs_effect_size", ("gender", "race", "religion"), ".3f"),
        ]
        for category in categories
    ]
    assert " ".join(line.split()) == f"bert ptq done {' '.join(expected)} 12.3 45.7"
    (line,) = (line for line in text.splitlines() if line.startswith(" bert ") and "none" in line)
    assert "(" not in line


@pytest.mark.parametrize("width", [50, 80, 100, 120, 160, 200])
def test_it_fits_and_keeps_the_overall_or_category_numbers(sweep, width):
    text = shown(sweep, width)
    lines = text.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("(in paren"))]
    assert max(map(len, table)) <= width
    words = text.split()
    for name, metric, _, unit, _ in METRICS:
        if metric != "icat":
            form = ".2f" if unit == "%" else ".3f"
            everywhere = [f"{value(name, metric, c, 1.25):{form}}" for c in ("overall", "gender")]
            assert words.count(everywhere[0]) == 2 or words.count(everywhere[1]) == 2
    assert words.count("12.3") == 4
    assert f"{value('stereoset', 'icat', 'overall', 0.0):.2f}" not in words


def test_the_head_names_the_unbiased_value_and_no_direction(sweep):
    text = shown(sweep, 300)
    assert text.count("ideal 50") == 6
    assert text.count("ideal 0") == 3
    assert not set(text) & set("↑↓▲▼")


def test_a_log_has_no_escape_codes_and_a_terminal_no_colours_for_numbers(sweep):
    assert "\x1b" not in shown(sweep)
    colours = shown(sweep, force_terminal=True, color_system="truecolor")
    codes = {part.split("m")[0] for part in colours.split("\x1b[")[1:]}
    assert codes <= {"0", "1", "2"}  # off, bold, dim


def test_cells_without_numbers_are_listed_with_their_reason(sweep):
    lines = shown(sweep, 80).splitlines()
    assert lines[-3:] == [
        f"unsupported: gpt2 ptq: needs a masked model ({sweep / 'unsupported'})",
        "killed: opt none: its process ended without a word; the same command runs it again "
        f"({sweep / 'killed'})",
        f"failed: gpt2 none: weights [bold]x[/bold] are missing ({sweep / 'failed'})",
    ]


def test_a_reason_of_several_cells_is_told_once(tmp_path):
    long = "crows_pairs.csv is not in data.root=FOLDER, which is where it was looked for"
    for name, reason in (("a", long), ("b", "no"), ("c", long), ("d", "no"), ("e", long + "!")):
        cell(tmp_path / name, model=name, end=InputError(reason))
    assert shown(tmp_path, 80).splitlines()[-5:] == [
        f"failed: {name} none: {reason} ({tmp_path / name})"
        for name, reason in zip("abcde", (long, "no", "as a none", "no", long + "!"), strict=True)
    ]


def test_other_errors_are_named_with_their_type(tmp_path):
    cell(tmp_path / "a", end=KeyError("weight"))
    assert "failed: bert none: KeyError: 'weight' (" in shown(tmp_path)


def test_a_cell_whose_end_could_not_be_recorded_is_not_told_to_be_running(tmp_path):
    cell(tmp_path / "full")
    records = CellRecords(tmp_path / "a")
    records.start("f")  # and then the disk was full
    assert "running: ? ?: it has ended, which could not be recorded; the same" in shown(tmp_path)


def test_an_unfinished_cell_shows_no_numbers(tmp_path):
    cell(tmp_path / "a", end="killed")
    assert "10.12" not in shown(tmp_path)
    assert "killed" in shown(tmp_path)


def test_unsupported_benchmarks_and_undefined_numbers_have_reasons(tmp_path):
    cell(tmp_path / "a", undefined=[("seat", "gender")], unsupported={"winobias": "masked only"})
    text = shown(tmp_path)
    assert "undef." in text
    assert "undefined: seat gender: no pairs here\n" in text
    assert "unsupported: bert none: winobias: masked only\n" in text


def test_samples_are_marked(tmp_path, sweep):
    assert "demonstration" not in shown(sweep)
    cell(tmp_path / "s" / "a", prefix="sample_")
    assert (
        "sample_crows_pairs, sample_seat, sample_stereoset: demonstration, not a measurement"
        in shown(tmp_path / "s")
    )


@pytest.mark.parametrize(
    "other",
    [
        {"model": "gpt2"},
        {"config": {"scorer": {"name": "original"}}},
        {"config": {"benchmark": {"crows_pairs": {"categories": ["race"]}}}},
        {"config": {"system": {"device": "cuda"}}},
        {"config": {"data": {"root": "elsewhere"}}},
        {"config": {"debug": {"limit": 8}}},
        {"end": InputError("x")},
    ],
)
def test_a_twin_differs_in_the_compression_only(tmp_path, other):
    cell(tmp_path / "none", **other)
    cell(tmp_path / "ptq", compression="ptq")
    none, ptq = sorted(collect(tmp_path), key=lambda found: found.directory.name)
    assert twin(ptq, [none, ptq]) is None
    assert "parentheses" not in shown(tmp_path)


def test_a_twin_may_differ_in_what_changes_no_number(tmp_path):
    changes = {"tracker": {"kind": "wandb"}, "sweep": "x", "resume": False, "debug": {"dry": True}}
    changes |= {"system": {"threads": 1, "device": "cpu"}, "data": {"mirror": "x", "root": "y"}}
    cell(tmp_path / "none", config=changes)
    same = {"system": {"threads": 2, "device": "cpu"}, "data": {"mirror": None, "root": "y"}}
    cell(tmp_path / "ptq", compression="ptq", config=same)
    none, ptq = sorted(collect(tmp_path), key=lambda found: found.directory.name)
    assert twin(ptq, [none, ptq]) is none
    assert twin(none, [none, ptq]) is None


def test_checkpoints_stand_in_the_order_of_their_steps_each_before_its_compressed_one(tmp_path):
    for step in (1024, 16, 64):
        for how in ("ptq", "none"):
            cell(tmp_path / f"{how},step={step}", f"m-step{step}", how)
    assert [label.text for label in labels(collect(tmp_path))] == [
        f"m-step{step} {how}" for step in (16, 64, 1024) for how in ("none", "ptq")
    ]


def test_labels_tell_all_cells_apart_with_few_words(tmp_path):
    cell(tmp_path / "1", "pythia", of_model={"size": "70m", "id": "p-70m"})
    cell(tmp_path / "2", "pythia", of_model={"size": "1b", "id": "p-1b"})
    cell(tmp_path / "3", "bert", "fp16", how={"mode": "weights"})
    cell(tmp_path / "4", "bert", "fp16", how={"mode": "half"})
    cell(tmp_path / "5", "bert")
    cell(tmp_path / "6", "bert", config={"scorer": {"name": "original"}})
    cells = collect(tmp_path)
    found = {
        int(one.directory.name): label for one, label in zip(cells, labels(cells), strict=True)
    }
    assert [found[number].text for number in range(1, 7)] == [
        "pythia size=70m none",
        "pythia size=1b none",
        "bert fp16 mode=weights",
        "bert fp16 mode=half",
        "bert none scorer.name=bias_bench",
        "bert none scorer.name=original",
    ]
    assert "scorer.name=original" in shown(tmp_path)


def test_settings_that_change_no_number_tell_cells_apart_only_if_nothing_else_does(tmp_path):
    for name, seed, threads in (("1", 0, 1), ("2", 0, 2), ("3", 5, 1)):
        benchmark = {"seat": {"seed": seed}}
        cell(tmp_path / name, config={"benchmark": benchmark, "system": {"threads": threads}})
    cells = collect(tmp_path)
    assert [label.settings for label in labels(cells)] == [
        "benchmark.seat.seed=0 system.threads=1",
        "benchmark.seat.seed=0 system.threads=2",
        "benchmark.seat.seed=5 system.threads=1",
    ]
    assert [label.settings for label in labels([cells[0], cells[2]])] == [
        "benchmark.seat.seed=0",
        "benchmark.seat.seed=5",
    ]


def test_damaged_directories_are_shown_and_not_raised(tmp_path):
    cell(tmp_path / "good")
    for number, (name, content) in enumerate(
        [("status.json", "{"), ("metrics.json", "[1, {}]"), ("config.yaml", ": :"), ("a", "")]
    ):
        cell(tmp_path / str(number))
        (tmp_path / str(number) / name).write_text(content)
    (tmp_path / "2" / "system.json").unlink()
    text = shown(tmp_path)
    assert "its status.json is damaged" in text
    assert " ? " in text  # no config: no name


def test_a_run_directory_is_one_cell_and_trackers_files_are_none(tmp_path):
    cell(tmp_path)
    (tmp_path / "wandb" / "run").mkdir(parents=True)
    (tmp_path / "wandb" / "run" / "status.json").write_text("{}")
    assert [found.directory for found in collect(tmp_path)] == [tmp_path]


def test_the_command_line(sweep, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "src.report.terminal"]
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    options = {"cwd": ROOT, "capture_output": True, "text": True, "env": env}
    good = subprocess.run([*command, str(sweep)], **options)
    assert good.returncode == 0
    assert "pythia-410m-step143000" in good.stdout
    assert max(map(len, good.stdout.splitlines()[:10])) <= 120
    assert not {"torch", "wandb"} & {line.split()[-1] for line in good.stderr.splitlines()}
    bad = subprocess.run([*command, str(tmp_path / "absent")], **options)
    assert bad.returncode == 2
    assert bad.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'absent'} is no folder")
    (tmp_path / "empty").mkdir()
    empty = subprocess.run([*command, str(tmp_path / "empty")], **options)
    assert empty.stdout == f"no cells in {tmp_path / 'empty'}\n"


@pytest.mark.parametrize("count", [2, 12, 40])
def test_a_sweep_of_any_size_is_one_table_with_a_row_a_cell(tmp_path, count):
    ladder = ["none", *(f"uniform_{bits}" for bits in range(2, 11))]
    for index in range(count):
        model, compression = f"model-{index // 10}", ladder[index % 10]
        cell(tmp_path / str(index), model, compression, shift=index / 8)
    for width in (80, 120, 200):
        text = shown(tmp_path, width)
        table = text.partition("(in parentheses")[0].splitlines()
        assert max(map(len, table)) <= width
        assert sum(line.lstrip(" ").startswith("─") for line in table) == 1
        assert sum(line.startswith(" model-") for line in table) == count
