"""What `debug=plan` says beforehand is what a cell then does."""

import json
import os
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.cell import run_cell
from src.command_line import is_plan
from src.compression.registry import compress
from src.compression.stack import spans_sequences
from src.errors import CellFailed
from src.forecast import SHARE_OF_PEAK, Forecast, forecast, print_forecast, total
from src.schema import ROOT, typed
from src.scoring.probe import spanning_layers

schema.register()
sweep.register()


def config(*overrides):
    base = ["benchmark=sample", "tracker=none", "debug.limit=4", "system.progress=false"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return compose("config", overrides=[*base, *overrides])


@pytest.mark.parametrize("model", ["gpt2", "roberta"])
@pytest.mark.parametrize("compression", ["none", "ptq"])
def test_a_plan_is_what_is_done(model, compression, checkpoint, tmp_path):
    composed = config("model=hf", f"model.id={checkpoint(model)}", f"compression={compression}")
    planned = forecast(typed(composed))
    assert run_cell(typed(composed), OmegaConf.to_container(composed), tmp_path) == "done"
    system = json.loads((tmp_path / "system.json").read_text())
    assert (planned.requests, planned.forwards, planned.tokens_asked) == (
        system["requests"],
        system["distinct_forwards"],
        system["tokens_asked"],
    )
    assert (planned.tokens, planned.padding) == (system["tokens_run"], system["tokens_padding"])
    assert planned.flops >= system["useful_flops"] > planned.flops / 1.5
    assert planned.weight_bytes == system["model_disk_bytes"]
    assert planned.download_bytes == 0
    # No weight of these is a megabyte, so what the batch takes is most of it.
    assert planned.memory_bytes > system["model_bytes_uncompressed"]
    assert planned.seconds == pytest.approx(
        planned.flops / SHARE_OF_PEAK / system["peak_flops_per_second"]
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["compression=none"],
        ["compression=ptq"],
        ["compression=fp16"],
        ["compression=uniform"],
        ["compression=uniform", "compression.activation_bits=8"],
        ["compression=[prune,uniform]", "compression.uniform.activation_bits=8"],
        ["compression=llm_int8"],
        ["compression=nf4"],
    ],
)
def test_settings_say_whether_layers_span_sequences(overrides, load):
    if overrides[0].endswith(("llm_int8", "nf4")):
        pytest.importorskip("bitsandbytes")
    settings = typed(config(*overrides)).compression
    one = load("gpt_neox")
    compress(one, settings)
    assert spans_sequences(settings) == bool(spanning_layers(one.model))


def test_a_total_counts_each_checkpoint_once():
    one = Forecast(1, 1, 9, 5, 1, 10.0, 2.0, 100, 100, 50)
    other = Forecast(2, 1, 9, 5, 0, 10.0, 3.0, None, None, 70)
    twice = total([("a", one), ("a", one)])
    assert (twice.requests, twice.seconds, twice.weight_bytes, twice.memory_bytes) == (
        *(2, 4.0, 100, 50),
    )
    both = total([("a", one), ("b", other)])
    assert (both.tokens, both.weight_bytes, both.memory_bytes) == (10, None, 70)
    assert "weights unknown" in both.told()


def test_what_cannot_be_planned_says_why(tmp_path, capsys):
    with pytest.raises(CellFailed):
        print_forecast(typed(config("model=hf", f"model.id={tmp_path}/none")))
    assert "cannot be planned: model.id" in capsys.readouterr().out


def test_a_plan_is_told_from_a_run():
    assert is_plan(["-m", "debug=plan"])
    assert not is_plan(["-m", "debug=tiny", "debug.plan=false"])


def test_a_sweep_is_planned_without_a_trace(tmp_path):
    folder = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "src.main", "-m", "debug=plan", "model=tiny_masked",
         "compression=none,ptq", "benchmark=sample", f"hydra.sweep.dir={folder}",
         "system.threads=1"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    heads = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert heads == ["tiny_masked none", "tiny_masked ptq", "all 2 cells"]
    assert not folder.exists()
    assert not list(tmp_path.rglob("*.json")) + list(tmp_path.rglob("*.yaml"))
