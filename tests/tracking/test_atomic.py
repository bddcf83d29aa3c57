"""What is said of a file that could not be written, whichever library tried."""

import contextlib
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from src.errors import InputError
from src.tracking.atomic import why_unwritten
from src.training.folders import writing

WRITERS = {
    "python": lambda path: path.write_bytes(b"x" * 100_000),
    "safetensors": lambda path: save_file({"w": torch.zeros(100_000)}, path),
    "tokenizers": lambda path: Tokenizer(
        models.WordLevel({str(word): word for word in range(10_000)}, "0")
    ).save(str(path)),
    "torch": lambda path: torch.save({"w": torch.zeros(100_000)}, path),
}


@contextlib.contextmanager
def no_room(size=1000):
    """Let the system refuse to make any file larger than some bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("library", WRITERS)
def test_a_file_without_room_is_told_by_every_library(library, tmp_path):
    why = "the write failed" if library == "torch" else "File too large"
    told = rf"^out could not be written: {why}\. Free some space"
    with pytest.raises(InputError, match=told), no_room(), writing(Path("out")):
        WRITERS[library](tmp_path / "file")


def test_other_faults_stay_what_they_are():
    assert why_unwritten(ValueError("a shape does not fit")) is None
    with pytest.raises(KeyError), writing(Path("out")):
        raise KeyError("w")
    with pytest.raises(InputError, match=r"^its own words$"), writing(Path("out")):
        raise InputError("its own words")
