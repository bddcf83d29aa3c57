"""Having a model quantized elsewhere, once: the checkpoint is kept under what decides it."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cache import cache_folder
from src.compression.elsewhere.interpreter import find_interpreter, last_lines, run, versions
from src.compression.elsewhere.runner import REFUSED
from src.errors import InputError, Unsupported

if TYPE_CHECKING:
    import torch

    from src.compression.calibration import Calibration
    from src.models.subject import Subject

log = logging.getLogger(__name__)
RUNNER = Path(__file__).with_name("runner.py")
MADE_WITH = "made_with.json"
"""How a kept checkpoint was made, in its folder."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with a model.

    Attributes:
        settings: Of gptqmodel's QuantizeConfig.
        dtype: What it computes in ("float16").
        python: The interpreter; None for the one that `make gptq-env` makes.
        timeout: Seconds it may take; 0 for no limit.
    """

    settings: dict[str, Any]
    dtype: str
    python: str | None
    timeout: float


def quantized_checkpoint(
    subject: "Subject", job: Job, calibration: "Calibration"
) -> tuple[Path, dict[str, Any]]:
    """Have a subject's model quantized, unless that was done before.

    Args:
        subject: The dense model, as it is now; it is not changed.
        job: What to do.
        calibration: What the model reads meanwhile.

    Returns:
        The checkpoint's folder, and facts for the receipt.

    Raises:
        InputError: The interpreter, the space or the time is not enough, or gptqmodel failed.
        Unsupported: gptqmodel does not take this model, or there is none.
    """
    from filelock import FileLock

    interpreter, found = find_interpreter(job.python), versions(job.python)
    ids = calibration.samples(subject).tolist()
    arguments = {
        "settings": job.settings,
        "dtype": job.dtype,
        "device": "cuda:0" if subject.device.type == "cuda" else "cpu",
        "ids": ids,
    }
    key = _key(subject, arguments, found)
    root = cache_folder() / "gptqmodel"
    folder = root / key
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{key}.lock"):  # processes side by side quantize it once
            made = not folder.is_dir()
            if made:
                _make(subject, interpreter, arguments, found, folder, job.timeout)
    except OSError as error:
        raise InputError(
            f"{root}, where quantized checkpoints are kept, cannot be used "
            f"({error.strerror or error}); XDG_CACHE_HOME names another place."
        ) from error
    made_with = json.loads((folder / MADE_WITH).read_text(encoding="utf-8"))
    return folder, {
        "versions": found,
        "computed_in": job.dtype,
        "calibration": {"pieces": len(ids), "tokens": len(ids[0])},
        "quantize_seconds": made_with["seconds"],
        "made_before": not made,
    }


def _make(
    subject: "Subject",
    interpreter: Path,
    arguments: dict[str, Any],
    found: dict[str, str],
    folder: Path,
    timeout: float,
) -> None:
    """Quantize into a folder beside `folder` that takes its name once all is in it."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        dense, out, printed = work / "dense", work / "out", work / "log.txt"
        subject.model.save_pretrained(dense)
        subject.text.tokenizer.save_pretrained(dense)
        told = work / "arguments.json"
        places = {"model": str(dense), "out": str(out)}
        told.write_text(json.dumps(arguments | places), encoding="utf-8")
        log.info("gptqmodel quantizes %s; it prints to %s", subject.source.id, printed)
        started = time.perf_counter()
        code = run(interpreter, RUNNER, told, printed, _variables(subject.device), timeout)
        if code == REFUSED:
            answer = json.loads((work / "answer.json").read_text(encoding="utf-8"))
            raise Unsupported(f"gptqmodel does not take this model: {answer['refused']}")
        if code or not (out / "config.json").is_file():
            raise InputError(
                f"gptqmodel failed (exit code {code}); its last lines were:\n{last_lines(printed)}"
            )
        # In this environment's own form, which that of the other one need not be.
        subject.text.tokenizer.save_pretrained(out)
        made_with = {
            "source": subject.source.id,
            "versions": found,
            "seconds": time.perf_counter() - started,
            **arguments,
        }
        (out / MADE_WITH).write_text(json.dumps(made_with), encoding="utf-8")
        out.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _key(subject: "Subject", arguments: dict[str, Any], found: dict[str, str]) -> str:
    from src.compression.storage import digest

    config = subject.model.config.to_dict()
    config.pop("_name_or_path", None)
    parts = {
        "weights": digest(subject.model),
        "config": config,
        "arguments": arguments,
        "versions": found,
        "runner": hashlib.sha256(RUNNER.read_bytes()).hexdigest(),
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _variables(device: "torch.device") -> dict[str, str]:
    """Give the child's variables: threads as here, and no device but the subject's own."""
    import torch

    threads = torch.get_num_threads()
    visible = ""
    if device.type == "cuda":
        listed = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
        index = device.index or 0
        visible = listed[index] if listed else str(index)
    return {
        "CUDA_VISIBLE_DEVICES": visible,
        "OMP_NUM_THREADS": str(threads),
        "GPTQMODEL_CPU_WORKERS": str(max(2, threads)),  # with one worker it waits for itself
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
