"""Opening a checkpoint's folder, and changing what lies in it."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from src.models.config import ModelConfig
from src.models.load import load_subject
from src.schema import ROOT

TINY = ROOT / "src" / "models" / "tiny"
"""The models that ship with the project."""


def open_folder(folder, **settings):
    return load_subject(
        ModelConfig(name="m", id=str(folder), **settings), torch.device("cpu"), "auto"
    )


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def swapped(name: str, other: str, folder: Path) -> Path:
    """Copy a model that ships with the project, with the tokenizer of another one."""
    shutil.copytree(TINY / name, folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / other / file, folder / file)
    return folder
