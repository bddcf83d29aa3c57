"""The items that two cells have in common, so that they are compared on the same ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from src.benchmarks.base import Benchmark
from src.statistics.cell import cell_estimands
from src.statistics.config import StatisticsConfig
from src.statistics.estimand import Estimand
from src.statistics.paired import Comparison, compare

SAME = ("category", "cluster", "direction", "words_x", "words_y", "templates_x", "templates_y")
"""Columns in which the same item is equal in both cells; where not, it is another item."""


def common_items(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the items that both cells scored, in the order of the first.

    Args:
        first: A cell's item table.
        second: Another's.

    Returns:
        Both tables with the same items (benchmark and item id, and nothing about the item itself
        different), none skipped in either.
    """
    # Of two scorers that no cell shares, the same item's answers are compared with each other.
    shared = set(first["scorer"]) & set(second["scorer"])
    key = ["benchmark", "scorer", "item_id"] if shared else ["benchmark", "item_id"]
    tables = [_keyed(table, key) for table in (first, second)]
    both = tables[0].index[tables[0].index.isin(tables[1].index)]
    one, two = (table.loc[both] for table in tables)
    equal = pd.Series(True, index=both)
    for column in SAME:
        if column in one and column in two:
            equal &= one[column].map(_plain) == two[column].map(_plain)
    return one[equal].reset_index(drop=True), two[equal].reset_index(drop=True)


def left_out(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    """Say of which benchmarks two cells are compared on fewer items than either one scored.

    Args:
        first: A cell's item table.
        second: Another's.

    Returns:
        A sentence a benchmark that both have; nothing where all items are in both.
    """
    said = []
    for name in dict.fromkeys(first["benchmark"]):
        tables = [table[table["benchmark"] == name] for table in (first, second)]
        scored = [int((table["decision"] != "skipped").sum()) for table in tables]
        common = len(common_items(*tables)[0])
        if all(scored) and common < max(scored):
            said.append(
                f"{name}: compared on the {common} items that both cells scored, of "
                f"{scored[0]} in the first and {scored[1]} in the second"
            )
    return said


def compare_cells(
    first: pd.DataFrame,
    second: pd.DataFrame,
    benchmarks: Mapping[str, Benchmark],
    settings: StatisticsConfig,
) -> list[Comparison]:
    """Compare every metric of two cells on the items that both scored.

    Args:
        first: Item table of cell A; of twins the uncompressed one.
        second: Item table of cell B.
        benchmarks: Those to compare, by name.
        settings: Level, margins, resamples and seed.

    Raises:
        InputError: A table lacks a column, as an older version wrote it.
    """
    return compare(matched_estimands(first, second, benchmarks), settings)


def matched_estimands(
    first: pd.DataFrame, second: pd.DataFrame, benchmarks: Mapping[str, Benchmark]
) -> list[tuple[Estimand, Estimand]]:
    """Give each metric that both cells have, as functions of the items that both scored.

    Args:
        first: Item table of cell A.
        second: Item table of cell B.
        benchmarks: Those to compare, by name.

    Raises:
        InputError: A table lacks a column, as an older version wrote it.
    """
    one, two = (cell_estimands(benchmarks, table) for table in common_items(first, second))
    return _matched(one, two)


def _matched(one: Sequence[Estimand], two: Sequence[Estimand]) -> list[tuple[Estimand, Estimand]]:
    """Match estimands by name: by their scorer too where they share one."""
    shared = {e.scorer for e in one} & {e.scorer for e in two}

    def name(e: Estimand) -> tuple[str, ...]:
        return (e.benchmark, e.scorer if shared else "", e.category, e.metric)

    found = {name(e): e for e in two}
    return [(e, found[name(e)]) for e in one if name(e) in found]


def _keyed(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    scored = table[table["decision"] != "skipped"]
    return scored.set_index(key, drop=False)


def _plain(value: object) -> str:
    """Make lists, arrays and missing values comparable."""
    return str(list(value)) if isinstance(value, list | tuple | np.ndarray) else str(value)
