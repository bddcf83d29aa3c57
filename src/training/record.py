"""What a training run leaves behind beside weights: its settings and its loss curve."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.errors import InputError
from src.tracking.atomic import replacing
from src.tracking.fingerprint import difference
from src.tracking.plain import plain

FREE = ("training.stop_at", "training.states", "training.state_every", "training.threads")
"""Settings that may change when a run is resumed: they do not decide its weights."""


def write_json(path: Path, content: Any) -> None:
    """Write `content`; the file is whole or not there."""
    text = json.dumps(plain(content), indent=1) + "\n"
    with replacing(path) as file:
        file.write(text.encode())


def write_curve(path: Path, history: Sequence[Mapping[str, Any]], **about: Any) -> dict[str, Any]:
    """Write training.json.

    Args:
        path: The file.
        history: The trainer's, an entry a point.
        about: What else is known of the run.

    Returns:
        What was written: `about`; the number of `steps` and `tokens`; `held_out_loss` (nats a
        target) and its perplexity, null where none was taken; and the `curve`, an entry a step:
        step, tokens, mean training loss of the steps since the last entry, held-out loss.
    """
    points: dict[int, dict[str, Any]] = {}
    for entry in history:
        points.setdefault(entry["step"], {}).update(entry)
    # In one order: a state that is resumed from gives its points' keys in that of the alphabet.
    curve = [{"step": step, **dict(sorted(points[step].items()))} for step in sorted(points)]
    last = curve[-1] if curve else {}
    loss = next((p["held_out_loss"] for p in reversed(curve) if "held_out_loss" in p), None)
    perplexity = None if loss is None else math.exp(min(loss, 700.0))
    record = {**about, "steps": last.get("step", 0), "tokens": last.get("tokens", 0)}
    record |= {"held_out_loss": loss, "held_out_perplexity": perplexity, "curve": curve}
    write_json(path, record)
    return record


def check_same(out: Path, parts: Mapping[str, Any]) -> None:
    """Note what decides a run in out/run.json, or check that it is what the run began with.

    Raises:
        InputError: The folder holds another run.
    """
    file = out / "run.json"
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = [key for key in difference(before, parts) if key not in FREE]
        if changed:
            raise InputError(
                f"{out} holds a run with other settings ({', '.join(changed)}): choose another "
                "folder (out=FOLDER), or move that one away."
            )
    write_json(file, parts)
