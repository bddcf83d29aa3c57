"""Tables and figures by name; a module of this package adds one by registering a function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import src.report.paper
from src.modules import import_modules
from src.report.paper.cells import PaperCells

Draw = Callable[[PaperCells, Path], Sequence[Path]]
"""Makes an artefact from the cells, in a folder, and gives the files that it wrote."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A table or figure.

    Attributes:
        name: Of its experiment (`conf/experiment/NAME.yaml`), and of its files.
        group: "tables" or "figures", the folder that its files go to.
        needs: Kinds of the sweeps that it is made from.
        draw: The function that makes it.
    """

    name: str
    group: str
    needs: tuple[str, ...]
    draw: Draw


ARTEFACTS: dict[str, Artefact] = {}
"""Every artefact, in the order of registration; complete after `load_artefacts`."""


def artefact(name: str, needs: Sequence[str], group: str) -> Callable[[Draw], Draw]:
    """Register the function that makes a table or figure.

    Args:
        name: Of its experiment.
        needs: Kinds of the sweeps that it is made from, the one that its experiment runs first.
        group: "tables" or "figures".
    """

    def register(draw: Draw) -> Draw:
        ARTEFACTS[name] = Artefact(name, group, tuple(needs), draw)
        return draw

    return register


def load_artefacts() -> dict[str, Artefact]:
    """Import every module of this package, and give what they registered."""
    import_modules(src.report.paper)
    return ARTEFACTS
