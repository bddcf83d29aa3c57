"""Files of a figure: .pdf (vector), .png and .csv (the numbers drawn), the same at every run."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from src.errors import InputError
from src.report.figures.material import Material
from src.report.figures.registry import Kind
from src.report.figures.style import styled
from src.tracking.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# No time and no version of a library: a file changes where the picture does, and only there.
METADATA = {
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "png": {"Software": None},
}


def check_installed() -> None:
    """Make sure that matplotlib is there.

    Raises:
        InputError: It is not.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(
            "figures need matplotlib: .venv/bin/pip install -c requirements.lock -e '.[report]'"
        ) from error


def write_figure(kind: Kind, material: Material, folder: Path) -> list[Path]:
    """Draw a figure and write its files; what an earlier run left of it goes.

    Args:
        kind: The figure.
        material: What it shows.
        folder: It is made where it is not there.

    Returns:
        The files: NAME.csv, NAME.pdf and NAME.png, further pages as NAME_2.pdf ...

    Raises:
        NotDrawn: There is nothing to draw.
        InputError: The folder cannot be written to.
    """
    stale = set(_files_of(kind.name, folder))
    try:
        data = kind.data(material)
        with styled():
            pages = kind.draw(data, material)
            files = _write(kind.name, data, pages, folder)
        stale -= set(files)
    finally:
        for path in stale:
            path.unlink(missing_ok=True)
    return files


def _write(name: str, data: pd.DataFrame, pages: "Sequence[Figure]", folder: Path) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} could not be made: {error.strerror}.") from error
    contents = {folder / f"{name}.csv": data.to_csv(index=False).encode()}
    for number, figure in enumerate(pages, start=1):
        stem = name if number == 1 else f"{name}_{number}"
        for ending in METADATA:
            contents[folder / f"{stem}.{ending}"] = _rendered(figure, ending)
    for path, content in contents.items():
        with replacing(path) as handle:
            handle.write(content)
    return list(contents)


def _rendered(figure: "Figure", ending: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, metadata=METADATA[ending])
    return buffer.getvalue()


def _files_of(name: str, folder: Path) -> list[Path]:
    """List the files of a figure in a folder."""
    if not folder.is_dir():
        return []
    own = re.compile(rf"{re.escape(name)}(_\d+)?\.(csv|pdf|png)")
    return [path for path in folder.iterdir() if own.fullmatch(path.name)]
