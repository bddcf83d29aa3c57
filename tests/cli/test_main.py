"""The program as its users start it: one process, real folders, the shipped sample items."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]
FAST = ["benchmark=sample", "benchmark.sample_seat.n_permutations=1000", "system.threads=1"]
RECORDS = {
    *("config.yaml", "status.json", "metrics.json", "items.parquet"),
    *("receipt.json", "system.json", "environment.json"),
}


def start(*arguments, launcher=("-m", "src.main"), **environment):
    # W&B would have a child join the service of the process that runs the tests, whose settings
    # are those of the test that started it.
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)],
        cwd=ROOT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*arguments, **options):
    process = start(*arguments, **options)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def read(folder, name):
    return json.loads((folder / name).read_text())


def numbers(folder):
    return {
        (m["benchmark"], m["category"], m["metric"]): m["value"]
        for m in read(folder, "metrics.json")
    }


def test_sweep_records_resumes_and_notices_changes(checkpoint, tmp_path):
    folder = tmp_path / "sweep"
    command = [
        *("-m", "model=hf", f"model.id={checkpoint('gpt_neox')}", "compression=none,ptq"),
        *(*FAST, "tracker.mode=offline", f"hydra.sweep.dir={folder}"),
    ]
    code, output = run(*command)
    assert code == 0, output
    assert "demonstration, not a measurement" in output
    cells = {name: folder / f"compression={name}" for name in ("none", "ptq")}
    for name, cell in cells.items():
        assert {path.name for path in cell.iterdir()} >= RECORDS
        status = read(cell, "status.json")
        assert (status["state"], status["error"]) == ("done", None)
        assert read(cell, "receipt.json")["method"] == name
        assert list(cell.glob("wandb/offline-run-*/*.wandb"))
        environment = read(cell, "environment.json")
        assert environment["model"]["digest"]
        assert {"sample/crows_pairs.csv", "sample/stereoset/test.json"} <= set(environment["data"])
        items = pd.read_parquet(cell / "items.parquet")
        assert set(items.benchmark) == {"sample_crows_pairs", "sample_stereoset", "sample_seat"}
        assert set(items.scorer) == {"bias_bench"}
    assert numbers(cells["none"]) != numbers(cells["ptq"])
    sizes = {name: read(cell, "system.json") for name, cell in cells.items()}
    assert sizes["ptq"]["model_bytes"] < sizes["none"]["model_bytes"]

    ended = {name: read(cell, "status.json")["ended"] for name, cell in cells.items()}
    code, output = run(*command)
    assert code == 0
    assert output.count("finished before") == 2
    assert ended == {name: read(cell, "status.json")["ended"] for name, cell in cells.items()}

    code, output = run(*command, "benchmark.sample_seat.seed=1")
    assert code == 0
    assert output.count("settings changed: benchmark.sample_seat.seed") == 2


def test_failing_and_unsupported_cells_do_not_stop_the_sweep(checkpoint, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in checkpoint("gpt2").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["transformer.h.1.ln_1.weight"].fill_(torch.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    command = [
        *("-m", "model=hf", f"model.id={broken},{checkpoint('llama')},{checkpoint('bert')}"),
        *(*FAST, "~benchmark.sample_seat", "~benchmark.sample_stereoset", "tracker=none"),
    ]
    command.remove(FAST[1])
    code, output = run(*command, "scorer=original", f"hydra.sweep.dir={tmp_path / 'one'}")
    assert code == 0, output
    states = [read(path.parent, "status.json") for path in (tmp_path / "one").rglob("status.json")]
    assert sorted(status["state"] for status in states) == ["done", "unsupported", "unsupported"]

    code, output = run(*command, f"hydra.sweep.dir={tmp_path / 'two'}")
    assert code == 1
    states = [read(path.parent, "status.json") for path in (tmp_path / "two").rglob("status.json")]
    assert sorted(status["state"] for status in states) == ["done", "done", "failed"]
    failed = next(status for status in states if status["state"] == "failed")
    assert "values that are not finite" in failed["error"]["message"]
    assert "engine.py" in failed["error"]["traceback"]
    last = output.strip().splitlines()[-3:]
    assert any(line.startswith("failed: broken none") for line in last), output
    assert "values that are not finite" in last[-1]


def test_killed_cell_is_redone_and_finished_ones_are_not(checkpoint, tmp_path):
    command = [
        *("-m", "model=hf", f"model.id={checkpoint('bert')}", "compression=none,fp16,ptq"),
        *(*FAST, "tracker=none", f"hydra.sweep.dir={tmp_path}"),
    ]
    process = start(*command)
    second = tmp_path / "compression=fp16" / "status.json"
    deadline = time.monotonic() + 120
    while not second.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    states = {
        path.parent.name: read(path.parent, "status.json") for path in tmp_path.rglob("status.json")
    }
    first = states["compression=none"]
    assert first["state"] == "done"
    assert states["compression=fp16"]["state"] == "running"
    code, output = run(*command)
    assert code == 0, output
    assert output.count("finished before") == 1
    assert read(tmp_path / "compression=none", "status.json") == first
    for name in ("none", "fp16", "ptq"):
        assert read(tmp_path / f"compression={name}", "status.json")["state"] == "done"


def test_two_processes_give_the_same_metrics_as_one(checkpoint, tmp_path):
    arguments = [
        "model=hf",
        f"model.id={checkpoint('roberta')}",
        *FAST,
        "tracker=none",
        "compression=ptq",
        "system.device=cpu",
    ]
    code, output = run(*arguments, f"hydra.run.dir={tmp_path / 'one'}")
    assert code == 0, output
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "src.main")
    code, output = run(*arguments, f"hydra.run.dir={tmp_path / 'two'}", launcher=launcher)
    assert code == 0, output
    assert read(tmp_path / "two", "system.json")["processes"] == 2
    assert numbers(tmp_path / "two") == pytest.approx(numbers(tmp_path / "one"), rel=1e-5)
    one, two = (pd.read_parquet(tmp_path / name / "items.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_failure_of_the_first_process_alone_does_not_hang_the_others(checkpoint, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "src.main")
    code, output = run(
        *("-m", "model=hf", f"model.id={checkpoint('bert')}", "compression=none,ptq", *FAST),
        *("tracker.mode=online", f"hydra.sweep.dir={tmp_path}"),
        launcher=launcher,
        WANDB_MODE="online",
        WANDB_API_KEY="",
        NETRC=str(tmp_path / "none"),
        HOME=str(tmp_path),
    )
    assert code != 0
    assert output.count("tracker.mode") >= 2, output
    states = [read(path.parent, "status.json")["state"] for path in tmp_path.rglob("status.json")]
    assert states == ["failed", "failed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compression=int3"], "Available options in 'compression'"),
        (
            ["compression=ptq", "compression.bits=4"],
            "compression.bits: Key 'bits' not in 'PtqConfig'",
        ),
        (["system.threads=many"], "system.threads: Value 'many'"),
        (["-m", "model=pythia", "model.step=1000,1001"], "model.step=1001 is not possible"),
        (["model=hf"], "model.id is required"),
        (["benchmark=[]"], "measures nothing"),
        (["-m", "benchmark.stereoset.split=dev,tset"], "Did you mean 'test'?"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(arguments, message, tmp_path):
    folder = tmp_path / "out"
    code, output = run(*arguments, f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}")
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not folder.exists()


def test_help_is_readable_and_free_of_torch():
    code = """if True:
        import sys
        import src.main
        sys.argv = ["main", "--help"]
        try:
            src.main.main()
        except SystemExit:
            pass
        print("torch" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")
    for word in (
        ", fp16, fp16_model, ",
        "benchmark.stereoset.split=dev",
        "== Groups",
    ):
        assert word in done.stdout
