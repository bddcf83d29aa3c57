"""sensitivity.json: whether a sweep's conclusions hold on other items and by other scorers."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from src.errors import InputError
from src.report.cells import collect, labels, twin
from src.statistics.on_disk import benchmarks_of, settings_of
from src.statistics.sensitivity import ALL, sensitivity
from src.tracking.atomic import replacing
from src.tracking.plain import plain
from src.tracking.read import ITEMS, Cell, read_cell

FILE = "sensitivity.json"


def write_sensitivity(directory: Path) -> None:
    """Compare twins on every set of items and by every scorer, and write sensitivity.json.

    Args:
        directory: Of a sweep.

    Raises:
        InputError: It is no sweep with a compressed cell and its uncompressed twin, or items or
            settings are those of another version.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; give the folder of a sweep.")
    cells = collect(directory)
    names = [label.text for label in labels(cells)]
    found = []
    for cell, name in zip(cells, names, strict=True):
        other = twin(cell, cells)
        if other is None or cell.state != "done":
            continue
        before, after = (pd.read_parquet(one.directory / ITEMS) for one in (other, cell))
        rows = sensitivity(before, after, benchmarks_of(cell), settings_of(cell))
        found.append(
            {
                "pair": f"{names[cells.index(other)]} -> {name}",
                "cell_a": other.directory.relative_to(directory).as_posix(),
                "cell_b": cell.directory.relative_to(directory).as_posix(),
                "made_from": _made_from(other, cell),
                "conclusions": [asdict(row) for row in rows],
            }
        )
    if not found:
        raise InputError(
            f"{directory} holds no finished compressed cell with its uncompressed twin, so there "
            "is no conclusion to look at."
        )
    text = json.dumps(plain(found), indent=2, allow_nan=False)
    with replacing(directory / FILE) as handle:
        handle.write(f"{text}\n".encode())


def sensitivity_lines(directory: Path, everything: bool = False) -> Iterator[str]:
    """Say what is in sensitivity.json; pairs of cells that were run again since are left out.

    Args:
        directory: Of the sweep.
        everything: Also the table of each conclusion that does not hold everywhere; otherwise a
            line for each pair that has one.
    """
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for pair in found:
        cells = (read_cell(directory / pair[name]) for name in ("cell_a", "cell_b"))
        if pair["made_from"] != _made_from(*cells):
            continue
        rows = [row for row in pair["conclusions"] if row["holds"] is not None]
        asked = Counter(_key(row) for row in rows)
        failed = Counter(_key(row) for row in rows if not row["holds"])
        if failed or everything:
            yield (
                f"{pair['pair']}: {len(failed)} of {len(asked)} conclusions depend on the items "
                f"or the scorer ({FILE})"
            )
        for key in failed if everything else ():
            yield f"  {' '.join(key)}: holds in {asked[key] - failed[key]} of {asked[key]}"
            yield from (f"    {_line(row)}" for row in rows if _key(row) == key and _shown(row))


def _shown(row: Mapping[str, Any]) -> bool:
    return row["items"] == ALL or not row["holds"]


def _line(row: Mapping[str, Any]) -> str:
    low, high = row["ci_low"], row["ci_high"]
    ends = "no interval" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
    mark = "" if row["holds"] else " (another conclusion)"
    return (
        f"{row['scorer']}, {row['items']} (n={row['n']}): {row['difference']:+.2f} ({ends}): "
        f"{row['verdict']}{mark}"
    )


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["benchmark"], row["category"], row["metric"]


def _made_from(*cells: Cell) -> list[Any]:
    return [[cell.status.get("fingerprint"), cell.status.get("ended")] for cell in cells]
