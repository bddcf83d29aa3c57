"""Settings of the training programs, composed for a cell as their command line composes them."""

import copy
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.errors import InputError
from src.training import schema
from src.training.entry import typed


def quoted(text: str) -> str:
    """Write any text as a value on Hydra's command line."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def composed(program: str, overrides: Sequence[str]) -> Any:
    """Compose and check the settings of a run.

    Args:
        program: "pretrain" or "distill".
        overrides: As on the program's command line.

    Raises:
        InputError: One is not possible.
    """
    schema.register()
    # A cell runs within Hydra, which composes for one program at a time.
    before = copy.copy(GlobalHydra.instance().hydra)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(schema.CONF)):
            config = compose(program, [*overrides, "tracker=none"])
        return typed(config)
    except (HydraException, OmegaConfBaseException) as error:
        told = " ".join(overrides)
        raise InputError(f"python -m src.{program} {told}: {error}") from error
    finally:
        GlobalHydra.instance().hydra = before
