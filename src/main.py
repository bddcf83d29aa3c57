"""Entry point: `python -m src.main [-m] [group=option ...] [key=value ...]`."""

import logging
import os
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import launch, schema, sweep
from src.command_line import explain, explain_unwritable, prepare, stop
from src.errors import CellFailed, InputError
from src.piped import piped
from src.progress import CELLS

log = logging.getLogger(__name__)
schema.register()
sweep.register()


@hydra.main(version_base="1.3", config_path=str(schema.CONF), config_name="config")
def job(composed: DictConfig) -> str:
    """Run one cell."""
    config = schema.typed(composed)
    resolved: Any = OmegaConf.to_container(composed, resolve=True)
    if config.debug.dry:
        print(OmegaConf.to_yaml(composed, resolve=True))
        return "dry"
    # Imported here: torch is not needed to compose a config or to print the help.
    from pathlib import Path

    if config.debug.plan:
        from src.forecast import print_forecast

        return print_forecast(config)
    from src.cell import run_cell
    from src.checkpoints import on_demand
    from src.models.kept import KEPT

    KEPT.on = config.system.reuse_weights and HydraConfig.get().mode == RunMode.MULTIRUN
    number, folder = HydraConfig.get().job.get("num") or 0, HydraConfig.get().runtime.output_dir
    with on_demand(config, sweep.NoteDirectory.directory):
        return CELLS.run(number, lambda: run_cell(config, resolved, Path(folder)))


def main() -> None:
    """Run what the command line says, print the sweep's table, and exit with its code."""
    # Hydra would print errors its own way and exit; here they come back to be explained.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Threads that spin while they wait make small models up to 50 times slower on a busy machine;
    # OpenMP reads this once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.argv[1:] = prepare(sys.argv[1:])
    failure: str | None = None
    try:
        launch.check(sys.argv[1:])
        job()
    except (InputError, HydraException, OmegaConfBaseException) as error:
        failure = explain(error, schema.CONF)
    except CellFailed as error:
        failure = f"error: at least one cell failed: {error}"
    except (OSError, ValueError) as error:
        failure = explain_unwritable(error, "hydra.run.dir, hydra.sweep.dir")
    except KeyboardInterrupt:
        stop()
    # Whatever went wrong, cells that ran have their numbers.
    launch.conclude()
    sys.exit(failure)


if __name__ == "__main__":
    piped(main)
