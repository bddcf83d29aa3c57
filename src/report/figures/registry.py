"""The figures there are; a module of this package adds one by decorating what draws it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from src.errors import InputError
from src.modules import import_modules
from src.report.figures.material import Material

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Data = Callable[[Material], pd.DataFrame]
Draw = Callable[[pd.DataFrame, Material], "list[Figure]"]


class NotDrawn(InputError):
    """A sweep has not the cells or numbers that a figure shows; the message says which."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A figure.

    Attributes:
        name: Of its files.
        about: What it shows, in a few words.
        data: Gives the numbers that are drawn, a row a mark; raises `NotDrawn` without any.
        draw: Draws those numbers, on one page or more.
    """

    name: str
    about: str
    data: Data
    draw: Draw


_KINDS: dict[str, Kind] = {}
KINDS: Mapping[str, Kind] = MappingProxyType(_KINDS)
"""Every registered figure by its name."""


def everything() -> list[Kind]:
    """List all figures, those of the paper first, in its order."""
    import src.report.figures

    import_modules(src.report.figures)
    numbered = [(name.removeprefix("figure"), kind) for name, kind in KINDS.items()]
    order = sorted(
        numbered, key=lambda one: (int(one[0]) if one[0].isdecimal() else len(numbered), one[0])
    )
    return [kind for _, kind in order]


def add(name: str, about: str, data: Data, draw: Draw) -> None:
    """Register a figure.

    Raises:
        ValueError: There is one of this name.
    """
    if name in _KINDS:
        raise ValueError(f"two figures are called {name}")
    _KINDS[name] = Kind(name, about, data, draw)
