"""The task scores of a run's checkpoints, each measured as a cell measures it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState

from src.benchmarks.task import TaskBenchmark, TaskConfig
from src.benchmarks.task_head import HEAD
from src.data.locate import DataFiles
from src.device import start_accelerator
from src.evaluate import evaluate
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.questions import Question
from src.scoring.scorer import load_scorers
from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.system.config import SystemConfig
from src.training.record import write_json

log = logging.getLogger(__name__)
FILE = "scores.json"
SCORER = "bias_bench"
"""Any would do: a task is scored by its head."""


def steps_in(out: Path) -> dict[int, Path]:
    """Find a run's checkpoints: step -> folder, ascending."""
    found = {int(f.name.removeprefix("step")): f for f in out.glob("step*")}
    return dict(sorted(found.items()))


def score_checkpoints(
    out: Path,
    task: str,
    files: DataFiles,
    system: SystemConfig,
    statistics: StatisticsConfig,
) -> list[dict[str, Any]]:
    """Measure the task score of every checkpoint of a run, in all processes; write scores.json.

    Args:
        out: The run's folder.
        task: What it was tuned on.
        files: Finds the development set.
        system: Device and batches.
        statistics: Of the intervals.

    Returns:
        Records as in metrics.json, with `step`.

    Raises:
        InputError: The data are missing or malformed.
    """
    records = [
        {"step": step, **record}
        for step, folder in steps_in(out).items()
        for record in score(folder, task, files, system, statistics)
    ]
    if PartialState().is_main_process:
        write_json(out / FILE, records)
    return records


def score(
    folder: Path, task: str, files: DataFiles, system: SystemConfig, statistics: StatisticsConfig
) -> list[dict[str, Any]]:
    """Measure the task score of one checkpoint; see `score_checkpoints`."""
    benchmark = TaskBenchmark(TaskConfig(task=task, head=str(folder / HEAD)))

    def locate(path: str) -> Path:
        return Path(path) if path == benchmark.settings.head else files.locate(path)

    load_scorers()
    items = benchmark.load(locate)
    accelerator = start_accelerator(system)
    model = ModelConfig(name=folder.name, id=str(folder))
    subject = load_subject(model, accelerator.device, "auto")
    found = evaluate(subject, {task: Question(benchmark, items)}, [SCORER], system, accelerator)
    measured = found.measured[task, SCORER]
    table = measured.table.assign(benchmark=task, scorer=SCORER)
    metrics = [{"benchmark": task, "scorer": SCORER, **asdict(m)} for m in measured.metrics]
    return with_intervals(metrics, cell_estimands({task: benchmark}, table), statistics)


def lines(records: list[dict[str, Any]]) -> Iterator[str]:
    """Say a run's scores in a line each, with their intervals."""
    for record in records:
        if record["kind"] != "task":
            continue
        value, low, high = (float(record[name]) for name in ("value", "ci_low", "ci_high"))
        shown = f"{value:.1f}" if value == value else f"undefined ({record['reason']})"
        ends = f" [{low:.1f}, {high:.1f}]" if low == low else ""
        yield (
            f"step {record['step']}: {record['benchmark']} {record['metric']} {shown}{ends}, "
            f"n={record['n']}"
        )


@contextmanager
def training_apart() -> Iterator[None]:
    """Train in the block and leave torch and Accelerate as they were for the cells that follow."""
    threads = torch.get_num_threads()
    alone = not PartialState._shared_state or PartialState().num_processes == 1
    if alone:
        AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        # A cell computes without the training's mixed precision, which Accelerate would keep.
        if alone:
            AcceleratorState._reset_state(reset_partial_state=True)
