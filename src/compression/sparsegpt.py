"""`compression=sparsegpt` (Frantar and Alistarh, 2023): prune, and let the rest make up for it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import at_least, help_
from src.compression.calibration import CalibrationConfig
from src.compression.pruning.config import PruningConfig
from src.compression.registry import Outcome, compression
from src.errors import InputError

if TYPE_CHECKING:
    from src.compression.calibration import Calibration
    from src.models.subject import Subject


@dataclass
class SparseGptConfig(PruningConfig):
    """Settings of SparseGPT; the defaults are those of its authors."""

    kind: str = "sparsegpt"
    name: str = "sparsegpt"
    damping: float = field(
        default=0.01,
        metadata=help_(
            "added to the diagonal of the inputs' second moment, as a share of its mean"
        ),
    )
    block: int = field(
        default=128, metadata=help_("columns whose removals are chosen together; a multiple of 8")
    )
    calibration: CalibrationConfig = field(
        default_factory=CalibrationConfig, metadata=help_("text whose inputs are measured")
    )

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: As for all pruning, or damping or block are out of range.
        """
        super().__post_init__()
        at_least("compression.damping", self.damping, 0)
        if self.block < 8 or self.block % 8:
            raise InputError(
                f"compression.block={self.block} is not possible; it must be a multiple of 8."
            )


@compression("sparsegpt", SparseGptConfig, calibrated=True)
def sparsegpt(subject: "Subject", settings: SparseGptConfig, calibration: "Calibration") -> Outcome:
    """Prune every layer by the Optimal Brain Surgeon's rule, block after block."""
    from src.compression.linears import linear_weight, set_weight
    from src.compression.pruning.inputs import by_block, products
    from src.compression.pruning.layers import find_layers, kept_ties
    from src.compression.pruning.obs import Pattern, prune_and_update

    layers, skipped = find_layers(subject, settings)
    pattern = Pattern(settings.sparsity, settings.n, settings.m)
    changes = []
    batches = list(calibration.batches(subject))
    for block, moments in by_block(subject.model, layers, batches, products):
        for name, module in block.items():
            weight = linear_weight(module)
            try:
                new = prune_and_update(
                    weight, moments[name], pattern, settings.damping, settings.block
                )
            except ArithmeticError as error:
                raise InputError(
                    f"the inputs of {name} on the calibration text depend on each other too much "
                    "to be made up for; raise compression.damping, or "
                    "compression.calibration.samples."
                ) from error
            changes.append(set_weight(name, module, new))
    return Outcome(tuple(changes), skipped, {"kept_tied": kept_ties(subject, layers)})
