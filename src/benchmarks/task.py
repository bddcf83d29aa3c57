"""The score on a task of a model that was fine-tuned on it (`python -m src.finetune`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd

from src.benchmarks.base import ItemScore, Locate, Metric, Skipped, nan_to_reason
from src.benchmarks.items import Item, Labelled
from src.benchmarks.registry import benchmark
from src.benchmarks.task_files import TASKS, read_examples
from src.benchmarks.task_head import TaskHead, read_head
from src.benchmarks.task_units import task_estimand
from src.choices import help_, one_of
from src.errors import InputError, Unsupported
from src.statistics.estimand import Estimand


@dataclass
class TaskConfig:
    """A GLUE task; the model must have been fine-tuned on it."""

    kind: str = "task"
    task: str = field(default="???", metadata=help_("which one", TASKS))
    file: str | None = field(
        default=None,
        metadata=help_("labelled examples, below data.root; null: the task's development set"),
    )
    head: str | None = field(
        default=None,
        metadata=help_(
            "file of the task's head; null: task/head.safetensors in the model's folder"
        ),
    )

    def __post_init__(self) -> None:
        """Check the task.

        Raises:
            InputError: There is no such task.
        """
        one_of(f"benchmark.{self.task}.task", self.task, TASKS)


@benchmark("task", TaskConfig)
class TaskBenchmark:
    """Examples of a task; the head is applied to what the model makes of them."""

    def __init__(self, settings: TaskConfig) -> None:
        self.settings = settings
        self.head: TaskHead | None = None

    def load(self, locate: Locate) -> Sequence[Labelled]:
        """Read the examples and the head.

        Raises:
            InputError: A file is malformed, or the head is another task's.
            Unsupported: There is no head.
        """
        task = TASKS[self.settings.task]
        if self.settings.head is None:
            raise Unsupported(
                f"benchmark={task.name} needs a model that was fine-tuned on it, with its head: "
                f"python -m src.finetune tuning.task={task.name}, then model=hf model.id=FOLDER"
            )
        self.head = read_head(locate(self.settings.head))
        if self.head.task != task:
            raise InputError(
                f"{self.settings.head} is a head for {self.head.task.name}, not for {task.name}."
            )
        examples = read_examples(task, locate(self.settings.file or task.dev))
        pooling, longest = self.head.pooling, self.head.longest
        return [replace(example, pooling=pooling, longest=longest) for example in examples]

    def tabulate(
        self, items: Sequence[Item], scores: Sequence[ItemScore], decimals: int | None
    ) -> pd.DataFrame:
        """One row an example, with `label` and `prediction`.

        `decision` is "right" or "wrong" for a class, "value" for a number, or "skipped". Scores
        are {"state": (hidden,)}.

        Raises:
            Unsupported: The model has another width than the head, so it is another model.
        """
        del decimals
        head = self.head
        assert head is not None
        examples = cast(Sequence[Labelled], items)
        states = {
            at: np.asarray(score["state"], dtype=np.float32)
            for at, score in enumerate(scores)
            if not isinstance(score, Skipped)
        }
        widths = {state.size for state in states.values()}
        if widths - {head.width}:
            raise Unsupported(
                f"the head for {head.task.name} reads {head.width} numbers and the model gives "
                f"{widths.pop()}: it belongs to another model than is measured"
            )
        found = head.predict(np.stack(list(states.values()))) if states else np.empty(0)
        predictions = dict(zip(states, found, strict=True))
        rows = [
            _row(example, predictions.get(at), score, bool(head.task.labels))
            for at, (example, score) in enumerate(zip(examples, scores, strict=True))
        ]
        return pd.DataFrame(rows)

    def metrics(self, table: pd.DataFrame) -> list[Metric]:
        """Compute the task's scores, in percent; correlations are times 100, as in GLUE's tables.

        A correlation is undefined (and not 0) where the model says the same of all examples.
        """
        scored = [
            Metric(
                e.category,
                e.metric,
                unit=e.unit,
                n=e.n,
                ideal=None,
                kind=e.kind,
                **nan_to_reason(e.value, e.reason),
            )
            for e in self.estimands(table)
        ]
        skipped = float((table["decision"] == "skipped").sum())
        return [
            *scored,
            Metric("overall", "n_skipped", skipped, "items", len(table), None, "count"),
        ]

    def estimands(self, table: pd.DataFrame) -> list[Estimand]:
        """Give the task's scores; the resampling unit is the example."""
        return [task_estimand(name, table) for name in TASKS[self.settings.task].metrics]


def _row(
    example: Labelled, prediction: float | None, score: ItemScore, classes: bool
) -> dict[str, object]:
    if prediction is None:
        decision = "skipped"
    elif classes:
        decision = "right" if prediction == example.label else "wrong"
    else:
        decision = "value"
    return {
        "item_id": example.id,
        "category": example.category,
        "cluster": example.cluster,
        "label": example.label,
        "prediction": float("nan") if prediction is None else prediction,
        "decision": decision,
        "skip_reason": score.reason if isinstance(score, Skipped) else "",
    }
