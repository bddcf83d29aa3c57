"""Items for the drill-down: each set of items once, and every cell's answers to it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from src.errors import InputError
from src.report.html.blocks import codes, floats
from src.report.html.texts import Texts, TextSource
from src.statistics.sides import sided
from src.tracking.read import ITEMS, Cell

IDENTITY = ("item_id", "category", "cluster")
SCORES = ("effect_size", "p_value")
"""Columns of numbers whose names do not begin with `score_`."""
NO_SIDE = 2
"""Code of an item that was not decided, beside 0 and 1."""


@dataclass
class ItemSets:
    """The items of a sweep.

    Attributes:
        sets: By key: benchmark, scorer, number of items, and the columns that all cells share.
        texts: By the same key: the items' texts, where they are known.
        answers: By cell: key of a set -> columns of that cell's answers.
        problems: Why some cells have no items here, or items no texts.
    """

    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def item_sets(cells: Sequence[Cell], text: TextSource | None) -> ItemSets:
    """Read the items of all finished cells.

    Args:
        cells: Of a sweep.
        text: Where texts come from; None for a report without them.
    """
    found = ItemSets()
    for index, cell in enumerate(cells):
        if cell.state != "done":
            continue
        try:
            table = _read(cell.directory / ITEMS)
        except InputError as error:
            found.problems.append(str(error))
            continue
        texts = text.of(cell) if text else {}
        found.answers[index] = {
            _add(found, str(benchmark), str(scorer), rows, texts.get(str(benchmark), {})): _answers(
                rows
            )
            for (benchmark, scorer), rows in table.groupby(["benchmark", "scorer"], sort=False)
        }
    found.problems += text.problems if text else []
    return found


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if absent := sorted({"benchmark", "scorer", *IDENTITY, "decision"} - set(table)):
        raise InputError(f"{path} lacks the columns {', '.join(absent)}.")
    return table


def _add(found: ItemSets, benchmark: str, scorer: str, rows: pd.DataFrame, texts: Texts) -> str:
    """Add a set of items, if it is not there yet, and give its key."""
    flags = [name for name in rows if str(name).startswith("flag_") and rows[name].notna().any()]
    columns: dict[str, Any] = {name: rows[name].astype(str).tolist() for name in IDENTITY}
    columns["flags"] = {
        str(name).removeprefix("flag_"): rows[name].fillna(False).astype(int).tolist()
        for name in flags
    }
    own = {each: texts[each] for each in columns["item_id"] if each in texts}
    about = json.dumps([benchmark, scorer, columns, own], sort_keys=True)
    key = hashlib.sha256(about.encode()).hexdigest()[:12]
    if key not in found.sets:
        found.sets[key] = {
            "benchmark": benchmark,
            "scorer": scorer,
            "n": len(rows),
            "item_id": columns["item_id"],
            "category": codes(columns["category"]),
            "cluster": codes(columns["cluster"]),
            "flags": {name: codes(values) for name, values in columns["flags"].items()},
        }
        if own:
            found.texts[key] = _texts(columns["item_id"], own)
    return key


def _texts(ids: Sequence[str], texts: Mapping[str, Any]) -> dict[str, Any]:
    """Put texts into columns, one for each thing that a text can be."""
    names = list(dict.fromkeys(name for parts in texts.values() for name, _ in parts))
    by_id = {each: dict(parts) for each, parts in texts.items()}
    return {name: [by_id.get(each, {}).get(name, "") for each in ids] for name in names}


def _answers(rows: pd.DataFrame) -> dict[str, Any]:
    """Give a cell's scores, decisions, sides and margins of the items of one set.

    Margins are made of the unrounded scores, as 32 bits of each would not tell small ones.
    """
    scores = [
        str(name)
        for name in rows
        if (str(name).startswith("score_") or name in SCORES) and rows[name].notna().any()
    ]
    places = rows.reset_index(drop=True).assign(place=range(len(rows)))
    side, margin = pd.Series(NO_SIDE, places.index), pd.Series(float("nan"), places.index)
    try:
        decided = sided(places).set_index("place")
    except InputError:  # a benchmark whose items have no sides
        decided = pd.DataFrame()
    if len(decided):
        side[decided.index] = decided["side"].astype(int)
        margin[decided.index] = decided["margin"]
    reasons = rows["skip_reason"].fillna("") if "skip_reason" in rows else pd.Series("", rows.index)
    return {
        "scores": {name: floats(rows[name]) for name in scores},
        "decision": codes(rows["decision"].astype(str).tolist()),
        "side": codes([int(each) for each in side]),
        "margin": floats(margin),
        "skipped": codes(reasons.astype(str).tolist()),
    }
