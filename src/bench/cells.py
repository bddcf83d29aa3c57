"""Timing whole cells on random checkpoints of the paper's sizes, and the paper's grid from them.

A cell is what `python -m src.main` does, in a process of its own: load, compress, score, estimate
intervals, record. Speed does not depend on the weights' values, and random ones need no download.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import BertConfig, BertForMaskedLM, GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.utils import logging as transformers_logging

from src.bench.grid import CellTime, print_cells, tell_grid
from src.bench.records import write_json
from src.bench.shapes import CELLS, POSITIONS, CellShape
from src.bench.subjects import read_tokenizer
from src.errors import InputError
from src.schema import ROOT
from src.system.environment import environment
from src.tracking.read import read_cell

PHASES = ("load", "drift", "compress", "evaluate", "cell")
SAID = (
    *("share_of_peak", "flops_per_second", "useful_flops", "tokens_run", "model_seconds"),
    *("warm_up_seconds", "batch_tokens", "out_of_memory_retries", "weights_reused"),
    *("peak_process_bytes", "peak_device_allocated_bytes"),
)


def time_cells(options: argparse.Namespace, console: Console) -> int:
    """Time the cells that `--cells` names, print them, and write cells.json after each.

    Raises:
        InputError: A cell does not end well; the message holds the end of its output.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    times: list[CellTime] = []
    for size in options.cells:
        with _checkpoint(CELLS[size], options) as folder:
            for dtype in options.precisions:
                new = _sweep(size, dtype, folder, options)
                for cell in new:
                    console.print(cell.told(), soft_wrap=True, highlight=False)
                times += new
                content = {"cells": [asdict(one) for one in times], "environment": environment()}
                write_json(options.out / "cells.json", content)
    print_cells(times, console)
    console.print(tell_grid(times), soft_wrap=True, highlight=False)
    return 0


@contextmanager
def _checkpoint(shape: CellShape, options: argparse.Namespace) -> Iterator[Path]:
    """Save a model with random weights, in half precision as Pythia's are, while the block runs."""
    tokenizer = read_tokenizer(options.tokenizers, shape.objective)
    sizes: dict[str, Any] = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": 4 * shape.width,
        "vocab_size": max(shape.vocabulary, len(tokenizer)),
        "max_position_embeddings": POSITIONS[shape.objective],
    }
    folder = Path(tempfile.mkdtemp(prefix="compression-bias-", dir=options.scratch))
    try:
        torch.manual_seed(0)
        with torch.device(options.device):
            model: Any = (
                BertForMaskedLM(BertConfig(**sizes))
                if shape.objective == "masked"
                else GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, tie_word_embeddings=False))
            )
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del model
        if options.device == "cuda":
            torch.cuda.empty_cache()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(size: str, dtype: str, folder: Path, options: argparse.Namespace) -> list[CellTime]:
    """Run the dense cell and, in fp32, its int8 twin, as the paper's grid has them."""
    compressions = ("none", "ptq") if dtype == "float32" else ("none",)
    name = f"{size}-{dtype}"
    out = (options.out / name).resolve()
    shutil.rmtree(out, ignore_errors=True)
    log = options.out / f"{name}.log"
    command = _command(name, dtype, folder, compressions, out, options)
    started = time.perf_counter()
    with log.open("w") as file:
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise InputError(f"the cells of {name} failed; the end of {log}:\n{end}")
    cells = [read_cell(path.parent) for path in sorted(out.rglob("status.json"))]
    times = {cell.receipt["method"]: _time_of(cell, size, dtype) for cell in cells}
    apart = seconds - sum(one.seconds for one in times.values())
    return [CellTime(**{**asdict(times[one]), "process_seconds": apart}) for one in compressions]


def _command(
    name: str,
    dtype: str,
    folder: Path,
    compressions: Sequence[str],
    out: Path,
    options: argparse.Namespace,
) -> list[str]:
    data = (
        ["benchmark=sample"]
        if options.data_root is None
        else [
            f"data.root={Path(options.data_root).resolve()}",
            "benchmark=[crows_pairs,stereoset,seat]",
            "benchmark.stereoset.split=dev",
        ]
    )
    limit = [] if options.limit is None else [f"debug.limit={options.limit}"]
    return [
        *(sys.executable, "-m", "src.main", "-m"),
        *("model=hf", f"model.id={folder}", f"model.name={name}", f"model.dtype={dtype}"),
        *(f"compression={','.join(compressions)}", "tracker=none", f"hydra.sweep.dir={out}"),
        *(f"system.device={options.device}", f"system.threads={options.threads}"),
        *data,
        *limit,
    ]


def _time_of(cell: Any, size: str, dtype: str) -> CellTime:
    began, ended = (datetime.fromisoformat(cell.status[key]) for key in ("started", "ended"))
    system = cell.system
    return CellTime(
        size=size,
        dtype=dtype,
        compression=cell.receipt["method"],
        seconds=(ended - began).total_seconds(),
        process_seconds=0.0,
        phases={phase: system.get(f"{phase}_seconds", 0.0) for phase in PHASES},
        measured={key: system.get(key) for key in SAID},
    )
