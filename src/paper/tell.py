"""The few lines that are printed before an experiment runs."""

from src.errors import InputError
from src.paper.duration import estimate
from src.paper.experiments import Experiment
from src.paper.statement import Needs

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def tell(experiment: Experiment, needs: Needs) -> None:
    """Print how many cells an experiment has, what has to be downloaded, and how long it takes.

    Args:
        experiment: The experiment.
        needs: What it needs of the hub.
    """
    models, checkpoints = len(needs.models), needs.checkpoints
    several = f"{models} models from " if models > checkpoints else ""
    print(
        f"experiment={experiment.name}: {len(experiment.cells)} cells, {several}{checkpoints} "
        f"checkpoints, in {experiment.folder}; finished ones are not run again"
    )
    for line in needs.told():
        print(f"  {line}")
    if needs.missing:
        print(f"  {_time(experiment, needs)}", flush=True)


def _time(experiment: Experiment, needs: Needs) -> str:
    try:
        seconds = estimate(experiment, needs.models)
    except InputError as error:
        return f"how long it takes cannot be told: {error}"
    if seconds is None:
        return "how long it takes cannot be told: not every model's shape is known (debug=plan)"
    return (
        f"all cells together take about {duration(seconds)} here to be scored (tokens counted with "
        "the project's own tokenizers, which make more of a text)"
    )


def duration(seconds: float) -> str:
    """Write a time with the unit that fits it."""
    for unit, length in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
