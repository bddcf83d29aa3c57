"""What a cell's settings leave to be made or found before it can be measured.

A model that has to be trained first (`model=finetuned`, `model=twin`, `compression=distill`) is
trained here, or found as it was trained before; a task's head is looked for beside the model.
Everything after this sees an ordinary cell.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from src.benchmarks.task_head import HEAD
from src.compression.stack import StackConfig, steps_of
from src.schema import Config


@dataclass(frozen=True, slots=True)
class Settled:
    """A cell's settings with nothing left to be made.

    Attributes:
        config: The settings.
        made: What was trained for the cell, now or before: what it is -> its folder and all that
            decided it.
        held: Whether the model was compressed before as it is to be now, and trained within that.
    """

    config: Config
    made: dict[str, Any] = field(default_factory=dict)
    held: bool = False


def settle(config: Config, now: bool = True) -> Settled:
    """Fill in what a cell's settings leave open.

    Args:
        config: The checked settings; stays as it is.
        now: Whether to train what was not trained before.

    Raises:
        InputError: A setting, file or checkpoint is wrong.
        Unsupported: The cell cannot exist, or what it needs was not trained yet.
    """
    made: dict[str, Any] = {}
    model = config.model
    if hasattr(model, "make"):
        model, made["model"] = model.make(config, now)
    steps = {}
    for name, step in steps_of(config.compression).items():
        steps[name] = step
        if hasattr(step, "make"):
            steps[name], made[name] = step.make(model, config, now)
    stacked = isinstance(config.compression, StackConfig)
    compression = StackConfig(steps) if stacked else next(iter(steps.values()))
    head = Path(model.id).expanduser().absolute() / HEAD
    benchmark = _with_heads(config.benchmark, head)
    held = getattr(config.model, "holds", False)
    settled = replace(config, model=model, compression=compression, benchmark=benchmark)
    return Settled(settled, made, held)


def _with_heads(benchmarks: dict[str, Any], head: Path) -> dict[str, Any]:
    """Name the head for the tasks that name none, where the model's folder has one."""
    return {
        name: replace(settings, head=str(head))
        if getattr(settings, "head", "") is None and head.is_file()
        else settings
        for name, settings in benchmarks.items()
    }
