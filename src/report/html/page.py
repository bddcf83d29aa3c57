"""The report's file: everything in it, so that it opens from disk without a network."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.errors import InputError
from src.report import axes
from src.report.agreement import agreement_lines
from src.report.cells import Label, collect, labels, twin
from src.report.comparisons import Sweep, compare_sweep
from src.report.endings import SAMPLE, doubts
from src.report.html import cell_table, summary
from src.report.html.blocks import pack
from src.report.html.details import details
from src.report.html.items import ItemSets, item_sets
from src.report.html.overview import overview
from src.report.html.reproduce import started_in, sweep_commands
from src.report.html.texts import TextSource
from src.report.main_table import Row
from src.report.sensitivity import sensitivity_lines
from src.tracking.atomic import replacing
from src.tracking.read import Cell

FILE = "report.html"
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("data", "dom", "tables", "plots", "forest", "scatter", "curves", "items", "cell", "main")
"""In the order in which they need each other."""


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written.

    Attributes:
        path: Of the file.
        bytes: Its size.
        problems: What is not in it, and why.
    """

    path: Path
    bytes: int
    problems: list[str]


def write_report(directory: Path, text: bool = True, data_root: Path | None = None) -> Written:
    """Write DIRECTORY/report.html, whole or not at all; comparisons.json is brought up to date.

    Args:
        directory: Of a sweep, or of one cell.
        text: With the texts of the items, hidden until they are asked for.
        data_root: Where the benchmarks' files are now, if they are no longer where they were read.

    Raises:
        InputError: There is no such directory, no cell in it, or it cannot be written to.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; give the folder of a sweep or of a cell.")
    cells = collect(directory)
    if not cells:
        raise InputError(
            f"{directory} holds no cells; give the folder of a sweep, as multirun/<sweep>."
        )
    sweep = compare_sweep(directory, cells)
    rows = [
        Row(cell, _known(label, cell), twin(cell, cells), {})
        for cell, label in zip(cells, labels(cells), strict=True)
    ]
    items = item_sets(cells, TextSource(data_root) if text else None)
    page = render(rows, sweep, items, directory).encode()
    with replacing(directory / FILE) as handle:
        handle.write(page)
    return Written(directory / FILE, len(page), [*sweep.problems, *items.problems])


def render(rows: Sequence[Row], sweep: Sweep, items: ItemSets, directory: Path) -> str:
    """Lay out the page; every text that is not ours is escaped or packed."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    template = environment.get_template("report.html.jinja")
    return template.render(
        script=Markup(script),
        style=Markup(style),
        script_hash=_hash(script),
        style_hash=_hash(style),
        blocks=_blocks(rows, sweep, items, directory),
        **_contents(rows, sweep, items, directory),
    )


def _known(label: Label, cell: Cell) -> Label:
    """Name a cell that ended before it had settings by its folder."""
    return label if cell.config else Label(cell.directory.name, "", "")


def _contents(
    rows: Sequence[Row], sweep: Sweep, items: ItemSets, directory: Path
) -> dict[str, Any]:
    cells = [row.cell for row in rows]
    heads = cell_table.heads(rows)
    return {
        "name": directory.resolve().name,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "models": len({row.label.model for row in rows if row.cell.config}),
        "heads": heads,
        "lines": cell_table.lines(rows, heads, sweep, directory),
        "answer": summary.answer(sweep),
        "tally": summary.tally(sweep),
        "tones": summary.TONES,
        "changes": summary.changes(sweep),
        "unchanged": summary.unchanged(sweep),
        "cautions": [*_doubts(rows), *summary.cautions(sweep), *sweep.problems],
        "along": [
            *axes.lines(axes.read_axes(directory)),
            *agreement_lines(directory),
            *sensitivity_lines(directory),
        ],
        "trial": _trial(rows),
        "family": sweep.family,
        "settings": sweep.settings,
        "sweep_commands": sweep_commands(cells),
        "folders": list(dict.fromkeys(filter(None, map(started_in, cells)))),
        "has_items": bool(items.sets),
        "has_texts": bool(items.texts),
        "item_problems": items.problems,
        "commits": _commits(rows),
        "unsupported": _unsupported(rows),
    }


def _blocks(rows: Sequence[Row], sweep: Sweep, items: ItemSets, directory: Path) -> dict[str, str]:
    content = overview(rows, sweep, directory) | {
        "sets": {
            key: {name: each[name] for name in ("benchmark", "scorer", "n")}
            for key, each in items.sets.items()
        },
        "answers": {str(cell): list(sets) for cell, sets in items.answers.items()},
        "texts": list(items.texts),
    }
    blocks = {"overview": pack(content)}
    blocks |= {f"cell-{index}": pack(details(row.cell)) for index, row in enumerate(rows)}
    blocks |= {f"items-{key}": pack(each) for key, each in items.sets.items()}
    blocks |= {f"texts-{key}": pack(each) for key, each in items.texts.items()}
    blocks |= {f"answers-{cell}": pack(each) for cell, each in items.answers.items()}
    return blocks


def _trial(rows: Sequence[Row]) -> list[str]:
    """Say why numbers are no measurement: a sample, or a part of the items."""
    told = []
    names = {str(record.get("benchmark")) for row in rows for record in row.cell.metrics}
    if samples := sorted(name for name in names if name.startswith(SAMPLE)):
        told.append(f"{', '.join(samples)}: a demonstration, not a measurement.")
    limits = {(row.cell.config.get("debug") or {}).get("limit") for row in rows} - {None}
    if limits:
        shown = ", ".join(sorted(map(str, limits)))
        told.append(f"debug.limit={shown}: a trial on part of the items, not a measurement.")
    return told


def _commits(rows: Sequence[Row]) -> list[tuple[str, bool]]:
    """Give the commits of the code that ran, each with whether there were further changes."""
    found: dict[str, bool] = {}
    for row in rows:
        git = row.cell.environment.get("git")
        if isinstance(git, dict) and git.get("commit"):
            commit = str(git["commit"])
            found[commit] = found.get(commit, False) or bool(git.get("dirty"))
    return list(found.items())


def _unsupported(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Name the benchmarks that finished cells could not be asked: cell, benchmark, reason."""
    return [
        (row.label.text, str(name), str(reason))
        for row in rows
        for part in ("unsupported", "also_unsupported")
        for name, reason in (row.cell.environment.get(part) or {}).items()
    ]


def _doubts(rows: Sequence[Row]) -> list[str]:
    return [f"{row.label.text}: {doubt}" for row in rows for doubt in doubts(row.cell)]


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
