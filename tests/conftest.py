import functools
import logging
import os
import sys
from pathlib import Path

# Set before torch is imported by any test: small models are slower on many threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest

from tests import checkpoints


@pytest.fixture(autouse=True)
def nothing_kept():
    """Let no test start from weights that another one's sweep has kept in this process."""
    yield
    if kept := sys.modules.get("src.models.kept"):
        kept.KEPT.clear()


@pytest.fixture(autouse=True)
def no_log_handlers_left():
    """Let no test's messages go to what Hydra set up in another one, a stream that is closed."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in root.handlers[:]:
        if handler not in before and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory):
    """Folder of a small random checkpoint by architecture name, made once a session."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            checkpoints.save(name, root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def load(checkpoint):
    """Load a fresh subject by architecture name, for tests that change the model."""
    import torch

    from src.models.config import ModelConfig
    from src.models.load import load_subject

    def fresh(name: str, **settings):
        config = ModelConfig(name=name, id=str(checkpoint(name)), **settings)
        return load_subject(config, torch.device("cpu"), "auto")

    return fresh


@pytest.fixture(scope="session")
def subject(load):
    """A loaded subject by architecture name, shared by tests that do not change it."""
    return functools.cache(load)
