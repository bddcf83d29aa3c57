"""Opening a checkpoint's folder, and changing what lies in it."""

import torch
from safetensors.torch import load_file, save_file

from src.models.config import ModelConfig
from src.models.load import load_subject


def open_folder(folder, **settings):
    return load_subject(
        ModelConfig(name="m", id=str(folder), **settings), torch.device("cpu"), "auto"
    )


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
