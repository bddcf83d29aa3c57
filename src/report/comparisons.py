"""comparisons.json: each compressed cell of a sweep against its uncompressed twin."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from src.errors import InputError
from src.report.cells import collect, labels, twin
from src.report.curves import curves
from src.report.flips import read_flips
from src.statistics.compare import compare_directories
from src.statistics.config import StatisticsConfig
from src.statistics.family import adjust, described
from src.statistics.on_disk import settings_of
from src.statistics.refresh import made_with
from src.statistics.verdict import verdict
from src.tracking.atomic import replacing
from src.tracking.config import WandbConfig
from src.tracking.plain import plain
from src.tracking.read import STATUS, Cell
from src.tracking.tracker import build_tracker

FILE = "comparisons.json"


@dataclass(frozen=True, slots=True)
class Sweep:
    """The comparisons of a sweep.

    Attributes:
        rows: As in the file.
        family: Which tests p is adjusted for, in words.
        settings: They were made with; None where there are none.
        problems: Why pairs of cells were not compared, or the file not written.
        changed: Whether the file was not there, or had others.
        name: Of the sweep.
        tracker: Settings of its cells' tracker.
    """

    rows: list[dict[str, Any]]
    family: str
    settings: StatisticsConfig | None
    problems: list[str]
    changed: bool
    name: str
    tracker: Mapping[str, Any]


def track(sweep: Sweep, directory: Path) -> None:
    """Log comparisons, curves and flips to the tracker that their cells used, as a run of its own.

    Args:
        sweep: The comparisons.
        directory: Of the sweep; the tracker's files go below it, beside those of the cells.
    """
    along = curves(collect(directory))
    if sweep.tracker.get("kind") != "wandb" or not (sweep.rows or along):
        return
    # A cell of another version may have settings that are none any more.
    known = {field.name for field in fields(WandbConfig)}
    settings = {name: value for name, value in sweep.tracker.items() if name in known}
    tracker = build_tracker(WandbConfig(**settings))
    folder = directory / "comparisons"
    folder.mkdir(exist_ok=True)
    about = {"family": sweep.family, "statistics": asdict(sweep.settings or StatisticsConfig())}
    name, tags = f"{sweep.name}-comparisons", ["comparisons"]
    tracker.start(about, name, sweep.name, tags, folder, job="comparisons", again=True)
    tracker.log_comparisons(sweep.rows)
    tracker.log_curves(along)
    if len(flips := read_flips(directory)):
        tracker.log_flips(flips)
    tracker.finish("done")


def is_tracked(directory: Path, cells: Sequence[Cell]) -> bool:
    """Whether the sweep's own run was made after the last of its cells ended."""
    made = [path.stat().st_mtime for path in directory.glob("comparisons/wandb/*run-*/*.wandb")]
    done = [cell.directory / STATUS for cell in cells if cell.state == "done"]
    return bool(made) and all(path.stat().st_mtime <= max(made) for path in done)


def compare_sweep(directory: Path, cells: Sequence[Cell]) -> Sweep:
    """Compare twins and bring comparisons.json up to date; pairs that did not change are kept.

    Args:
        directory: Of the sweep.
        cells: Its cells.
    """
    names = [label.text for label in labels(cells)]
    old = _read(directory / FILE)
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    settings: StatisticsConfig | None = None
    about_cell = next((cell.config for cell in cells if cell.state == "done"), {})
    for cell, name in zip(cells, names, strict=True):
        other = twin(cell, cells)
        if other is None or cell.state != "done":
            continue
        settings = settings_of(cell)
        about = {
            "pair": f"{names[list(cells).index(other)]} -> {name}",
            "cell_a": _path(other, directory),
            "cell_b": _path(cell, directory),
            "made_from": _digest(other, cell, settings),
        }
        kept = [row for row in old if about.items() <= row.items()]
        try:
            rows += kept or [about | row for row in compare_directories(other, cell, settings)]
        except InputError as error:
            problems.append(f"not compared: {about['pair']}: {error}")
    adjust(rows)
    for row in rows:
        mark, sentence = verdict(row, settings.alpha if settings else 0.05)
        row |= {"verdict": mark, "conclusion": sentence}
    family = described(rows)
    changed = bool(rows) and rows != old
    if not rows:
        # What an earlier run left there is of cells that are no longer done, or no pair.
        (directory / FILE).unlink(missing_ok=True)
    elif changed:
        problems += _write(directory / FILE, rows, family, settings)
    name, tracker = about_cell.get("sweep") or directory.name, about_cell.get("tracker") or {}
    return Sweep(rows, family, settings, problems, changed, str(name), tracker)


def _digest(first: Cell, second: Cell, settings: StatisticsConfig) -> str:
    """Hash what a comparison is made from, so that it is made once."""
    parts = [
        made_with(settings),
        *([cell.status.get("fingerprint"), cell.status.get("ended")] for cell in (first, second)),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _path(cell: Cell, directory: Path) -> str:
    return cell.directory.relative_to(directory).as_posix()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["comparisons"]
        return [dict(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(
    path: Path, rows: list[dict[str, Any]], family: str, settings: StatisticsConfig | None
) -> list[str]:
    content: Mapping[str, Any] = {
        "settings": asdict(settings) if settings else None,
        "family": family,
        "comparisons": rows,
    }
    try:
        with replacing(path) as handle:
            # An undefined number (few items, ties only) is null: JSON has no NaN.
            text = json.dumps(plain(content), indent=2, allow_nan=False)
            handle.write(f"{text}\n".encode())
    except InputError as error:
        return [str(error)]
    return []
