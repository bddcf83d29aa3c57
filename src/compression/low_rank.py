"""`compression=low_rank`: linear layers by the singular vectors that carry most of them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import help_, one_of
from src.compression.registry import Outcome, compression
from src.compression.targets import MODULES, MODULES_HELP
from src.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject


@dataclass
class LowRankConfig:
    """How much of each layer is kept; give `rank` or `energy`."""

    kind: str = "low_rank"
    name: str = "low_rank"
    rank: float | None = field(
        default=0.25, metadata=help_("share of the singular values that are kept, above 0, below 1")
    )
    energy: float | None = field(
        default=None,
        metadata=help_("keep as few as have this share of the sum of their squares (rank=null)"),
    )
    modules: str = field(
        default="blocks",
        metadata=help_(f"{MODULES_HELP} (it is untied from the embeddings)", MODULES),
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: Both or none of rank and energy are given, or one is out of range.
        """
        one_of("compression.modules", self.modules, MODULES)
        if (self.rank is None) == (self.energy is None):
            raise InputError(
                "compression.rank and compression.energy exclude each other; give one of them, and "
                "null for the other."
            )
        for key in ("rank", "energy"):
            value = getattr(self, key)
            if value is not None and not 0 < value < 1:
                raise InputError(
                    f"compression.{key}={value} is not possible; it is a share between 0 and 1."
                )


@compression("low_rank", LowRankConfig)
def low_rank(subject: "Subject", settings: LowRankConfig) -> Outcome:
    """Truncate the singular value decomposition of linear layers.

    A layer whose two factors would be larger than itself keeps its shape, with a weight of the
    lower rank: it is stored as it was.
    """
    from src.compression.layers.low_rank import build as layer_of
    from src.compression.layers.low_rank import factors
    from src.compression.linears import replace_linears
    from src.compression.targets import linears_of

    ranks = []

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        first, second = factors(weight, settings.rank, settings.energy)
        ranks.append(first.shape[0])
        return layer_of(first, second, bias)

    linears, skipped = linears_of(subject, settings.modules)
    changes = replace_linears(subject, linears, build)
    return Outcome(changes, skipped, {"ranks": dict(zip(linears, ranks, strict=True))})
