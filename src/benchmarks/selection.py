"""What CrowS-Pairs and StereoSet share: choosing items, reading answers, walking categories."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from src.benchmarks.base import ItemScore, Skipped
from src.benchmarks.items import Item
from src.errors import InputError

OVERALL = "overall"
AnyItem = TypeVar("AnyItem", bound=Item)


def select(
    items: Sequence[AnyItem], categories: Sequence[str] | None, source: str
) -> list[AnyItem]:
    """Keep the items of some categories, in the file's order.

    Args:
        items: As read.
        categories: Which categories; None for all.
        source: The file, for the message.

    Raises:
        InputError: The file has no items, or none of a category that was asked for.
    """
    present = {item.category for item in items}
    if absent := sorted(set(categories or ()) - present):
        raise InputError(
            f"{source}: no items of category {', '.join(absent)}; "
            f"it has: {', '.join(sorted(present)) or 'no items at all'}."
        )
    if not items:
        raise InputError(f"{source}: there are no items in this file.")
    return [item for item in items if categories is None or item.category in categories]


class Answer(NamedTuple):
    """An item's scores in the order asked for, and why they cannot be compared ("" if they can)."""

    values: tuple[float, ...]
    skip_reason: str


def read_answer(score: ItemScore, columns: Sequence[str]) -> Answer:
    """Take the named scores out of a scorer's answer.

    A skipped item has NaN for every score. A NaN the model itself gave makes the item skipped
    too: every comparison with NaN is false, so it would otherwise count as a decision.
    """
    if isinstance(score, Skipped):
        return Answer((float("nan"),) * len(columns), score.reason)
    values = tuple(float(score[column]) for column in columns)
    nans = [column for column, value in zip(columns, values, strict=True) if np.isnan(value)]
    return Answer(values, f"the score of {', '.join(nans)} is NaN" if nans else "")


def with_flags(rows: Sequence[Mapping[str, object]], items: Sequence[Item]) -> pd.DataFrame:
    """Make the item table of its rows, with a column for each flag that an item has.

    A flag that the data do not tell is missing, which is not the same as False.
    """
    table = pd.DataFrame(rows)
    names = dict.fromkeys(name for item in items for name in item.flags)
    flags = {
        name: pd.array([item.flags.get(name) for item in items], dtype="boolean") for name in names
    }
    return table.assign(**flags)


def rounded(value: float, decimals: int | None) -> float:
    """Round as a scorer's rule asks before scores are compared; None leaves the value."""
    return value if decimals is None else round(value, decimals)


def by_category(
    table: pd.DataFrame, order: Sequence[str], whole: bool = True
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each category that has rows, in `order`, then all rows as "overall".

    Args:
        table: Items with a `category`.
        order: The categories there are.
        whole: Whether the table holds all categories; of a part there is no "overall".
    """
    for category in order:
        rows = table[table["category"] == category]
        if len(rows):
            yield category, rows
    if whole:
        yield OVERALL, table
