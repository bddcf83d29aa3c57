"""Figures of any sweep: `python -m src.report.figures DIRECTORY`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from src.errors import InputError
from src.report.cells import collect
from src.report.figures.material import Material
from src.report.figures.registry import Kind, NotDrawn, everything
from src.report.figures.save import check_installed, write_figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draw what the cells of a folder allow, and say what is not drawn and why."""
    kinds = {kind.name: kind for kind in everything()}
    parser = argparse.ArgumentParser(
        prog="python -m src.report.figures",
        description="Draw the figures that the finished cells of a sweep allow.",
        epilog="figures: " + "; ".join(f"{kind.name}: {kind.about}" for kind in kinds.values()),
    )
    parser.add_argument("directories", nargs="+", type=Path, help="folder of a sweep")
    parser.add_argument("--out", type=Path, help="folder of the files (default: its figures/)")
    parser.add_argument("--only", nargs="+", choices=list(kinds), metavar="NAME", help="which")
    given = parser.parse_args(argv)
    try:
        material = read(given.directories)
        out = given.out or given.directories[0] / "figures"
        if not draw([kinds[name] for name in given.only or kinds], material, out):
            raise InputError("none of the figures could be drawn.")
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


def read(directories: Sequence[Path]) -> Material:
    """Read the finished cells of some sweeps.

    Raises:
        InputError: A folder is not there, or none has a finished cell.
    """
    check_installed()
    if absent := [str(path) for path in directories if not path.is_dir()]:
        raise InputError(f"{', '.join(absent)}: no folder; give the folder of a sweep.")
    cells = [cell for path in directories for cell in collect(path) if cell.state == "done"]
    if not cells:
        raise InputError(f"no finished cell in {', '.join(map(str, directories))}.")
    return Material(cells, roots=directories)


def draw(kinds: Sequence[Kind], material: Material, folder: Path) -> int:
    """Write figures, print a line for each, and give how many were drawn.

    Raises:
        InputError: The folder cannot be written to.
    """
    drawn = 0
    for kind in kinds:
        try:
            files = write_figure(kind, material, folder)
        except NotDrawn as reason:
            print(f"{kind.name}: not drawn: {reason}")
            continue
        drawn += 1
        print(f"{kind.name}: {', '.join(str(path) for path in files)}")
    return drawn
