"""Fine-tuning a language model on a task, with its own head kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from src.benchmarks.task_files import TASKS, read_examples
from src.compression.stack import counted_settings, is_dense
from src.data.locate import DataFiles
from src.errors import InputError
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.models.quantized import quantization_method
from src.models.subject import Subject
from src.prepare import find_calibrations_of
from src.tracking.tracker import Tracker
from src.training.examples import ExampleBatches, encode
from src.training.held import hold
from src.training.run import arguments, fit
from src.training.task import Task
from src.training.task_model import Head, TaskModel, keep_head, task_loss, write
from src.training.tuning_config import TuningConfig, TuningLoopConfig

AUTO = {"masked": "first", "causal": "last"}
"""Objective -> the token whose state the head reads: [CLS], or the one that has seen all others."""


@dataclass(frozen=True)
class Tuning:
    """Everything that decides a run of fine-tuning.

    Attributes:
        model: What is tuned.
        compression: What it is compressed by before, and stays compressed by.
        tuning: The task and its head.
        training: The loop.
        seed: Of the task's head, order and dropout.
    """

    model: ModelConfig
    compression: Any
    tuning: TuningConfig
    training: TuningLoopConfig
    seed: int = 0


def finetune(
    run: Tuning,
    files: DataFiles,
    out: Path,
    tracker: Tracker | None = None,
    resume_step: int | None = None,
) -> dict[str, Any]:
    """Tune a model and write its checkpoints, each an ordinary language model with a task's head.

    Args:
        run: What decides it.
        files: Finds the examples, and a calibration text.
        out: Gets step<N>/, final/ and training.json; see `src.training.run.fit`.
        tracker: Where the loss curve is logged.
        resume_step: State in `out` to go on from; None: the last, if any.

    Returns:
        What training.json holds.

    Raises:
        InputError: The model, the data, a setting or the folder is wrong.
        Unsupported: The compression cannot be held while a model is tuned.
    """
    task, settings = TASKS[run.tuning.task], run.tuning
    examples = read_examples(task, files.locate(settings.train or task.train))
    calibrations = find_calibrations_of(run.compression, files)
    args = arguments(run.training, run.seed, out)
    subject = load_subject(run.model, args.device, "auto")
    untied = prepare_weights(subject, settings.head)
    model = task_model(subject, settings, run.seed)
    dense = is_dense(run.compression)
    holding = [] if dense else hold(subject, run.compression, calibrations)
    split = (run.training.accumulation, args.process_index, args.world_size)
    ids, labels = encode(examples, subject.text, settings.longest)
    batches = ExampleBatches(ids, labels, run.training.batch_tokens, run.seed, args.device, split)
    dtype = getattr(torch, run.training.weights)

    def save(step: int, folder: Path) -> None:
        del step
        write(folder, model, subject, task, settings.longest, dtype)

    source = {"id": subject.source.id, "commit": subject.source.commit}
    source["digest"] = subject.source.digest
    decided = decides(run, source) | {
        "data": files.checksums(),
        "pooling": model.pooling,
        "head_untied": untied,
    }
    what = Task(model, batches, task_loss(task), save, callbacks=holding)
    training = replace(run.training, checkpoints=run.training.kept)
    return fit(what, args, training, out, decided, tracker, resume_step)


def decides(run: Tuning, source: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a run as plain data; of the model what it really is.

    Args:
        run: The run.
        source: What names the exact checkpoint.
    """
    return {
        "model": {"objective": run.model.objective, "dtype": run.model.dtype, **source},
        "compression": counted_settings(run.compression),
        "tuning": asdict(run.tuning),
        "training": asdict(run.training) | {"checkpoints": run.training.kept},
        "seed": run.seed,
    }


def prepare_weights(subject: Subject, head: str) -> bool:
    """Make a loaded model ready for training.

    Args:
        subject: Its model is changed.
        head: "original" gives the language-model head weights of its own.

    Returns:
        Whether the head was one with the embeddings and is no more.

    Raises:
        InputError: The model's weights are quantized.
    """
    model = subject.model
    if method := quantization_method(model.config):
        raise InputError(
            f"{subject.source.id} is quantized ({method}), so its weights cannot be tuned; tune "
            "the dense model."
        )
    return head == "original" and keep_head(model)


def task_model(subject: Subject, settings: TuningConfig, seed: int) -> TaskModel:
    """Give a loaded model a task's head and let it be trained; the head's weights have a seed."""
    width = int(subject.model.config.hidden_size)
    torch.manual_seed(seed)
    head = Head(width, TASKS[settings.task].outputs, settings.dropout).to(subject.device)
    pooling = AUTO[subject.objective] if settings.pooling == "auto" else settings.pooling
    model = TaskModel(subject.model, head, pooling)
    model.make_trainable()
    return model
