"""The analyses along a sweep's axes: axes.json, and some lines below the sweep's table."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.errors import InputError
from src.statistics.axes import FILE, NOT_SEEN, analyse
from src.statistics.measured_cells import Measured
from src.statistics.on_disk import estimands_of, settings_of
from src.tracking.atomic import replacing
from src.tracking.plain import plain
from src.tracking.read import Cell

log = logging.getLogger(__name__)
MOST = 10
"""Trends that are shown; a large sweep has hundreds."""
FEWEST = 10
"""Cells from which on rank correlations are shown; of fewer the interval is nearly everything."""
PARTS = ("rank_correlations", "best", "trends")


def write_axes(directory: Path, cells: Sequence[Cell]) -> None:
    """Analyse a sweep along its axes and write axes.json; where it has none there is no file.

    Args:
        directory: Of the sweep.
        cells: All of its cells; those without items of this version are left out.

    Raises:
        InputError: The directory cannot be written to.
    """
    measured = []
    for cell in cells:
        if cell.state == "done":
            try:
                measured.append(Measured(cell, estimands_of(cell)))
            except InputError as error:
                log.warning("left out of %s: %s", FILE, str(error))
    found = analyse(measured, settings_of(measured[0].cell)) if measured else {}
    if not any(found.get(part) for part in PARTS):
        (directory / FILE).unlink(missing_ok=True)
        return
    text = json.dumps(plain(found), indent=2, allow_nan=False)
    with replacing(directory / FILE) as handle:
        handle.write(f"{text}\n".encode())


def read_axes(directory: Path) -> dict[str, Any]:
    """Read a sweep's axes.json; empty where there is none."""
    try:
        content = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in a few lines what is in axes.json; trends that were not seen are counted.

    Args:
        found: As `read_axes` gives it.
    """
    level = found.get("settings", {}).get("level", 0.95)
    for row in found.get("best", []):
        tied = _listed(row["tied"], row["cells"])
        yield (
            f"{row['series']} along {row['axis']}: best {row['key']} {row['best_value']:.2f} at "
            f"{row['best_at']:,.12g}; as good at level {level:g}: {tied}"
        )
    yield from _trend_lines(found.get("trends", []))
    yield from _rank_lines(found.get("rank_correlations", []))


def _trend_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seen = sorted((row for row in rows if row["verdict"] != NOT_SEEN), key=lambda r: r["p_holm"])
    for row in seen[:MOST]:
        unit = " points" if row["unit"] == "%" else ""
        yield (
            f"{row['series']} along {row['axis']}: {row['key']} {row['verdict']}: "
            f"{row['rise']:+.2f}{unit} from end to end ({_ends(row, '.2f')}), "
            f"Holm p {'< 0.001' if row['p_holm'] < 0.001 else format(row['p_holm'], '.3f')}"
        )
    if rows:
        shown = f", {MOST} of them shown" if len(seen) > MOST else ""
        yield f"a trend is seen in {len(seen)} of {len(rows)} tested{shown}; {FILE} has all"


def _rank_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    by_part = {(row["benchmark"], row["category"], row["cells"], row["part"]): row for row in rows}
    for row in rows:
        if row["part"] != "all" or row["tau"] is None or row["n_points"] < FEWEST:
            continue
        about = (row["benchmark"], row["category"], row["cells"])
        text = (
            f"ranks of LM score and SS, {row['benchmark']} {row['category']}, {row['n_points']} "
            f"cells ({row['cells']}): Kendall's tau-c {row['tau']:.2f} ({_ends(row, '.2f')})"
        )
        parts = [by_part.get((*about, part)) for part in ("within", "between")]
        if all(parts):
            within, between = (f"{part['tau']:.2f}" for part in parts if part)
            text += f", of it within one size {within}, between sizes {between}"
        yield text


def _ends(row: Mapping[str, Any], form: str) -> str:
    low, high = row["ci_low"], row["ci_high"]
    if low is None or high is None:
        return "no interval"
    return f"{low:{form}} to {high:{form}}"


def _listed(tied: Sequence[float], cells: Sequence[Mapping[str, Any]]) -> str:
    if len(tied) == len(cells):
        return f"all {len(cells)}"
    return f"{len(tied)} of {len(cells)}: " + ", ".join(f"{at:,.12g}" for at in tied)
