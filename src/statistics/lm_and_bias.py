"""Do LM score and stereotype score rise together over the cells of a sweep, as the paper says?"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from src.statistics.config import StatisticsConfig
from src.statistics.measured_cells import LM, OVERALL, SS, Measured, metrics_of
from src.statistics.rank_correlation import FEWEST, rank_correlations
from src.tracking.read import Cell


def lm_and_bias(measured: Sequence[Measured], settings: StatisticsConfig) -> list[dict[str, Any]]:
    """Correlate the ranks of LM score (overall) and of each SS: the paper's figure 1.

    Args:
        measured: Finished cells.
        settings: Level, resamples and seed.

    Returns:
        The fields of `Tau` with benchmark, scorer, category, and `cells`: over which cells, "all"
        or those of one compression. Nothing for fewer than five cells.
    """
    compressions = list(dict.fromkeys(_compression(each.cell) for each in measured))
    chosen = {"all": list(measured)}
    if len(compressions) > 1:
        chosen |= {
            name: [each for each in measured if _compression(each.cell) == name]
            for name in compressions
        }
    found = []
    for key, _ in metrics_of(measured):
        if key[3] != SS:
            continue
        pair = ((*key[:2], OVERALL, LM), key)
        for name, members in chosen.items():
            both = [each for each in members if set(pair) <= each.estimands.keys()]
            if len(both) < FEWEST:
                continue
            lm, bias = (np.array([each.estimands[k].value for each in both]) for k in pair)
            groups = [_size(each.cell) for each in both]
            about = dict(zip(("benchmark", "scorer", "category"), key, strict=False))
            about["cells"] = name
            how = (settings.level, settings.resamples, settings.seed)
            found += [about | asdict(tau) for tau in rank_correlations(lm, bias, groups, *how)]
    return found


def _size(cell: Cell) -> str:
    """Name what the checkpoints of one run have in common: the size, or else the model."""
    model = cell.config.get("model")
    return str(model.get("size", model.get("name"))) if isinstance(model, dict) else "?"


def _compression(cell: Cell) -> str:
    content = cell.config.get("compression")
    return str(content.get("name")) if isinstance(content, dict) else "?"
