"""The command line of the training programs: checks, several processes, readable errors."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.command_line import NOT_RUNS, explain, explain_unwritable, is_first_process, prepare, stop
from src.errors import InputError, Unsupported
from src.tracking.tracker import Tracker, build_tracker
from src.training.schema import CONF, RunConfig


def typed(composed: DictConfig) -> Any:
    """Turn a composed config into checked objects.

    Raises:
        InputError: A value is missing or not possible; names the key.
    """
    for key in sorted(OmegaConf.missing_keys(composed)):
        raise InputError(f"{key} is required; give it as {key}=VALUE.")
    return OmegaConf.to_object(composed)


def run(
    composed: DictConfig, train: Callable[[Any, Path, Any], dict[str, Any]]
) -> dict[str, Any] | None:
    """Run one job: check, train, track.

    Args:
        composed: As Hydra composed it.
        train: Given the checked config, its folder and a tracker.

    Returns:
        What training.json holds; None where it was only to be printed.
    """
    config: RunConfig = typed(composed)
    if config.dry:
        print(OmegaConf.to_yaml(composed, resolve=True))
        return None
    out, state = Path(config.out), "failed"
    tracker = OpenedLate(config, OmegaConf.to_container(composed, resolve=True), out)
    try:
        record = train(config, out, tracker)
        state = "done"
    finally:
        tracker.finish(state)
    if is_first_process():
        loss = record["held_out_loss"]
        shown = "" if loss is None else f", held-out loss {loss:.4f}"
        print(f"{out}: {record['steps']} steps{shown}")
    return record


class OpenedLate(Tracker):
    """A tracker whose run is opened by the first point of the loss curve.

    So a run that is refused for its text, or is finished already, is no empty run in W&B.
    """

    def __init__(self, config: RunConfig, resolved: Any, out: Path) -> None:
        """Args: the checked config, the same as plain data, and the folder of the run."""
        self._tracker = build_tracker(config.tracker)
        self._start: tuple[Any, ...] = (resolved, config.name, "training", [], out)
        self._open = False

    def log_training(self, values: Mapping[str, float], step: int) -> None:
        """Log a point."""
        if not self._open:
            self._tracker.start(*self._start, job="training")
            self._open = True
        self._tracker.log_training(values, step)

    def finish(self, state: str) -> None:
        """Close the run, if there is one."""
        if self._open:
            self._tracker.finish(state)


def main(job: Callable[[], Any], config_name: str) -> None:
    """Run what the command line says, and exit with 0, or with a readable error.

    Args:
        job: Decorated by Hydra.
        config_name: Its primary config in conf/training.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in src/main.py
    sys.argv[1:] = prepare(sys.argv[1:])
    failure: str | None = None
    try:
        check(sys.argv[1:], config_name)
        job()
    except (InputError, Unsupported) as error:
        failure = f"error: {error}"
    except (HydraException, OmegaConfBaseException) as error:
        # src.finetune has groups of src.main besides its own.
        failure = explain(error, CONF, CONF.parent)
    except (OSError, ValueError) as error:
        failure = explain_unwritable(error, "out")
    except KeyboardInterrupt:
        stop()
    sys.exit(failure)


def check(arguments: Sequence[str], config_name: str) -> None:
    """Check a single run's settings before Hydra makes its folder.

    Raises:
        InputError: A value is not possible.
        HydraException: A key, option or type is wrong.
        OmegaConfBaseException: A value refers to something that is not there.
    """
    asked = get_args_parser().parse_args(list(arguments))
    own = asked.config_dir or asked.config_path or asked.config_name
    if asked.multirun or own or any(getattr(asked, name) for name in NOT_RUNS):
        return
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        typed(compose(config_name, asked.overrides))
