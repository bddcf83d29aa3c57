"""Texts of items, from the very files that a cell read; nothing is downloaded for a report."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.benchmarks.items import AssociationTest, Item
from src.data.locate import PACKAGE
from src.errors import InputError
from src.statistics.item_text import parts
from src.statistics.on_disk import benchmarks_of
from src.tracking.read import Cell

Texts = Mapping[str, list[tuple[str, str]]]
"""Item id -> its texts, each with what it is."""


class TextSource:
    """Reads the items of benchmarks again, each benchmark and set of files once.

    Attributes:
        problems: Why texts are missing, each reason once.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Say where the data is now, if it is no longer where the cells found it."""
        self.root = root
        self.problems: dict[str, None] = {}
        self._known: dict[str, dict[str, Texts]] = {}

    def of(self, cell: Cell) -> dict[str, Texts]:
        """Give the texts of a cell's items by benchmark; a benchmark without its files is left out.

        A file counts as the cell's where its sha256 is the recorded one.
        """
        files = cell.environment.get("data")
        limit = (cell.config.get("debug") or {}).get("limit")
        asked = [cell.config.get("benchmark"), files, limit]
        key = json.dumps(asked, sort_keys=True, default=str)
        if key not in self._known:
            self._known[key] = self._read(cell, files if isinstance(files, dict) else {}, limit)
        return self._known[key]

    def _read(self, cell: Cell, files: Mapping[str, Any], limit: int | None) -> dict[str, Texts]:
        found: dict[str, Texts] = {}
        try:
            benchmarks = benchmarks_of(cell)
        except InputError as error:
            self.problems[str(error)] = None
            return found
        for name, benchmark in benchmarks.items():
            try:
                items = benchmark.load(self._locate(files))
            except InputError as error:
                self.problems[f"{name}: {error}"] = None
                continue
            found[name] = {item.id: parts(_shortened(item, limit)) for item in items}
        return found

    def _locate(self, files: Mapping[str, Any]) -> Callable[[str], Path]:
        def locate(layout: str) -> Path:
            record = files.get(layout)
            if not isinstance(record, dict):
                raise InputError(f"the cell read no file {layout}")
            places = [self.root / layout] if self.root else []
            # What ships with the project may have moved with it.
            places += [Path(str(record.get("path"))), PACKAGE / layout]
            for path in places:
                if path.is_file() and _sha256(path) == record.get("sha256"):
                    return path
            looked = " and ".join(map(str, places[:-1]))
            raise InputError(
                f"{layout} as the cell read it is not at {looked}; --data-root FOLDER says where "
                "the data is"
            )

        return locate


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shortened(item: Item, limit: int | None) -> Item:
    """Cut the sentence sets of a test as `debug.limit` cuts them."""
    if limit is None or not isinstance(item, AssociationTest):
        return item
    return dataclasses.replace(
        item, x=item.x[:limit], y=item.y[:limit], a=item.a[:limit], b=item.b[:limit]
    )
