"""One number of a table: ours with its interval, the printed one, and whether they agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.data.sources import SOURCES
from src.report.paper.cells import PaperCell
from src.report.paper.config import PaperConfig
from src.report.paper.published import Published
from src.tracking.fingerprint import flatten

AGREES, WITHIN, DIFFERS = "agrees", "differs within the interval", "differs"
STAND_IN, OTHER, NOT_PRINTED = "stand-in", "other settings", "not in the paper"
ANOTHER_QUANTITY = "another quantity"
MISSING, UNDEFINED, PRINTED_ONLY = "missing", "undefined", "published only"
SIGNS = {AGREES: "=", WITHIN: "≈", DIFFERS: "≠"}
"""What a table shows for a mark; the others are written out."""
PAPERS_SETTINGS: Mapping[str, Any] = {
    "debug.limit": None,
    "scorer.name": "bias_bench",
    "model.dtype": "float32",
    "benchmark.stereoset.split": "test",
}
"""With other settings than these a number is none of the paper's; one not there is as theirs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A number of a table.

    Attributes:
        value: Ours; None where it is missing or undefined.
        low: Lower end of its interval; None where there is none.
        high: Upper end.
        significant: Whether ours is starred (p < 0.01); None in a table without stars.
        change: Ours against the base model's, as the paper's arrows have it.
        printed: The paper's.
        printed_change: The same as `change`, from the paper's numbers.
        decimals: As the paper prints it.
        mark: Whether ours and the paper's agree, or why that is not said.
    """

    value: float | None
    low: float | None
    high: float | None
    significant: bool | None
    change: float | None
    printed: Published | None
    printed_change: float | None
    decimals: int
    mark: str

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's; None where they are not to be compared."""
        if self.value is None or self.printed is None or self.mark not in SIGNS:
            return None
        return self.value - self.printed.value


def mark(record: Mapping[str, Any] | None, printed: Published | None, reason: str = "") -> str:
    """Say whether a number of ours agrees with the printed one.

    Args:
        record: Of metrics.json; None where it is missing.
        printed: The paper's; None where it has none.
        reason: Why the two are not to be compared (`STAND_IN`, `OTHER`); empty where they are.

    Returns:
        `AGREES` where ours rounds to the printed number, `WITHIN` where that lies in our interval,
        `DIFFERS` where it does not, or there is no interval.
    """
    if record is None:
        return MISSING
    if record["value"] is None:
        return UNDEFINED
    if reason:
        return reason
    if printed is None:
        return NOT_PRINTED
    # Half a unit of the last place, whichever way the half is rounded; and the noise of doubles.
    if abs(record["value"] - printed.value) <= 0.5 * 10**-printed.decimals + 1e-9:
        return AGREES
    low, high = record.get("ci_low"), record.get("ci_high")
    inside = low is not None and high is not None and low <= printed.value <= high
    return WITHIN if inside else DIFFERS


def not_comparable(paper: PaperConfig, cell: PaperCell, benchmark: str) -> str:
    """Say why a cell's numbers are not to be held against the paper's; empty where they are.

    Args:
        paper: Whether its models are the paper's.
        cell: Whose numbers.
        benchmark: Of the numbers; its files have to be the published ones.
    """
    if paper.stand_in:
        return STAND_IN
    for layout, file in (cell.cell.environment.get("data") or {}).items():
        source = SOURCES.get(layout)
        theirs = source is None or source.git_blob == file.get("git_blob")
        if layout.startswith(f"{benchmark}/") and not theirs:
            return OTHER
    settings = flatten(cell.cell.config)
    same = all(settings.get(key, value) == value for key, value in PAPERS_SETTINGS.items())
    return "" if same else OTHER


def distance_change(value: float | None, base: float | None, ideal: float | None) -> float | None:
    """Give the change that the paper's arrows show: of the distance from an ideal, if there is one.

    Args:
        value: Of a model.
        base: Of the base model of its family.
        ideal: 50 for stereotype scores; None for LM scores and effect sizes, whose change is plain.
    """
    if value is None or base is None:
        return None
    return value - base if ideal is None else abs(value - ideal) - abs(base - ideal)
