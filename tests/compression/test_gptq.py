"""GPTQ and AWQ by gptqmodel in another interpreter: what it is told, and what comes back.

A stand-in takes its place, which rounds to nearest but reads and writes what gptqmodel does; the
slow tests run the real one where `make gptq-env` has made its environment.
"""

import json
import math
import os
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import schema, sweep
from src.cell import run_cell
from src.compression.calibration import Calibration, CalibrationConfig
from src.compression.elsewhere.interpreter import DEFAULT
from src.compression.gptq import AwqConfig, GptqConfig
from src.compression.library import library_versions
from src.compression.prune import PruneConfig
from src.compression.registry import compress
from src.compression.stack import StackConfig, counted_settings
from src.compression.uniform import UniformConfig
from src.errors import InputError, Unsupported
from src.schema import ROOT, typed
from tests.checkpoints import TEXT
from tests.compression.test_pretrained import round_to_groups
from tests.models.folders import open_folder

schema.register()
sweep.register()
STAND_IN = Path(__file__).with_name("stand_in")
LAUNCHER = """\
import os, runpy, sys, time
sys.path.insert(0, {folder!r})
wrong = os.environ.get("STAND_IN")
assert sys.argv[1] == "-I"
if sys.argv[2] == "-c":
    exec(sys.argv[3])
elif wrong == "hang":
    print("hanging", flush=True)
    time.sleep(60)
elif wrong == "crash":
    sys.exit("step 1\\rstep 2\\x1b[31m of it\\x1b[0m\\nit broke")
else:
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
FEW = CalibrationConfig(samples=5, length=12)


def script(path, command):
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """An interpreter that has the stand-in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls"))
    monkeypatch.setenv("RANK", "3")
    launcher = tmp_path / "launcher.py"
    launcher.write_text(LAUNCHER.format(folder=str(STAND_IN)))
    return script(tmp_path / "python", f'exec "{sys.executable}" "{launcher}" "$@"')


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXT * 8) + "\n", encoding="utf-8")
    return path


def calls(tmp_path):
    return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache/compression-bias/gptqmodel").iterdir())


def test_what_it_is_told_and_what_comes_back(python, text, load, tmp_path):
    subject = load("llama")
    dense = {name: value.clone() for name, value in subject.model.state_dict().items()}
    source = subject.source
    settings = GptqConfig(group_size=16, python=python, calibration=FEW, act_order=True)
    calibration = Calibration(FEW, text)
    receipt = compress(subject, settings, calibration)
    assert calls(tmp_path) == [
        {
            "method": "gptq",
            "bits": 4,
            "group_size": 16,
            "sym": True,
            "desc_act": True,
            "device": "cpu",
            "offload_to_disk": False,
            "fallback": None,
            "dtype": "torch.float32",
            "ids": calibration.samples(load("llama")).tolist(),
            "visible": "",
            "rank": None,
            "project": False,
        }
    ]
    assert len(receipt.changes) == 14
    squares = 0.0
    for change in receipt.changes:
        weight = dense[f"{change.module}.weight"]
        rounded = round_to_groups(weight)[2]
        new = subject.model.get_submodule(change.module).dense_weight()
        torch.testing.assert_close(new, rounded, rtol=1e-6, atol=1e-6)
        squares += float((weight - rounded).square().sum())
        assert 5.25 < change.bits < 7.5  # 16-bit scale, 4-bit zero, 32-bit index
    whole = sum(float(dense[f"{c.module}.weight"].square().sum()) for c in receipt.changes)
    assert receipt.relative_error == pytest.approx(math.sqrt(squares / whole), rel=1e-4)
    assert receipt.nominal_bits == 4
    assert receipt.disk_bytes == pytest.approx(receipt.details["checkpoint_bytes"], rel=0.01)
    assert receipt.skipped == {"lm_head": "gptqmodel leaves it as it is"}
    assert receipt.details["versions"]["gptqmodel"] == "0.0.1"
    assert receipt.details["calibration"] == {"pieces": 5, "tokens": 12}
    assert subject.source == source


