"""Stands in for gptqmodel: rounds to nearest, and writes the files that gptqmodel writes.

STAND_IN_LOG names a file to which each call adds a line; STAND_IN=refuse makes it refuse a model.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)


class QuantizeConfig:
    def __init__(self, **settings):
        self.settings = settings


class GPTQModel:
    @classmethod
    def load(cls, folder, config, dtype):
        if os.environ.get("STAND_IN") == "refuse":
            raise NotImplementedError("no such architecture here")
        self = cls()
        self.folder, self.config, self.dtype = Path(folder), config, dtype
        return self

    def quantize(self, pieces, batch_size):
        assert all(piece["attention_mask"].all() for piece in pieces)
        said = self.config.settings | {
            "dtype": str(self.dtype),
            "ids": torch.cat([piece["input_ids"] for piece in pieces]).tolist(),
            "visible": os.environ["CUDA_VISIBLE_DEVICES"],
            "rank": os.environ.get("RANK"),
            "project": "src" in sys.modules,
        }
        with Path(os.environ["STAND_IN_LOG"]).open("a") as file:
            file.write(json.dumps(said) + "\n")

    def save(self, out):
        out, settings = Path(out), self.config.settings
        out.mkdir()
        weights = load_file(self.folder / "model.safetensors")
        for key in [key for key in weights if key.endswith(("_proj.weight", "c_attn.weight"))]:
            weight = weights.pop(key)
            weight = weight if "c_" not in key else weight.t()  # GPT-2's Conv1D
            for part, value in packed(weight, settings).items():
                weights[f"{key.removesuffix('.weight')}.{part}"] = value
        save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
        for name in ("config.json", "generation_config.json"):
            shutil.copy(self.folder / name, out)
        config = json.loads((out / "config.json").read_text())
        config["quantization_config"] = {
            "quant_method": settings["method"],
            "bits": settings["bits"],
            "group_size": settings["group_size"],
            "sym": settings["sym"],
            "checkpoint_format": settings.get("format", "gptq"),
        }
        (out / "config.json").write_text(json.dumps(config))


def packed(weight, settings):
    """Symmetric rounding of a weight (out, in) in groups of inputs, packed."""
    size, bits = settings["group_size"], settings["bits"]
    middle = 2 ** (bits - 1)
    groups = weight.float().reshape(weight.shape[0], -1, size)
    scales = (groups.abs().amax(-1) / (middle - 0.5)).half()
    values = torch.round(groups / scales.float().unsqueeze(-1)) + middle
    values = values.clamp(0, 2 * middle - 1).long().reshape(weight.shape).t()  # (in, out)
    scales = scales.t().contiguous()
    zeros = torch.full(scales.shape, middle)
    if settings["method"] == "awq":
        return {
            "qweight": words(values, bits, AWQ_ORDER),
            "qzeros": words(zeros, bits, AWQ_ORDER),
            "scales": scales,
        }
    order = range(32 // bits)
    return {
        "qweight": words(values.t(), bits, order).t().contiguous(),
        "qzeros": words(zeros - 1, bits, order),
        "scales": scales,
        "g_idx": (torch.arange(weight.shape[1]) // size).int(),
    }


def words(values, bits, order):
    """Pack (n, m) integers along m into (n, m * bits / 32) words."""
    shifts = torch.tensor(list(order)) * bits
    total = (values.reshape(len(values), -1, 32 // bits) << shifts).sum(-1)
    return torch.where(total >= 2**31, total - 2**32, total).int().contiguous()
