"""The numbers that the paper printed, and what is known to be wrong with them."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

FOLDER = Path(__file__).parent
KEY = ("table", "row", "variant", "step", "category", "metric")
RERUN = "rerun"
"""Name in the column `table` of the numbers of the independent rerun of the official code."""


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number.

    Attributes:
        value: As printed.
        decimals: As many as were printed.
        significant: Whether it is starred (p < 0.01); None where the table has no stars.
        step: Pretraining step; None where there is none.
        source: Where it stands.
    """

    value: float
    decimals: int
    significant: bool | None
    step: int | None
    source: str


@functools.cache
def published() -> pd.DataFrame:
    """Give all printed numbers.

    Returns:
        Columns `table` ("table1", …; "rerun" for an independent rerun with the official code),
        `row` ("BERT base", "410M"), `variant` ("fp32", "int8", or a debiasing method), `step`
        (nullable integer), `category` and `metric` as in metrics.json (and table 1's `parameters`
        and `megabytes`), `value`, `decimals`, `significant` (nullable boolean) and `source`.
    """
    table = pd.read_csv(
        FOLDER / "published.csv", comment="#", dtype=str, keep_default_na=False, na_values={}
    )
    fraction = table["value"].str.partition(".")[2]
    return table.assign(
        value=table["value"].astype(float),
        decimals=fraction.str.len(),
        step=pd.to_numeric(table["step"]).astype("Int64"),
        significant=table["significant"].map({"1": True, "0": False}).astype("boolean"),
    )


@functools.cache
def _by_key() -> dict[tuple[str, str, str, str, str], Published]:
    found = {}
    for row in published().query("table != @RERUN").to_dict("records"):
        key = tuple(str(row[name]) for name in ("table", "row", "variant", "category", "metric"))
        found[key] = Published(
            value=float(row["value"]),
            decimals=int(row["decimals"]),
            significant=None if pd.isna(row["significant"]) else bool(row["significant"]),
            step=None if pd.isna(row["step"]) else int(row["step"]),
            source=str(row["source"]),
        )
    return found  # type: ignore[return-value]


def printed(table: str, row: str, variant: str, category: str, metric: str) -> Published | None:
    """Give one number of a table of the paper; None where the table has none."""
    return _by_key().get((table, row, variant, category, metric))


def rows_of(table: str) -> list[tuple[str, str]]:
    """Give the rows of a table of the paper as (row, variant), in its order."""
    found = published()
    mine = found[found["table"] == table]
    return list(dict.fromkeys(zip(mine["row"], mine["variant"], strict=True)))


def quoted_rows(table: str) -> set[tuple[str, str]]:
    """Give those rows of a table that the paper itself quotes from elsewhere."""
    found = published()
    mine = found[(found["table"] == table) & found["source"].str.contains("from Bias Bench")]
    return set(zip(mine["row"], mine["variant"], strict=True))


@functools.cache
def _faults() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load((FOLDER / "faults.yaml").read_text(encoding="utf-8")))


def faults_of(table: str, row: str, variant: str) -> list[str]:
    """Say what is known to be wrong in a row of the paper's table, or about it.

    Returns:
        Sentences; one about a single category begins with its name.
    """
    found = []
    for fault in _faults():
        mine = table in fault["tables"] and fault["row"] == row
        if mine and fault.get("variant", variant) == variant:
            where = fault.get("category")
            found.append(f"{where}: {fault['note']}" if where else fault["note"])
    return found
