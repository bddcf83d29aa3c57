"""Two processes train what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt_neox", "bert"])
def test_two_processes_train_what_one_does(kind, text, tmp_path):
    """To rounding; and two that were interrupted go on to the last bit."""
    settings = [
        f"corpus.sources.text.path={text}", "corpus.length=32", "corpus.held_out=0.2",
        f"corpus.cache={tmp_path / 'cache'}", "training.steps=6", "training.batch_tokens=500",
        "training.device=cpu", "training.threads=1", "tracker=none", "training.optimizer=adamw",
        f"architecture={kind}", "tokenizer.vocab_size=300", "architecture.hidden_size=16",
        "training.checkpoints=[0,3]", "training.log_every=1",
    ]  # fmt: skip

    def run(name, processes, *more):
        launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
        launcher += ["--master_port=0", "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
        out = tmp_path / name
        done = subprocess.run(
            [sys.executable, *launcher, "-m", "src.pretrain", *settings, *more, f"out={out}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("6 steps" if not more else "4 steps") == 1
        return out

    one, two = run("one", 1), run("two", 2)
    first, second = (json.loads((out / "training.json").read_text()) for out in (one, two))
    for a, b in zip(first["curve"], second["curve"], strict=True):
        assert a.keys() == b.keys()
        assert a["tokens"] == b["tokens"]
        for key in {"loss", "held_out_loss"} & a.keys():
            assert a[key] == pytest.approx(b[key], abs=1e-4)
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in one.iterdir())
    a, b = (load_file(out / "states" / "step6" / "model.safetensors") for out in (one, two))
    assert all(torch.allclose(a[name], b[name], atol=2e-3) for name in a)
    cut = run("cut", 2, "training.stop_at=4")
    run("cut", 2)
    c = load_file(cut / "states" / "step6" / "model.safetensors")
    assert all(torch.equal(b[name], c[name]) for name in b)
