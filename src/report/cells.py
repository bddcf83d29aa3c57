"""The cells of a sweep: finding them, telling them apart, pairing them with their twins."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.measured import changes_numbers, compresses
from src.tracking.fingerprint import difference, flatten
from src.tracking.keys import HEADLINES
from src.tracking.read import STATUS, Cell, read_cell

FIRST = ("name", "size", "step", "weight_bits", "activation_bits", "bits", "mode", "id", "revision")
"""Settings that tell best what differs between two models or compressions of one name."""
CATEGORIES = ("gender", "race", "religion")
OVERALL = "overall"
INTERVENTION, BASELINE = "intervention", "none"
"""Setting of `model=twin` that says what was changed in its data, and its value for nothing."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a reader knows a cell by; no two cells of a sweep have the same one.

    Attributes:
        model: Name of the model, with the settings that other models of this name differ in.
        compression: The same for the compression.
        settings: Other settings in which it differs from cells with that model and compression.
    """

    model: str
    compression: str
    settings: str

    @property
    def text(self) -> str:
        """The label in one line."""
        return " ".join(part for part in (self.model, self.compression, self.settings) if part)


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline number of a benchmark: one column of a table."""

    benchmark: str
    category: str
    metric: str

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """Give the record of this number; None where the cell has none, or is not done."""
        for row in own_metrics(cell):
            if all(row.get(name) == getattr(self, name) for name in self.__slots__):
                return row
        return None


def own_metrics(cell: Cell) -> list[dict[str, Any]]:
    """Give the records of a finished cell that its own scorer made, not those of `scorer.also`."""
    own = _part(cell, "scorer").get("name")
    rows = cell.metrics if cell.state == "done" else []
    return [row for row in rows if own in (None, row.get("scorer"))]


def collect(directory: Path) -> list[Cell]:
    """Read all cells in or below `directory`, models together, uncompressed first."""
    found = []
    for folder, below, files in os.walk(directory):
        below[:] = [name for name in below if name != "wandb" and not name.startswith(".")]
        if STATUS in files:
            found.append(read_cell(Path(folder)))
    return sorted(found, key=_order)


def labels(cells: Sequence[Cell]) -> list[Label]:
    """Name the cells so that no two have the same label."""
    everyone = range(len(cells))
    model = _named(cells, everyone, "model", lambda index: "")
    compression = _named(cells, everyone, "compression", lambda index: model[index])
    settings = _told_apart(
        [
            {k: v for k, v in flatten(cell.config).items() if not k.startswith("model.")}
            for cell in cells
        ],
        [f"{model[index]} {compression[index]}" for index in everyone],
    )
    return [Label(*parts) for parts in zip(model, compression, settings, strict=True)]


def twin(cell: Cell, cells: Iterable[Cell]) -> Cell | None:
    """Find the finished cell that differs from `cell` in being uncompressed, and in nothing else.

    A model that is not compressed but was pretrained on changed data (`model=twin`) is compared
    with the one whose data were not changed.

    Returns:
        None where there is none, or where `cell` itself is such a cell.
    """
    if _name(cell, "compression") == "?":
        return None
    compressed = _name(cell, "compression") != "none"
    if not compressed and _part(cell, "model").get(INTERVENTION) in (None, BASELINE):
        return None
    free = () if compressed else (f"model.{INTERVENTION}",)
    wanted = _measured(cell, free)
    for other in cells:
        fits = other.state == "done" and _name(other, "compression") == "none"
        unchanged = compressed or _part(other, "model").get(INTERVENTION) == BASELINE
        if fits and unchanged and _measured(other, free) == wanted:
            return other
    return None


def headlines(cells: Iterable[Cell], narrow: bool) -> list[Headline]:
    """List the headline numbers that the cells have.

    Args:
        cells: Whose metrics are looked at.
        narrow: Only each benchmark's overall numbers; otherwise bias by category.

    Returns:
        In the order in which the records have them.
    """
    present: dict[tuple[str, str, str], list[str]] = {}
    for row in (row for cell in cells for row in own_metrics(cell)):
        if row.get("metric") in HEADLINES:
            key = (str(row.get("benchmark")), str(row["metric"]), str(row.get("kind")))
            known = present.setdefault(key, [])
            if row.get("category") not in known:
                known.append(str(row.get("category")))
    return [
        Headline(benchmark, category, metric)
        for (benchmark, metric, kind), known in present.items()
        for category in _shown(known, narrow or kind != "bias")
    ]


def _shown(known: list[str], overall: bool) -> list[str]:
    shown = [category for category in CATEGORIES if category in known]
    if OVERALL in known and (overall or not shown):
        return [OVERALL]
    return shown or known[:1]


def _named(
    cells: Sequence[Cell], indices: Iterable[int], part: str, within: Callable[[int], str]
) -> list[str]:
    names = [_name(cell, part) for cell in cells]
    settings = [flatten(_part(cell, part)) for cell in cells]
    told = _told_apart(settings, [f"{within(index)} {names[index]}" for index in indices])
    return [f"{name} {more}".rstrip() for name, more in zip(names, told, strict=True)]


def _told_apart(settings: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> list[str]:
    """Give each member of a group the few settings in which it differs from the others."""
    texts = [""] * len(groups)
    for group in dict.fromkeys(groups):
        members = [index for index, other in enumerate(groups) if other == group]
        changed = {key for i in members for key in difference(settings[members[0]], settings[i])}
        for key in sorted(changed, key=_rank):
            so_far = {texts[index] for index in members}
            tried = {i: f"{texts[i]} {key}={settings[i].get(key)}".strip() for i in members}
            if len(set(tried.values())) > len(so_far):  # it tells more of them apart
                for index, text in tried.items():
                    texts[index] = text
    return texts


def _rank(key: str) -> tuple[bool, int, str]:
    # A step of a stack has its settings below its name.
    own = key.rpartition(".")[2]
    return not changes_numbers(key), FIRST.index(own) if own in FIRST else len(FIRST), key


def _measured(cell: Cell, free: tuple[str, ...]) -> dict[str, Any]:
    """Give the settings by dotted key that decide a cell's numbers, but for its compression.

    Args:
        cell: The cell.
        free: Settings that are left out besides.
    """
    return {
        key: value
        for key, value in flatten(cell.config).items()
        if changes_numbers(key) and not compresses(key) and key not in free
    }


def _name(cell: Cell, part: str) -> str:
    """Name the model or compression of a cell; a stack by its steps, "prune+uniform"."""
    settings = _part(cell, part)
    if "name" in settings:
        return str(settings["name"])
    steps = [step for step in settings.values() if isinstance(step, dict)]
    return "+".join(str(step.get("name", "?")) for step in steps) or "?"


def _part(cell: Cell, name: str) -> dict[str, Any]:
    part = cell.config.get(name)
    return part if isinstance(part, dict) else {}


def _order(cell: Cell) -> tuple[Any, ...]:
    model, compression = (
        name.replace("?", "~") for name in (_name(cell, "model"), _name(cell, "compression"))
    )
    return _natural(model), compression != "none", compression, _natural(str(cell.directory))


def _natural(name: str) -> list[str | int]:
    """Split a name so that its numbers sort as such: 16 bits after 2, step 1024 after 64."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
