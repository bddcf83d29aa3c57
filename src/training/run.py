"""One run of the loop: device and processes, resuming, the record and the tracker."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from src.errors import InputError
from src.processes import from_first
from src.tracking.tracker import NoTracker, Tracker
from src.training.config import TrainingConfig
from src.training.flow import Curve
from src.training.folders import writing
from src.training.record import check_same, write_curve
from src.training.repeatable import repeatable
from src.training.task import Task
from src.training.trainer import LoopTrainer


def arguments(settings: TrainingConfig, seed: int, out: Path) -> TrainingArguments:
    """Start Accelerate, alone or as one process of several, and give the Trainer's arguments.

    Its `device`, `process_index` and `world_size` say what this process is.

    Args:
        settings: Device, precision, steps.
        seed: Of torch's generators, from now on.
        out: Where the run writes.

    Raises:
        InputError: The device asked for is not there, or several processes have a time limit.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device=cuda: torch sees no GPU here; use training.device=cpu.")
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:  # cuBLAS reads it when it is started
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with_bf16 = on_gpu and torch.cuda.is_bf16_supported()
    transformers_logging.disable_progress_bar()
    args = TrainingArguments(
        output_dir=str(out),
        max_steps=settings.steps,
        gradient_accumulation_steps=settings.accumulation,
        max_grad_norm=settings.clip,
        bf16=settings.precision == "bf16" or (settings.precision == "auto" and with_bf16),
        use_cpu=not on_gpu,
        seed=seed,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_nan_inf_filter=False,  # it waits for the GPU every step
        ddp_find_unused_parameters=False,
    )
    if args.world_size > 1 and settings.seconds is not None:
        raise InputError("training.seconds: several processes cannot agree on a clock; use steps.")
    if args.n_gpu > 1:
        args._n_gpu = 1  # one process trains on one GPU: the Trainer would take all there are
    return args


def fit(
    task: Task,
    args: TrainingArguments,
    settings: TrainingConfig,
    out: Path,
    about: Mapping[str, Any],
    tracker: Tracker | None = None,
    resume_step: int | None = None,
) -> dict[str, Any]:
    """Train, from the last state in `out` or from the start.

    Args:
        task: What is trained; its model is changed in place.
        args: Of `arguments`.
        settings: How.
        out: Gets run.json, training.json, step<N>/ and final/ (as `task.save` writes them), and
            states/, from which the run can be resumed.
        about: What decides the run: settings, seed, checksums of the data. A run is resumed only
            with the same.
        tracker: Where points of the loss curve are logged, beside the disk.
        resume_step: The state to go on from; None: the last.

    Returns:
        What training.json holds.

    Raises:
        InputError: `out` holds another run or cannot be written, or has no state of that step.
    """
    from_first(lambda: _begin(out, about))
    if resume_step is None and (record := finished(out)) is not None:
        return record
    state = find_state(out, resume_step)
    start = int(state.name.removeprefix("step")) if state is not None else 0
    if args.process_index == 0:
        task.callbacks.append(Curve(tracker or NoTracker()))
    trainer = LoopTrainer(task, settings, args, start, out)
    args.ignore_data_skip = True
    if start >= settings.steps:
        trainer.load_state(str(state))
    else:
        with repeatable(settings.deterministic):
            trainer.train(resume_from_checkpoint=str(state) if state is not None else None)
    step, history = trainer.state.global_step, trainer.state.log_history
    ended = trainer.clock.done(step) >= 1
    if ended:
        trainer.save_folder("final")
    if not args.should_save:
        return {}
    return write_curve(out / "training.json", history, finished=ended, run=about)


def _begin(out: Path, about: Mapping[str, Any]) -> None:
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    check_same(out, about)


def finished(out: Path) -> dict[str, Any] | None:
    """Give what training.json holds where the run in `out` is finished, None otherwise."""
    file = out / "training.json"
    if not file.exists() or not (out / "final").is_dir():
        return None
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record if record.get("finished") else None


def find_state(out: Path, step: int | None) -> Path | None:
    """Find the state in `out` to go on from; None where there is none yet.

    Raises:
        InputError: There is none of the step asked for.
    """
    states = {int(f.name.removeprefix("step")): f for f in out.glob("states/step*")}
    if step is not None and step not in states:
        listed = ", ".join(map(str, sorted(states))) or "none"
        raise InputError(f"resume_step={step}: {out} has no such state; there are: {listed}.")
    return states[max(states) if step is None else step] if states else None
