"""Folders that are whole or not there, and ordinary transformers folders."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.errors import InputError
from src.tracking.atomic import why_unwritten

PARTIAL = ".partial-"
"""What the names of folders begin with that are not whole yet."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Explain what goes wrong while `path` is written.

    Raises:
        InputError: It cannot be written.
    """
    try:
        yield
    except Exception as error:
        if (why := why_unwritten(error)) is None:
            raise
        raise InputError(
            f"{path} could not be written: {why}. Free some space there, or choose another folder "
            "(out=FOLDER)."
        ) from error


def take_place(partial: Path, path: Path) -> None:
    """Bring what is in `partial` to the disk, and rename it to `path`."""
    for file in partial.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write an ordinary transformers folder; the model itself stays as it is.

    Args:
        model: What is saved, in fp32.
        tokenizer: Saved beside it.
        folder: Where; it exists.
        dtype: Of the weights on disk.
    """
    kept: dict[int, torch.Tensor] = {}

    def cast(tensor: torch.Tensor) -> torch.Tensor:
        # Tied weights stay one tensor.
        if tensor.data_ptr() not in kept or not tensor.numel():
            kept[tensor.data_ptr()] = tensor.detach().to("cpu", dtype, copy=True).contiguous()
        return kept[tensor.data_ptr()]

    weights = {name: cast(tensor) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    named = {"dtype": str(dtype).split(".")[1]}
    # The Trainer switches the cache of keys and values off, which is for training alone.
    _change(folder / "config.json", lambda config: _without(config, "use_cache") | named)
    # Its indentation is half of a small model's folder.
    _change(folder / "tokenizer.json", lambda content: content, indent=None)


def _without(config: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


def _change(file: Path, change: Callable[[Any], Any], indent: int | None = 2) -> None:
    if file.exists():
        content = change(json.loads(file.read_text(encoding="utf-8")))
        separators = (",", ":") if indent is None else None
        text = json.dumps(content, indent=indent, separators=separators, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
