"""Quantize a model with gptqmodel: a script that its environment's interpreter runs.

It imports nothing of this project, and is told everything by a JSON file.
"""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

REFUSED = 3
"""Exit code where the library does not take this model; "refused" in the answer says why."""
REFUSALS = (NotImplementedError, TypeError, ValueError, AssertionError)


def quantize(arguments: dict[str, Any]) -> str:
    """Quantize one model.

    Args:
        arguments: `model`, the dense model's folder; `out`, the folder to write; `settings` of
            gptqmodel's QuantizeConfig; `dtype` to compute in; `device`; `ids`, token ids
            (samples, length) to calibrate on.

    Returns:
        Why the library does not take the model; empty where it did.
    """
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    torch.manual_seed(0)
    pieces = [torch.tensor([ids]) for ids in arguments["ids"]]
    read = [{"input_ids": piece, "attention_mask": torch.ones_like(piece)} for piece in pieces]
    try:
        config = QuantizeConfig(
            **arguments["settings"],
            device=arguments["device"],
            offload_to_disk=False,
            # Otherwise it rounds to nearest, and says so in its log only, where it lacks inputs.
            fallback=None,
        )
        dtype = getattr(torch, arguments["dtype"])
        model = GPTQModel.load(arguments["model"], config, dtype=dtype)
        model.quantize(read, batch_size=1)
    except REFUSALS as error:
        traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error) or where.line} (in {where.name})"
    model.save(arguments["out"])
    return ""


def main() -> int:
    """Do what the file named on the command line says; the answer is written beside it."""
    path = Path(sys.argv[1])
    refused = quantize(json.loads(path.read_text(encoding="utf-8")))
    path.with_name("answer.json").write_text(json.dumps({"refused": refused}), encoding="utf-8")
    return REFUSED if refused else 0


if __name__ == "__main__":
    sys.exit(main())
