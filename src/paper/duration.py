"""How long an experiment would take here, where its models are not here to be planned with."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from hydra import compose

from src.command_line import key_of
from src.measured import compresses
from src.models.config import ModelConfig
from src.models.misloaded import MisloadedConfig
from src.paper.experiments import Experiment
from src.paper.shapes import scored_shape
from src.schema import Config, typed

if TYPE_CHECKING:
    from src.system.flops import Need

PLANNERS = {"masked": "tiny_masked", "causal": "tiny"}
"""Models that ship with the project; they cut English into more pieces than the real."""


def estimate(experiment: Experiment, models: Sequence[ModelConfig]) -> float | None:
    """Estimate the seconds that scoring takes here, by the floating-point operations.

    Tokens are counted with the project's own tokenizers, and the time is that of the matrix
    products at the share of this device's peak that `debug=plan` takes. Loading and compressing
    come on top.

    Args:
        experiment: Whose cells.
        models: Settings of all models that it loads.

    Returns:
        None where the shape of a model is not known.

    Raises:
        InputError: A benchmark's file cannot be had.
    """
    import torch

    from src.device import start_accelerator
    from src.forecast import SHARE_OF_PEAK
    from src.system.flops import model_cost
    from src.system.peak import calibrated_peak

    names = [(model.id, isinstance(model, MisloadedConfig)) for model in models]
    asked = dict(zip(names, map(scored_shape, models), strict=True))
    if any(shape is None for shape in asked.values()):
        return None
    apart = [v for key, v in experiment.varied.items() if key not in experiment.axes_of_models]
    flops, known = 0.0, {}
    for rest in product(*apart):
        for name, shape in asked.items():
            assert shape is not None
            objective = "causal" if shape.causal else "masked"
            # Items are the same however the model is compressed, and looking at them takes a while.
            key = (tuple(one for one in rest if not compresses(key_of(one))), objective)
            if key not in known:
                known[key] = _run(experiment, objective, rest)
            flops += names.count(name) * model_cost(shape.model()).of(known[key])
    config = _config(experiment, "masked", [values[0] for values in apart])
    device = start_accelerator(config.system).device.type
    peak = calibrated_peak(device, torch.float32, torch.get_num_threads())
    return float(flops / (SHARE_OF_PEAK * peak))


def _run(experiment: Experiment, objective: str, rest: Sequence[str]) -> "Need":
    """Find what the engine would run for a cell, with a model that ships with the project."""
    from src.data.locate import DataFiles
    from src.evaluate import plan_questions, requests_of
    from src.forecast import find_run
    from src.models.empty import empty_subject
    from src.questions import find_questions
    from src.scoring.batching import merge

    config = _config(experiment, objective, rest)
    subject, _ = empty_subject(config.model, config.scorer.start_token)
    questions = find_questions(config, DataFiles(config.data))
    requests = requests_of(
        plan_questions(subject, questions, config.scorer.names, config.scorer.skip_long)[0]
    )
    return find_run(subject, merge(requests)[0], config)[0]


def _config(experiment: Experiment, objective: str, rest: Sequence[str]) -> Config:
    names = experiment.axes.get("experiment", [])
    return typed(compose("config", [*names, *rest, f"model={PLANNERS[objective]}"]))
