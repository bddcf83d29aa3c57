"""agreement.json: cells of a sweep that differ in their scorers only, and a line about each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from src.measured import changes_numbers
from src.report.cells import labels
from src.statistics.agreement import FILE, OVERALL, agreements
from src.statistics.on_disk import benchmarks_of
from src.tracking.atomic import replacing
from src.tracking.fingerprint import flatten
from src.tracking.plain import plain
from src.tracking.read import ITEMS, Cell


def write_agreement(directory: Path, cells: Sequence[Cell]) -> None:
    """Write how scorers agree on each model; where no model has several there is no file.

    Args:
        directory: Of the sweep.
        cells: All of its cells.

    Raises:
        InputError: The directory cannot be written to, or items or settings of another version.
    """
    names = dict(zip((cell.directory for cell in cells), labels(cells), strict=True))
    found = []
    for members in _alike(cells):
        items = pd.concat([pd.read_parquet(cell.directory / ITEMS) for cell in members])
        items = items.drop_duplicates(["benchmark", "scorer", "item_id"])
        if rows := agreements(benchmarks_of(members[0]), items):
            label = names[members[0].directory]
            found.append(
                {
                    "model": label.model,
                    "compression": label.compression,
                    "cells": [cell.directory.relative_to(directory).as_posix() for cell in members],
                    "agreement": [asdict(row) for row in rows],
                }
            )
    if not found:
        (directory / FILE).unlink(missing_ok=True)
        return
    text = json.dumps(plain(found), indent=2, allow_nan=False)
    with replacing(directory / FILE) as handle:
        handle.write(f"{text}\n".encode())


def agreement_lines(directory: Path) -> Iterator[str]:
    """Say in a line for each model and benchmark what is in agreement.json."""
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for group in found:
        for row in group["agreement"]:
            if row["category"] == OVERALL:
                yield f"{group['model']} {group['compression']}: {_line(row)}"


def _line(row: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{name} {value:.1f}" for name, value in row["scores"].items())
    w = "undefined" if row["kendalls_w"] is None else f"{row['kendalls_w']:.2f}"
    return (
        f"{row['benchmark']} by {len(row['scores'])} scorers: {scores}; "
        f"{row['all_same_side']:.0f} % of {row['n']} items are on the same side by all, "
        f"Kendall's W {w} ({FILE})"
    )


def _alike(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Group finished cells that differ in their scorer only."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.state == "done" and (cell.directory / ITEMS).is_file():
            settings = {
                key: value
                for key, value in flatten(cell.config).items()
                if changes_numbers(key) and not key.startswith("scorer.")
            }
            groups.setdefault(json.dumps(plain(settings), sort_keys=True), []).append(cell)
    yield from groups.values()
