"""`compression=prune`: magnitude pruning; the weights nearest to zero become zero."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import help_, one_of
from src.compression.pruning.config import PruningConfig
from src.compression.registry import Outcome, compression
from src.errors import InputError

if TYPE_CHECKING:
    import torch

    from src.models.subject import Subject

SCOPES = ("layer", "global")


@dataclass
class PruneConfig(PruningConfig):
    """Settings of magnitude pruning."""

    kind: str = "prune"
    name: str = "prune"
    scope: str = field(
        default="layer",
        metadata=help_("whether weights compete within their layer or over all layers", SCOPES),
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: As for all pruning, or a pattern is asked for over all layers.
        """
        super().__post_init__()
        one_of("compression.scope", self.scope, SCOPES)
        if self.m and self.scope == "global":
            raise InputError(
                f"compression.scope=global is not possible with compression.pattern={self.pattern},"
                " which leaves the same share of each layer."
            )


@compression("prune", PruneConfig)
def prune(subject: "Subject", settings: PruneConfig) -> Outcome:
    """Set the weights of smallest magnitude to zero."""
    from src.compression.linears import linear_weight, set_weight
    from src.compression.pruning.layers import find_layers, kept_ties
    from src.compression.pruning.masks import smallest, smallest_of_every

    layers, skipped = find_layers(subject, settings)
    sizes = (linear_weight(module).abs() for module in layers.values())  # one in memory at a time
    gone: Iterator[torch.Tensor]
    if settings.m:
        gone = (smallest_of_every(size, settings.n, settings.m) for size in sizes)
    elif settings.scope == "global":
        gone = iter(smallest(list(sizes), settings.sparsity))
    else:
        gone = (smallest([size], settings.sparsity)[0] for size in sizes)
    changes = [
        set_weight(name, module, linear_weight(module).masked_fill(mask, 0))
        for (name, module), mask in zip(layers.items(), gone, strict=True)
    ]
    return Outcome(tuple(changes), skipped, {"kept_tied": kept_ties(subject, layers)})