@pytest.mark.slow
def test_it_is_done_once(python, text, load, tmp_path):
    def quantize(settings, seed=0):
        few = CalibrationConfig(samples=5, length=12, seed=seed)
        return compress(load("llama"), settings, Calibration(few, text))

    first = quantize(GptqConfig(group_size=16, python=python))
    again = quantize(GptqConfig(group_size=16, python=python, timeout=900.0))
    assert (first.details["made_before"], again.details["made_before"]) == (False, True)
    assert first.hash_after == again.hash_after
    assert first.details["quantize_seconds"] == again.details["quantize_seconds"] > 0
    quantize(GptqConfig(group_size=16, python=python), seed=1)
    assert len(calls(tmp_path)) == 2
    assert sum(not name.endswith(".lock") for name in kept(tmp_path)) == 2


def test_awq(python, text, load, tmp_path):
    subject = load("llama")
    receipt = compress(subject, AwqConfig(group_size=16, python=python), Calibration(FEW, text))
    (call,) = calls(tmp_path)
    assert (call["method"], call["format"], call["sym"]) == ("awq", "gemm", False)
    assert call["dtype"] == "torch.float16"
    weight = load("llama").model.model.layers[0].mlp.up_proj.weight
    new = subject.model.model.layers[0].mlp.up_proj.dense_weight()
    torch.testing.assert_close(new, round_to_groups(weight)[2], rtol=1e-6, atol=1e-6)
    assert math.isnan(receipt.relative_error)
    assert receipt.details["computed_in"] == "float16"


def test_gpt2s_transposed_layers(python, text, load):
    subject = load("gpt2")
    receipt = compress(subject, GptqConfig(group_size=16, python=python), Calibration(FEW, text))
    weight = load("gpt2").model.transformer.h[1].attn.c_attn.weight.t()
    new = subject.model.transformer.h[1].attn.c_attn.dense_weight()
    torch.testing.assert_close(new, round_to_groups(weight.contiguous())[2], rtol=1e-6, atol=1e-6)
    assert 0 < receipt.relative_error < 0.2
    assert all(change.elements for change in receipt.changes)


