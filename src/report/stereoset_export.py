"""Our StereoSet scores in the benchmark's own predictions format."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.benchmarks.items import Discourse, FillIn
from src.benchmarks.stereoset_gold import LABELS, read_clusters, read_tasks
from src.errors import InputError

COLUMNS = {label: f"score_{label.replace('-', '_')}" for label in LABELS}
SPLIT_HINT = "Dev predictions need dev.json as gold and test predictions test.json: are they mixed?"


def export_predictions(table: pd.DataFrame, gold: Path) -> dict[str, list[dict[str, Any]]]:
    """Turn the StereoSet rows of a cell's item table into the predictions format.

    Args:
        table: The rows of items.parquet, of one scorer; rows of other benchmarks are left out.
        gold: The gold file the items came from; it has the candidates' ids.

    Returns:
        What `read_predictions` reads, for the tasks that have rows.

    Raises:
        InputError: There is no StereoSet row, a cluster is not in the gold file or has no score,
            or there are two rows for one.
    """
    rows = table[table["benchmark"] == "stereoset"] if "benchmark" in table else table
    if rows.empty:
        raise InputError("the item table has no StereoSet rows to export.")
    if twice := [str(key) for key, n in Counter(rows["item_id"]).items() if n > 1]:
        raise InputError(
            f"{_some(twice)} of the item table more than once; export one scorer (--scorer) and "
            "one cell at a time."
        )
    finite = np.isfinite(rows[list(COLUMNS.values())].to_numpy(dtype=float)).all(axis=1)
    if not finite.all():
        without = _some(rows.loc[~finite, "item_id"])
        raise InputError(f"{without} without three finite scores; the format needs every score.")
    by_id = {str(row["item_id"]): row for _, row in rows.iterrows()}
    exported: dict[str, list[dict[str, Any]]] = {}
    for task in read_tasks(gold):
        found = [cluster for cluster in read_clusters(gold, task) if cluster.id in by_id]
        if found:
            exported[task] = [e for cluster in found for e in _entries(cluster, by_id)]
        for cluster in found:
            del by_id[cluster.id]
    if by_id:
        raise InputError(f"{gold}: {_some(by_id)} not in this gold file. {SPLIT_HINT}")
    return exported


def _entries(cluster: FillIn | Discourse, rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write one cluster's three candidates with their scores."""
    row = rows[cluster.id]
    return [{"id": c.id, "score": float(row[COLUMNS[c.label]])} for c in cluster.candidates]


def _some(ids: Iterable[object]) -> str:
    """Name how many clusters there are and the first."""
    listed = [str(identifier) for identifier in ids]
    return f"{len(listed)} cluster(s) (such as {listed[0]}) are"
