"""A function of the values of several cells, resampled over the units that they share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.statistics.cell import interval_of
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Float, Integer, Model
from src.statistics.intervals import Interval
from src.statistics.resample import bootstrap, jackknife, standard_error


@dataclass(frozen=True, eq=False)
class Across:
    """A model made of models over the same units: the same weights go to all of them.

    Attributes:
        models: K of them.
        combine: From their values, shape (B, K), to its own, shape (B,).
    """

    models: tuple[Model, ...]
    combine: Callable[[Float], Float]

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units."""
        return self.models[0].units

    @property
    def strata(self) -> Integer:
        """Strata of the units."""
        return self.models[0].strata

    @property
    def swappable(self) -> npt.NDArray[np.bool_]:
        """Nothing is exchanged between more than two cells."""
        return np.zeros(len(self.units), dtype=np.bool_)

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        return self.combine(np.stack([model.evaluate(weights) for model in self.models], axis=1))

    def mixed(self, other: Model, swap: Float) -> Float:
        """Refuse: see `swappable`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Estimated:
    """A value over shared units with what its resampling says.

    Attributes:
        value: The estimate.
        interval: Its confidence interval, or why there is none.
        error: Jackknife standard error.
        freedom: Degrees of freedom of the error.
    """

    value: float
    interval: Interval
    error: float
    freedom: float


def estimate(model: Model, settings: StatisticsConfig) -> Estimated:
    """Estimate a model that is no cell's own metric, with the settings' level and resamples."""
    value = float(model.evaluate(np.ones((1, len(model.units))))[0])
    left_out = jackknife([model])[0]
    resampled = bootstrap([model], settings.resamples, settings.seed)[0]
    interval = interval_of(value, resampled, left_out, model.strata, settings.level)
    return Estimated(value, interval, *standard_error(left_out, model.strata))
