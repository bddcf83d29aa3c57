"""A function of the values of several cells, resampled over the units that they share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.statistics.cell import interval_of
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Float, Integer, Resamplable
from src.statistics.intervals import Interval
from src.statistics.resample import resample, standard_error


@dataclass(frozen=True, eq=False)
class Across:
    """A model made of models over the same units: the same weights go to all of them.

    Attributes:
        models: K of them.
        combine: From their values, shape (B, K), to its own, shape (B,).
    """

    models: tuple[Resamplable, ...]
    combine: Callable[[Float], Float]

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units."""
        return self.models[0].units

    @property
    def strata(self) -> Integer:
        """Strata of the units."""
        return self.models[0].strata

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        return self.combine(np.stack([model.evaluate(weights) for model in self.models], axis=1))


@dataclass(frozen=True, slots=True)
class Estimated:
    """A value over shared units with what its resampling says.

    Attributes:
        value: The estimate.
        interval: Its confidence interval, or why there is none.
        error: Jackknife standard error; NaN where there is no interval for want of clusters.
        freedom: Degrees of freedom of the error.
    """

    value: float
    interval: Interval
    error: float
    freedom: float


def estimate(model: Resamplable, settings: StatisticsConfig) -> Estimated:
    """Estimate a model that is no cell's own metric, with the settings' level and resamples."""
    value = float(model.evaluate(np.ones((1, len(model.units))))[0])
    (values,) = resample([model], settings.resamples, settings.seed)
    interval = interval_of(value, values, model.strata, settings.level)
    error, freedom = standard_error(values.left_out, model.strata)
    if not np.isfinite(values.left_out).all():
        error = float("nan")  # of a stratum of one cluster nothing is in it
    return Estimated(value, interval, error, freedom)
