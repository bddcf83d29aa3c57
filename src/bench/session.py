"""The races in turn, each on disk once it is run."""

import argparse
import json
from typing import Any

import torch
from rich.console import Console

from src.bench.options import ROWS
from src.bench.records import Record, write_json
from src.bench.rows import Races
from src.bench.samples import Sample, read_sample
from src.bench.shapes import SHAPES
from src.bench.subjects import read_tokenizer
from src.scoring.scorer import load_scorers
from src.system.environment import environment


def run_races(options: argparse.Namespace, console: Console) -> list[Record]:
    """Run the rows that the options name.

    Args:
        options: As from `parser`.
        console: Where to tell how far it is.

    Returns:
        The records of these rows.

    Raises:
        InputError: There is no usable tokenizer or benchmark file, or too few items.
        OSError: The records cannot be written.
    """
    sample = read_sample(options.data_root, options.items)
    for objective in ("masked", "causal"):
        read_tokenizer(options.tokenizers, objective)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    load_scorers()
    _say(console, sample, options)
    races, records = Races(sample, options, console), []
    conditions = _conditions(sample, options)
    earlier = _earlier(options, conditions)
    write_json(options.out / "environment.json", {**conditions, "environment": environment()})
    for row in options.only:
        records += list(races.run(row))
        # After each row, so that a run that is stopped can go on with `--only`.
        new = {record.name: record.plain() for record in records}
        kept = [one for one in earlier if one["name"] not in new]
        write_json(options.out / "bench.json", [*kept, *new.values()])
    return records


def _earlier(options: argparse.Namespace, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """Where only some rows are run, give the records of an earlier run in the same conditions."""
    if set(options.only) == set(ROWS):
        return []
    try:
        was = json.loads((options.out / "environment.json").read_text())
        records = json.loads((options.out / "bench.json").read_text())
    except (OSError, ValueError):
        return []
    same = all(was.get(key) == value for key, value in conditions.items())
    return records if same else []


def _say(console: Console, sample: Sample, options: argparse.Namespace) -> None:
    console.print(
        f"{sample}\n"
        f"random weights of {options.shape} shape ({SHAPES[options.shape]['hidden_size']} wide, "
        f"{SHAPES[options.shape]['num_hidden_layers']} layers) on {options.device}, "
        f"{options.threads} threads, {options.repeats} round(s); "
        "the engine runs between the halves of the loop\n"
        "what sentences have in common grows with their number, so a sample understates the gain; "
        "seat is the embeddings and as large a share of the permutation test",
        soft_wrap=True,
        highlight=False,
    )


def _conditions(sample: Sample, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "sample": str(sample),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "device": options.device,
        "threads": options.threads,
        "rounds": options.repeats,
        "permutations": options.permutations,
    }
