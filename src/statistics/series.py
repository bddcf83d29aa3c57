"""Cells of a sweep that differ in one ordered setting: pretraining steps, sizes, bits, sparsity."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from src.measured import changes_numbers, compresses
from src.tracking.fingerprint import flatten
from src.tracking.read import Cell

FEWEST = 3
"""Cells that make a series."""
DERIVED = ("model.name", "model.id", "model.revision", "compression.name", "sweep")
"""Settings that follow from others, such as a name with the step in it."""
DERIVED_COMPRESSION = ("compression.name", "sweep")
"""Those of them that do so where the model is one and the same."""
NOT_ORDERED = ("seed", "n_permutations")
"""Numbers that are no axis: more of them is not more of anything."""
NUMBER_OF = {"k": 1e3, "m": 1e6, "b": 1e9}
BITS_OF = {"float32": 32.0, "float16": 16.0, "bfloat16": 16.0}
GROUPS = ("model", "compression")
SPARSITY = "compression.sparsity"
ENDS = ("compression.bits", "compression.weight_bits", SPARSITY)
"""Axes whose end is the uncompressed cell; a stack's steps, or activations alone, have none."""


@dataclass(frozen=True, slots=True)
class Series:
    """Some cells in the order of an axis.

    Attributes:
        axis: Dotted setting in which they differ ("model.step").
        label: What they have in common, in words ("pythia 410m ptq").
        at: Where each is on the axis, ascending.
        cells: One a place.
    """

    axis: str
    label: str
    at: tuple[float, ...]
    cells: tuple[Cell, ...]


def series(cells: Iterable[Cell]) -> list[Series]:
    """Find all series of three cells or more among the finished cells of a sweep.

    An axis is a setting of the model or the compression that is a number (or a size such as
    "1.4b"), and a series has equal values in all other settings that may change a number. Where
    the setting is a number of bits or a sparsity, the uncompressed cell is one end of its axis.
    """
    done = [cell for cell in cells if cell.state == "done"]
    settings = [_settings(cell) for cell in done]
    axes = {
        key
        for told in settings
        for key, value in told.items()
        if key.partition(".")[0] in GROUPS
        and key not in DERIVED
        and key.rpartition(".")[2] not in NOT_ORDERED
        and place(value) is not None
    }
    found = []
    for axis in sorted(axes):
        groups: dict[str, dict[float, Cell]] = {}
        for cell, told in zip(done, settings, strict=True):
            at = place(told.get(axis))
            if at is not None:
                groups.setdefault(_others(told, axis), {})[at] = cell
        for members in groups.values():
            if len(members) >= 2:
                members |= _uncompressed_end(axis, members, done)
            if len(members) >= FEWEST:
                order = sorted(members)
                chosen = [members[at] for at in order]
                label = _label([_settings(cell) for cell in chosen], axis)
                found.append(Series(axis, label, tuple(order), tuple(chosen)))
    return found


def place(value: object) -> float | None:
    """Give a setting's place on an axis; None where it is no number and no size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    size = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb])", str(value).lower())
    return float(size[1]) * NUMBER_OF[size[2]] if size else None


def _settings(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in flatten(cell.config).items() if changes_numbers(key)}


def _others(settings: dict[str, Any], axis: str) -> str:
    """Write down everything but the axis, so that equal text means equal settings."""
    # Along a setting of the model its name may say which; along one of the compression two names
    # are two models.
    derived = DERIVED if axis.startswith("model.") else DERIVED_COMPRESSION
    return json.dumps(
        {k: v for k, v in settings.items() if k != axis and k not in derived}, sort_keys=True
    )


def _uncompressed_end(
    axis: str, members: dict[float, Cell], cells: Sequence[Cell]
) -> dict[float, Cell]:
    """Give the uncompressed twin its place on an axis of bits or sparsity, where there is one."""
    if axis not in ENDS:
        return {}
    twin = next((cell for cell in cells if _is_twin(cell, next(iter(members.values())))), None)
    if twin is None:
        return {}
    if axis == SPARSITY:
        return {0.0: twin}
    bits = BITS_OF.get(str(_settings(twin).get("model.dtype")))
    return {} if bits is None else {bits: twin}


def _is_twin(cell: Cell, compressed: Cell) -> bool:
    one, other = (
        {k: v for k, v in _settings(each).items() if not compresses(k)}
        for each in (cell, compressed)
    )
    return _settings(cell).get("compression.name") == "none" and one == other


def _label(settings: Sequence[dict[str, Any]], axis: str) -> str:
    """Name a series by what its cells have in common: model (and its size), compression."""
    first = settings[0]
    parts = [str(first.get("model.name", "?"))]
    if len({told.get("model.name") for told in settings}) > 1:
        parts = [parts[0].partition("-")[0]]
        parts += [str(first[k]) for k in ("model.size", "model.step") if k in first and k != axis]
    parts += [str(first["model.order"])] if "model.order" in first else []
    compressed = [told for told in settings if told.get("compression.name") != "none"] or settings
    # Named points of a ladder (uniform_8, uniform_4) have their method in common.
    same = len({told.get("compression.name") for told in compressed}) == 1
    name = compressed[0].get("compression.name" if same else "compression.kind")
    return " ".join([*parts, str(name)])
