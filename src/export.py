"""Write a compressed model as a folder: `python -m src.export model=... compression=... out=...`.

The folder is one that transformers loads: the compressed weights as ordinary ones, the tokenizer,
and the receipt. What was measured can be shipped, or measured again with `model=hf model.id=OUT`.
A method that stores packed weights gives a folder with the values they stand for, which is not
smaller; one that quantizes activations at run time is refused.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src import schema, sweep
from src.command_line import explain
from src.errors import InputError, Unsupported
from src.piped import piped
from src.quiet import quiet_libraries
from src.tracking.atomic import why_unwritten

if TYPE_CHECKING:
    import torch

    from src.models.subject import Subject
    from src.schema import Config

RECEIPT = Path("compression") / "receipt.json"
"""Where the receipt is in the folder: below it, because what lies beside the weights is part of a
checkpoint's identity, and the receipt holds times."""
TOLERANCE = 1e-3
"""Largest difference of a log-probability between the model and the one loaded from the folder."""


def export(config: "Config", out: Path) -> list[str]:
    """Compress a model and write it.

    Args:
        config: The checked settings; of a cell's, benchmarks and scorer play no part.
        out: A folder that does not exist yet, or is empty.

    Returns:
        The names of layers whose packed weights were written as ordinary ones.

    Raises:
        InputError: `out` holds something or cannot be written.
        Unsupported: The model cannot be compressed this way, or not be written as ordinary weights,
            or a library is not installed.
    """
    from src.cell import load
    from src.compression.library import library_versions
    from src.compression.plain_layers import make_plain
    from src.compression.registry import compress
    from src.data.locate import DataFiles
    from src.device import start_accelerator
    from src.made import settle
    from src.prepare import find_calibrations
    from src.tracking.plain import plain

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out={out} is there already; choose a folder that is not, or is empty.")
    library_versions(config.compression)  # one that is not installed: before a model is loaded
    config = settle(config).config
    calibrations = find_calibrations(config, DataFiles(config.data))
    subject = load(config, start_accelerator(config.system))
    receipt = compress(subject, config.compression, calibrations)
    measured = _predictions(subject)
    turned = make_plain(subject.model)
    with _whole_or_not(out) as folder:
        if subject.objective == "causal":
            subject.model.config.use_cache = True  # it was off for scoring
        subject.model.save_pretrained(folder)
        subject.text.tokenizer.save_pretrained(folder)
        (folder / RECEIPT).parent.mkdir()
        text = json.dumps(plain(receipt), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / RECEIPT).write_text(f"{text}\n", encoding="utf-8")
        _check(folder, subject, measured)
    return turned


@contextlib.contextmanager
def _whole_or_not(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that takes its place if all goes well, and is removed if not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(f"out={out} cannot be written ({error.strerror}).") from error
    try:
        yield folder
        folder.chmod(0o777 & ~_umask())  # mkdtemp's folders are for their owner only
        folder.replace(out)
    except Exception as error:
        if (why := why_unwritten(error)) is None:
            raise
        raise InputError(f"out={out} could not be written ({why}).") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _predictions(subject: "Subject") -> "list[torch.Tensor]":
    """Let a model predict on a few inputs: log-probabilities, (length, vocabulary) each."""
    import torch

    rows = int(subject.model.get_input_embeddings().weight.shape[0])
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(rows, (1, length), generator=generator) for length in (2, 7, 12)]
    with torch.inference_mode():
        return [
            subject.model(input_ids=ids.to(subject.device)).logits[0].double().log_softmax(-1).cpu()
            for ids in inputs
        ]


def _check(folder: Path, subject: "Subject", measured: "Sequence[torch.Tensor]") -> None:
    """Load what was written and compare its predictions with the compressed model's."""
    import torch

    from src.models.config import ModelConfig
    from src.models.load import load_subject

    dtype = subject.model.dtype
    wanted = ModelConfig(
        name="exported",
        id=str(folder),
        objective=subject.objective,
        dtype=str(dtype).removeprefix("torch."),
    )
    again = _predictions(load_subject(wanted, subject.device, subject.start_token))
    largest = max(float((old - new).abs().max()) for old, new in zip(measured, again, strict=True))
    if not largest <= max(TOLERANCE, 50 * torch.finfo(dtype).eps):
        raise Unsupported(
            f"loaded again, the model predicts something else than was measured (log-probabilities "
            f"differ by up to {largest:.2g}), so its format cannot hold this compression"
        )


def _composed(arguments: Sequence[str]) -> tuple["Config", Path]:
    """Read the command line.

    Raises:
        InputError: There is no `out`, or a value is not possible.
        HydraException: A key, option or type is wrong.
    """
    places = [argument for argument in arguments if argument.startswith("out=")]
    if len(places) != 1 or not places[0].removeprefix("out="):
        raise InputError("give the folder to write once, as out=FOLDER.")
    overrides = [argument for argument in arguments if argument not in places]
    with initialize_config_dir(version_base="1.3", config_dir=str(schema.CONF)):
        composed = compose("config", [*overrides, "sweep=export"])
    return schema.typed(composed), Path(places[0].removeprefix("out=")).expanduser()


def main() -> None:
    """Export what the command line says."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{__doc__}\nThe other arguments are those of `python -m src.main`.")
        return
    quiet_libraries()
    schema.register()
    sweep.register()
    try:
        config, out = _composed(sys.argv[1:])
        turned = export(config, out)
    except (InputError, HydraException, OmegaConfBaseException) as error:
        sys.exit(explain(error, schema.CONF))
    except Unsupported as error:
        sys.exit(f"unsupported: {error}")
    print(f"{out}: {config.model.name}, compression={config.compression.name}")
    if turned:
        print(f"{len(turned)} packed layers were written as ordinary weights of the same values")


if __name__ == "__main__":
    piped(main)
