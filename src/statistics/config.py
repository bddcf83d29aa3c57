"""Settings of the `statistics` group; a change here never runs a model again."""

from dataclasses import dataclass, field

from src.choices import at_least, help_
from src.errors import InputError


@dataclass
class StatisticsConfig:
    """How intervals and tests are made from the scores of the items."""

    level: float = field(default=0.95, metadata=help_("confidence level of the intervals"))
    resamples: int = field(
        default=10_000, metadata=help_("bootstrap resamples and random permutations")
    )
    seed: int = field(default=0, metadata=help_("of the resamples and permutations"))
    alpha: float = field(
        default=0.05, metadata=help_("a test with an adjusted p below it finds a difference")
    )
    power: float = field(
        default=0.8, metadata=help_("chance with which the minimum detectable effect is found")
    )
    margin: float = field(
        default=3.0,
        metadata=help_("percentage points; two cells closer than this are equivalent"),
    )
    margin_sd: float = field(
        default=0.1, metadata=help_("the same for effect sizes, in standard deviations")
    )

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: A number is out of range.
        """
        # From alpha = 1/2 on, two one-sided tests have no interval (its level is 1 - 2 alpha).
        for key, most in (("level", 1), ("alpha", 0.5), ("power", 1)):
            value = getattr(self, key)
            if not 0 < value < most:
                raise InputError(f"statistics.{key}={value} is not possible; 0 < {key} < {most}.")
        for key in ("margin", "margin_sd"):
            value = getattr(self, key)
            if not value > 0:
                raise InputError(f"statistics.{key}={value} is not possible; it must be above 0.")
        at_least("statistics.resamples", self.resamples, 100)
        at_least("statistics.seed", self.seed, 0)

    def margin_of(self, unit: str) -> float:
        """Give the margin for values in "%" or in "sd"."""
        return self.margin if unit == "%" else self.margin_sd
