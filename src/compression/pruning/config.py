"""What all pruning methods can be told."""

from dataclasses import dataclass, field

from src.choices import help_, one_of
from src.compression.targets import MODULES, MODULES_HELP
from src.errors import InputError

PATTERNS = {"unstructured": (0, 0), "2:4": (2, 4), "4:8": (4, 8)}
"""Name -> n zeros among every m neighbours in a row; (0, 0) for zeros anywhere."""


@dataclass
class PruningConfig:
    """How many weights are set to zero, and where."""

    sparsity: float = field(default=0.5, metadata=help_("share of weights set to zero"))
    pattern: str = field(
        default="unstructured",
        metadata=help_("zeros anywhere, or n of every m neighbours in a row", PATTERNS),
    )
    modules: str = field(
        default="blocks",
        metadata=help_(
            f"{MODULES_HELP} (and the embeddings with it, where both are one weight)", MODULES
        ),
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A choice is unknown, or sparsity and pattern contradict each other.
        """
        one_of("compression.pattern", self.pattern, PATTERNS)
        one_of("compression.modules", self.modules, MODULES)
        if not 0 < self.sparsity < 1:
            raise InputError(
                f"compression.sparsity={self.sparsity} is not possible; it is a share of the "
                "weights, above 0 and below 1."
            )
        if self.m and self.sparsity != self.n / self.m:
            raise InputError(
                f"compression.sparsity={self.sparsity} is not possible with "
                f"compression.pattern={self.pattern}, whose sparsity is {self.n / self.m}."
            )

    @property
    def n(self) -> int:
        """Zeros in every group of `m`; 0 without groups."""
        return PATTERNS[self.pattern][0]

    @property
    def m(self) -> int:
        """Size of a group; 0 without groups."""
        return PATTERNS[self.pattern][1]