def test_after_another_step(python, text, load):
    steps = {"prune": PruneConfig(), "gptq": GptqConfig(group_size=16, python=python)}
    receipt = compress(load("llama"), StackConfig(steps), {"gptq": Calibration(FEW, text)})
    assert receipt.steps[1].relative_error > 0
    steps["prune"] = UniformConfig()
    with pytest.raises(Unsupported, match=r"ordinary weights, and model\..* is compressed already"):
        compress(load("llama"), StackConfig(steps), {"gptq": Calibration(FEW, text)})


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("refuse", Unsupported, "not take this model: NotImplementedError: no such architecture"),
        ("crash", InputError, r"\(exit code 1\).*:\nstep 2 of it\nit broke$"),
        ("hang", InputError, r"(?s)stopped after compression\.timeout=1 seconds.*hanging"),
    ],
)
def test_when_it_goes_wrong(how, kind, message, python, text, load, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN", how)
    settings = GptqConfig(group_size=16, python=python, timeout=1.0 if how == "hang" else 0.0)
    with pytest.raises(kind, match=message):
        compress(load("llama"), settings, Calibration(FEW, text))
    assert [name for name in kept(tmp_path) if not name.endswith(".lock")] == []


def test_masked_models_are_unsupported(python, text, load, tmp_path):
    with pytest.raises(Unsupported, match="causal language models only"):
        compress(load("bert"), GptqConfig(python=python), Calibration(FEW, text))
    assert not (tmp_path / "calls").exists()


def test_an_interpreter_that_will_not_do_is_told_of(tmp_path):
    for python, message in (
        (str(tmp_path / "none"), r"none is no file\..*make gptq-env.*compression\.python=PATH"),
        (script(tmp_path / "fails", "exit 1"), r"fails has no gptqmodel\..*make gptq-env"),
        (script(tmp_path / "other", "echo hello"), r"other is no Python.*make gptq-env"),
    ):
        with pytest.raises(InputError, match=message):
            library_versions(GptqConfig(python=python))


@pytest.mark.parametrize("kind", ["gptq", "awq"])
def test_without_its_environment_a_cell_is_unsupported(kind, tmp_path, monkeypatch):
    """As where any other library is missing; the rest of the sweep goes on."""
    monkeypatch.setattr("src.compression.elsewhere.interpreter.DEFAULT", tmp_path / "v/bin/python")
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        given = ["model=tiny", f"compression={kind}", "benchmark=sample", "tracker=none"]
        calibrated = "compression.calibration.text=" + str(ROOT / "README.md")
        composed = compose("config", overrides=[*given, calibrated])
    resolved = OmegaConf.to_container(composed, resolve=True)
    for _ in range(2):  # not finished: it runs once the environment is there
        assert run_cell(typed(composed), resolved, tmp_path / "cell") == "unsupported"
    error = json.loads((tmp_path / "cell" / "status.json").read_text())["error"]
    assert "`make gptq-env` makes one" in error["message"]


def test_versions_decide_and_the_interpreters_place_does_not(python):
    settings = GptqConfig(python=python)
    assert set(library_versions(settings)) == {
        *("gptqmodel", "gptqmodel's torch", "gptqmodel's transformers")
    }
    assert library_versions(settings)["gptqmodel"] == "0.0.1"
    assert counted_settings(settings) == counted_settings(GptqConfig(timeout=5.0))
    stack = StackConfig({"prune": PruneConfig(), "gptq": settings})
    assert "python" not in counted_settings(stack)["gptq"]
    assert counted_settings(settings) != counted_settings(GptqConfig(weight_bits=3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_bits": 5}, "compression.weight_bits=5"),
        ({"group_size": 0}, "compression.group_size=0"),
        ({"timeout": -1.0}, "compression.timeout"),
        ({"python": " "}, "compression.python is empty"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        GptqConfig(**settings)
    with pytest.raises(InputError, match="AWQ has no order"):
        AwqConfig(act_order=True)


REAL = Path(os.environ.get("GPTQMODEL_PYTHON", DEFAULT))
real = pytest.mark.skipif(not REAL.is_file(), reason="needs `make gptq-env` or GPTQMODEL_PYTHON")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@real
@pytest.mark.slow
@pytest.mark.parametrize("kind", [GptqConfig, AwqConfig])
def test_the_real_one_on_a_trained_model(kind, cache, text):
    """By its inputs GPTQ errs less in what a layer gives, though more in its weights."""
    tiny = ROOT / "src" / "models" / "tiny" / "pythia-1.3m" / "step5100"
    calibration = Calibration(CalibrationConfig(samples=32, length=64), ROOT / "README.md")
    ids = Calibration(CalibrationConfig(samples=8, length=48, seed=9), calibration.path)

    def predictions(subject):
        with torch.inference_mode():
            logits = subject.model(input_ids=ids.samples(subject)).logits
        return logits.double().log_softmax(-1)

    dense = predictions(open_folder(tiny))

    def drift(settings):
        subject = open_folder(tiny)
        receipt = compress(subject, settings, calibration)
        assert receipt.nominal_bits == settings.weight_bits
        assert receipt.disk_bytes < 0.7 * receipt.memory_bytes_before
        return float((dense.exp() * (dense - predictions(subject))).sum(-1).mean())

    bits = {"weight_bits": 4, "group_size": 32}
    fitted = drift(kind(**bits, symmetric=True, python=str(REAL)))
    rounded = drift(UniformConfig(**bits, granularity="group"))
    assert 0 < fitted < rounded * (1 if kind is GptqConfig else 1.2)


@real
@pytest.mark.slow
def test_the_real_one_on_gpt2s_transposed_layers(cache, text, load):
    subject = load("gpt2")
    settings = GptqConfig(group_size=32, python=str(REAL))
    receipt = compress(
        subject, settings, Calibration(CalibrationConfig(samples=16, length=32), text)
    )
    assert len(receipt.changes) == 8
    assert 0 < receipt.relative_error < 0.25
