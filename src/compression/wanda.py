"""`compression=wanda` (Sun et al., 2024): weights go whose product with their input is small.

A weight's score is |w| times the norm of its input over the calibration text, and weights compete
with those of the same output: no weight is updated, and no gradient is needed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import help_
from src.compression.calibration import CalibrationConfig
from src.compression.pruning.config import PruningConfig
from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    from src.compression.calibration import Calibration
    from src.models.subject import Subject


@dataclass
class WandaConfig(PruningConfig):
    """Settings of Wanda."""

    kind: str = "wanda"
    name: str = "wanda"
    calibration: CalibrationConfig = field(
        default_factory=CalibrationConfig, metadata=help_("text whose inputs are measured")
    )


@compression("wanda", WandaConfig, calibrated=True)
def wanda(subject: "Subject", settings: WandaConfig, calibration: "Calibration") -> Outcome:
    """Set the weights of smallest |w| * ||x|| to zero, block after block."""
    from src.compression.linears import linear_weight, set_weight
    from src.compression.pruning.inputs import by_block, squares
    from src.compression.pruning.layers import find_layers, kept_ties
    from src.compression.pruning.masks import smallest_in_rows, smallest_of_every

    layers, skipped = find_layers(subject, settings)
    changes = []
    batches = list(calibration.batches(subject))
    for block, sums in by_block(subject.model, layers, batches, squares):
        for name, module in block.items():
            weight = linear_weight(module)
            scores = weight.float().abs() * sums[name].sqrt()
            if settings.m:
                gone = smallest_of_every(scores, settings.n, settings.m)
            else:
                gone = smallest_in_rows(scores, settings.sparsity)
            changes.append(set_weight(name, module, weight.masked_fill(gone, 0)))
    return Outcome(tuple(changes), skipped, {"kept_tied": kept_ties(subject, layers)})
