"""Settings of the `scorer` group."""

from dataclasses import dataclass, field

from src.choices import at_least, help_, one_of
from src.errors import InputError

TOO_LONG = ("error", "skip")


@dataclass
class ScorerConfig:
    """The rule that turns items into requests, and answers into scores."""

    name: str = field(default="???", metadata=help_("name of the rule"))
    also: list[str] = field(
        default_factory=list,
        metadata=help_("more rules to score the same items by, in the same passes where they can"),
    )
    too_long: str = field(
        default="error",
        metadata=help_(
            "an item with a text that is longer than the model takes ends the cell (error), or is "
            "left out and counted (skip)",
            TOO_LONG,
        ),
    )
    start_token: str = field(
        default="auto",
        metadata=help_(
            "what a causal model is given before the first token: auto (its beginning-of-sequence "
            "token), none (the first token's probability is left out), or a token"
        ),
    )

    def __post_init__(self) -> None:
        """Check that every rule is named once, and the choice.

        Raises:
            InputError: A rule is named twice, or a value is not among its choices.
        """
        one_of("scorer.too_long", self.too_long, TOO_LONG)
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise InputError(f"scorer.also={self.also} names {', '.join(twice)} a second time.")

    @property
    def skip_long(self) -> bool:
        """Whether items with too long a text are left out."""
        return self.too_long == "skip"

    @property
    def names(self) -> list[str]:
        """All rules, the cell's own first."""
        return [self.name, *self.also]


@dataclass
class DriftConfig:
    """How a compressed model's predictions are compared with those it made before."""

    requests: int = field(
        default=256,
        metadata=help_("predictions compared, drawn from what the benchmarks ask; 0 for none"),
    )
    seed: int = field(default=0, metadata=help_("of the draw"))
    layers: bool = field(
        default=False, metadata=help_("also compare what each block of the model puts out")
    )

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: One is negative.
        """
        at_least("drift.requests", self.requests, 0)
        at_least("drift.seed", self.seed, 0)
