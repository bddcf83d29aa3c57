"""Runs that an agent of a W&B sweep has started.

The agent names the sweep, the run and its parameters in the environment, and W&B gives them to
every run that the process opens. One process is one run for the agent, so they hold for its first
run only: a second cell, or the comparisons of a sweep, would otherwise write over it.
"""

import os
from collections.abc import Mapping
from typing import Any

SWEEP = "WANDB_SWEEP_ID"
OF_THE_RUN = (SWEEP, "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


def of_agent() -> bool:
    """Whether the next run of this process is one that an agent asked for."""
    return bool(os.environ.get(SWEEP))


def hidden(config: Mapping[str, Any], run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Find the settings whose name a parameter of the W&B sweep has taken.

    `model=bert` is the sweep's parameter `model`, by whose value W&B knows what it has tried; so
    the settings of the group `model` cannot be `model` as well.

    Args:
        config: The cell's settings.
        run_config: The settings of the opened run.

    Returns:
        Those that the run does not have.
    """
    return {name: value for name, value in config.items() if run_config.get(name) != value}


def leave() -> None:
    """Make the later runs of this process runs of their own."""
    import wandb

    for name in OF_THE_RUN:
        os.environ.pop(name, None)
    # What W&B read from the environment it keeps until its next start.
    wandb.teardown()
