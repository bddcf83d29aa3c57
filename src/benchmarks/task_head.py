"""The head that a fine-tuned model predicts a task with: a file beside the language model.

The language model stays an ordinary checkpoint, head and all, and is measured as one. What the task
added is small and is kept in fp32, whatever a compression does to the model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from src.benchmarks.task_files import TASKS, Task
from src.choices import one_of
from src.errors import InputError

HEAD = "task/head.safetensors"
"""Where it is in a checkpoint's folder: below it, because what lies beside the weights is part of a
checkpoint's identity."""
POOLINGS = ("first", "last", "mean")
TENSORS = ("dense.weight", "dense.bias", "out.weight", "out.bias")

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TaskHead:
    """A hidden layer with tanh and a linear one, as RoBERTa's classification head has them.

    Attributes:
        task: What it predicts.
        pooling: Which hidden state it reads.
        longest: Tokens of the longest text that it was trained on.
        tensors: Its weights by name: (hidden, hidden), (hidden,), (outputs, hidden), (outputs,).
    """

    task: Task
    pooling: str
    longest: int
    tensors: dict[str, Array]

    @property
    def width(self) -> int:
        """Size of the hidden states that it reads."""
        return int(self.tensors["dense.weight"].shape[1])

    def __call__(self, states: Array) -> Array:
        """Compute outputs, (n, outputs), of hidden states, (n, hidden)."""
        dense, bias, out, shift = (self.tensors[name] for name in TENSORS)
        outputs: Array = np.tanh(states @ dense.T + bias) @ out.T + shift
        return outputs

    def predict(self, states: Array) -> npt.NDArray[np.float64]:
        """Give the number of the likeliest class, or the predicted value, shape (n,)."""
        outputs = self(states)
        found = outputs.argmax(axis=1) if self.task.labels else outputs[:, 0]
        return found.astype(np.float64)


def read_head(path: Path) -> TaskHead:
    """Read a head.

    Raises:
        InputError: It is no such file, or its tensors do not fit each other or the task.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told: dict[str, Any] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as a task head ({error}).") from error
    if set(tensors) != set(TENSORS) or {"task", "pooling", "longest"} - set(told):
        raise InputError(f"{path} is no task head of `python -m src.finetune`.")
    one_of(f"the task of {path}", told["task"], TASKS)
    one_of(f"the pooling of {path}", told["pooling"], POOLINGS)
    task = TASKS[told["task"]]
    (rows, width), outputs = tensors["dense.weight"].shape, tensors["out.weight"].shape[0]
    if rows != width or tensors["out.weight"].shape[1] != width or outputs != task.outputs:
        raise InputError(f"{path}: the shapes of its tensors do not fit {task.name}.")
    return TaskHead(task, told["pooling"], int(told["longest"]), tensors)
