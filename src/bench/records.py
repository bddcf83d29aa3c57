"""What a run of the bench leaves: records on disk, a table and a verdict on the terminal."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from src.tracking.atomic import replacing


@dataclass(frozen=True, slots=True)
class Record:
    """One ratio.

    Attributes:
        workload: What was done ("crows_pairs", "overall", "seat_permutations", ...).
        loop_seconds: What it took one item at a time.
        engine_seconds: What it took here.
        objective: "masked" or "causal"; empty where no model takes part.
        precision: "fp32" or "ptq"; empty likewise.
        wanted: The ratio to reach; None where none is set.
        agrees: Whether both sides gave the same numbers.
        details: Whatever else was measured.
    """

    workload: str
    loop_seconds: float
    engine_seconds: float
    objective: str = ""
    precision: str = ""
    wanted: float | None = None
    agrees: bool = True
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Workload, objective and precision: no two records have the same."""
        return "/".join(part for part in (self.workload, self.objective, self.precision) if part)

    @property
    def ratio(self) -> float:
        """How many times as fast the engine is."""
        return self.loop_seconds / self.engine_seconds

    @property
    def bound(self) -> float | None:
        """The ratio if the engine's products ran at the machine's peak and nothing else took time.

        None where they were not counted.
        """
        flops, peak = (
            self.details.get(key, 0.0) for key in ("useful_flops", "peak_flops_per_second")
        )
        return self.loop_seconds * peak / flops if flops and peak else None

    @property
    def ok(self) -> bool:
        """Whether the numbers agree and the ratio is what is wanted."""
        return self.agrees and (self.wanted is None or self.ratio >= self.wanted)

    def plain(self) -> dict[str, Any]:
        """Give what is written to bench.json."""
        measured = {
            "workload": self.workload,
            "objective": self.objective,
            "precision": self.precision,
            "loop_seconds": self.loop_seconds,
            "engine_seconds": self.engine_seconds,
            "agrees": self.agrees,
            **self.details,
        }
        return {
            "name": self.name,
            "ratio": self.ratio,
            "wanted": self.wanted,
            "bound": self.bound,
            "ok": self.ok,
            "measured": measured,
        }


def overall(parts: Sequence[Record], wanted: float | None) -> Record:
    """Add up the records of one objective and precision."""
    keys = ("loop_cpu_seconds", "engine_cpu_seconds", "useful_flops")
    sums = {key: sum(part.details.get(key, 0.0) for part in parts) for key in keys}
    peak = sums["useful_flops"] / _seconds_at_peak(parts)
    return Record(
        "overall",
        sum(part.loop_seconds for part in parts),
        sum(part.engine_seconds for part in parts),
        parts[0].objective,
        parts[0].precision,
        wanted,
        all(part.agrees for part in parts),
        {"of": [part.name for part in parts], **sums, "peak_flops_per_second": peak},
    )


def of_peak(parts: Sequence[Record], wanted: float | None) -> Record:
    """Compare the engine's time with what its plans' matrix products need at the machine's peak.

    Returns:
        A record whose `loop_seconds` are those at the peak, so that its ratio is a share of it.
    """
    keys = ("useful_flops", "model_seconds")
    return Record(
        "share_of_peak",
        _seconds_at_peak(parts),
        sum(part.details["model_seconds"] for part in parts),
        parts[0].objective,
        parts[0].precision,
        wanted,
        details={key: sum(part.details[key] for part in parts) for key in keys}
        | {"of": [part.name for part in parts]},
    )


def _seconds_at_peak(parts: Sequence[Record]) -> float:
    each = (p.details["useful_flops"] / p.details["peak_flops_per_second"] for p in parts)
    return float(sum(each))


def write_json(path: Path, content: Any) -> None:
    """Write plain data, whole or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    # A difference that is not a number stays readable by strict readers of JSON.
    text = json.dumps(_strict(content), indent=1, allow_nan=False) + "\n"
    with replacing(path) as file:
        file.write(text.encode())


def print_table(records: Sequence[Record], console: Console) -> None:
    """Print one row a record."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("workload", "objective", "precision"):
        table.add_column(column)
    for column in ("loop s", "engine s", "ratio", "wanted", "at peak", "difference", "ok"):
        table.add_column(column, justify="right", no_wrap=True)
    for record in records:
        difference = record.details.get("largest_difference")
        table.add_row(
            record.workload,
            record.objective,
            record.precision,
            f"{record.loop_seconds:.2f}",
            f"{record.engine_seconds:.2f}",
            _times(record.ratio),
            _times(record.wanted),
            _times(record.bound),
            "" if difference is None else f"{difference:.0e}",
            ("yes" if record.ok else "slow") if record.agrees else "WRONG",
            end_section=record.workload == "overall",
        )
    console.print(table)


def verdict(records: Sequence[Record]) -> str:
    """Say in one line how it went."""
    if wrong := [record.name for record in records if not record.agrees]:
        return f"WRONG: the engine and the loop disagree on {', '.join(wrong)}"
    held = [record for record in records if record.wanted is not None]
    short = [f"{r.name} {_times(r.ratio)} of {_times(r.wanted)}" for r in held if not r.ok]
    if short:
        return f"all numbers agree; below what is wanted: {', '.join(short)}"
    if not held:
        return "all numbers agree; nothing is wanted of this shape and sample"
    reached = ", ".join(f"{record.name} {_times(record.ratio)}" for record in held)
    return f"all numbers agree; all that is wanted is reached: {reached}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}x" if ratio >= 1.5 else f"{ratio:.2f}x"


def _strict(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _strict(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_strict(value) for value in content]
    if isinstance(content, float) and not abs(content) < float("inf"):
        return None
    return content
