"""Which side of its boundary each item is on, and two cells' items beside each other."""

from typing import NamedTuple

import pandas as pd

from src.errors import InputError

TO_STEREO, TO_ANTI = "to_stereo", "to_anti"
KEYS = ["benchmark", "scorer", "item_id"]


class Sides(NamedTuple):
    """How a benchmark's rows say which side an item is on.

    Attributes:
        stereo: Its decision that counts for the stereotype; "" where the margin's sign decides.
        higher: Column of the score that is the higher one on the stereotype's side.
        lower: Column that is subtracted from it; "" for none.
    """

    stereo: str
    higher: str
    lower: str


SIDES = (
    Sides("more", "score_more", "score_less"),
    Sides("stereotype", "score_stereotype", "score_anti_stereotype"),
    Sides("", "effect_size", ""),
)
"""CrowS-Pairs, StereoSet, SEAT (whose item is a test, and its side the sign of the effect)."""


def matched(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Put the items that both cells decided side by side.

    Args:
        before: Item table of a cell (items.parquet).
        after: Of the other.

    Returns:
        A row an item: benchmark, scorer, item_id, category, cluster, `side_before` and
        `side_after` (True for the stereotype's), `margin_before` and `margin_after` (above 0 on
        the stereotype's side; in the scorer's unit, SEAT: sd), and `direction`: "to_stereo",
        "to_anti" or "" for an item that stayed. A tie is on the other side, as the scores count.

    Raises:
        InputError: They have no decided item in common.
    """
    columns = [*KEYS, "category", "cluster", "side", "margin"]
    one, other = (sided(table)[columns] for table in (before, after))
    both = one.merge(
        other.drop(columns=["category", "cluster"]), on=KEYS, suffixes=("_before", "_after")
    )
    if both.empty:
        raise InputError(
            "the two cells decided no item in common: they were asked other benchmarks, by other "
            "scorers, or every item was skipped in one of them."
        )
    moved = both["side_after"].astype(int) - both["side_before"].astype(int)
    return both.assign(direction=moved.map({1: TO_STEREO, -1: TO_ANTI, 0: ""}))


def sided(table: pd.DataFrame) -> pd.DataFrame:
    """Give the decided rows of an item table with the columns `side` and `margin` of `matched`.

    Raises:
        InputError: The table has no decisions.
    """
    parts = []
    for sides in SIDES:
        if sides.higher not in table or (sides.stereo and "decision" not in table):
            continue
        rows = table[table[sides.higher].notna() & (table["decision"] != "skipped")]
        margin = rows[sides.higher] - (rows[sides.lower] if sides.lower else 0.0)
        side = rows["decision"] == sides.stereo if sides.stereo else margin > 0
        parts.append(rows.assign(margin=margin, side=side))
    if not parts:
        raise InputError("the item table has no decisions: it is no items.parquet of a cell.")
    return pd.concat(parts, ignore_index=True)
