"""Compare any two cells: `python -m src.statistics.compare CELL_A CELL_B`."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from src.errors import InputError
from src.piped import piped
from src.statistics.breakage import add_joint_changes
from src.statistics.comparable import check_comparable
from src.statistics.config import StatisticsConfig
from src.statistics.family import adjust
from src.statistics.on_disk import benchmarks_of, settings_of
from src.statistics.paired import compare
from src.statistics.pairing import left_out, matched_estimands
from src.statistics.verdict import verdict
from src.tracking.keys import HEADLINES
from src.tracking.plain import plain
from src.tracking.read import ITEMS, Cell, read_cell


def compare_directories(
    first: Cell, second: Cell, settings: StatisticsConfig
) -> list[dict[str, Any]]:
    """Compare every metric of two finished cells, by their own scorers, on items both scored.

    Args:
        first: Cell A; of twins the uncompressed one.
        second: Cell B.
        settings: Level, margins, resamples and seed.

    Returns:
        Comparisons as mappings of plain data; undefined numbers are None. Not yet adjusted for
        how many there are.

    Raises:
        InputError: A cell is not finished, its items cannot be read or lack a column, or the two
            have no benchmark in common.
    """
    check_comparable(first, second)
    before, after = _items(first), _items(second)
    benchmarks = benchmarks_of(second)
    shared = set(before["benchmark"]) & set(after["benchmark"]) & set(benchmarks)
    if not shared:
        raise InputError(
            f"{first.directory} and {second.directory} have no benchmark in common, so there is "
            "nothing to compare."
        )
    chosen = {name: built for name, built in benchmarks.items() if name in shared}
    pairs = matched_estimands(before, after, chosen)
    rows: list[dict[str, Any]] = [plain(asdict(row)) for row in compare(pairs, settings)]
    add_joint_changes(rows, pairs, settings)
    return [plain(row) for row in rows]  # a joint change of one cluster has an undefined spread


def items_left_out(first: Cell, second: Cell) -> list[str]:
    """Say in a sentence a benchmark where two cells did not score the same items."""
    return left_out(_items(first), _items(second))


def _items(cell: Cell) -> pd.DataFrame:
    try:
        table = pd.read_parquet(cell.directory / ITEMS)
    except (OSError, ValueError) as error:
        raise InputError(f"{cell.directory / ITEMS} cannot be read: {error}.") from error
    if absent := sorted({"benchmark", "scorer", "item_id", "decision"} - set(table)):
        raise InputError(f"{cell.directory / ITEMS} lacks the columns {', '.join(absent)}.")
    scorer = cell.config.get("scorer")
    own = scorer.get("name") if isinstance(scorer, dict) else None
    # Those of `scorer.also` ask the same items once more.
    return table if own is None else table[table["scorer"] == own].reset_index(drop=True)


def report(rows: Sequence[dict[str, Any]], settings: StatisticsConfig, everything: bool) -> str:
    """Say in a line a comparison what may be concluded."""
    shown = [row for row in rows if everything or row["metric"] in HEADLINES]
    lines = []
    for row in shown:
        form = ".2f" if row["unit"] == "%" else ".3f"
        before, after = (_number(row[f"value_{cell}"], form) for cell in "ab")
        where = f"{row['benchmark']} {row['category']} {row['metric']}"
        said = verdict(row, settings.alpha).sentence
        lines.append(f"{where} (n={row['n']}): {before} -> {after}: {said}")
    if shown:
        sizes = {row["family_size"] for row in shown if row["family"] == "headline"}
        lines.append(
            f"({settings.level:.0%} intervals; differences at p < {settings.alpha:g} after "
            f"Holm's correction for {', '.join(map(str, sizes))} headline tests)"
        )
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "undefined" if value is None or math.isnan(value) else format(value, form)


def main(argv: Sequence[str] | None = None) -> None:
    """Print what may be concluded from two cells."""
    parser = argparse.ArgumentParser(
        prog="python -m src.statistics.compare",
        description="Compare two finished cells on the items that both scored.",
    )
    parser.add_argument("first", type=Path, metavar="CELL_A", help="folder of a cell")
    parser.add_argument("second", type=Path, metavar="CELL_B", help="of the one that changed")
    parser.add_argument("--all", action="store_true", help="also metrics that no table shows")
    parser.add_argument("--json", type=Path, help="also write all comparisons to this file")
    parser.add_argument("--margin", type=float, help="points that make no difference")
    given = parser.parse_args(argv)
    try:
        before, after = read_cell(given.first), read_cell(given.second)
        settings = settings_of(after)
        if given.margin is not None:
            settings = StatisticsConfig(**asdict(settings) | {"margin": given.margin})
        rows = compare_directories(before, after, settings)
        adjust(rows)
        print(*items_left_out(before, after), report(rows, settings, given.all), sep="\n")
        if given.json is not None:
            given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
