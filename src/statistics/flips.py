"""Which items changed sides between cells: `python -m src.statistics.flips CELL_A CELL_B`.

With the folder of a sweep alone, each compressed cell is compared with the same model
uncompressed. Items are named by their ids; their texts, which offend by design, are added to the
file on request.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from src.errors import InputError
from src.piped import piped
from src.statistics.comparable import check_comparable
from src.statistics.config import StatisticsConfig
from src.statistics.flip_tests import FlipTest, flip_tests, flipped
from src.statistics.item_text import item_texts
from src.statistics.on_disk import settings_of
from src.statistics.sides import matched
from src.tracking.atomic import replacing
from src.tracking.read import ITEMS, Cell, read_cell


def compare(
    one: Cell, other: Cell, settings: StatisticsConfig
) -> tuple[list[FlipTest], pd.DataFrame]:
    """Test the flips between two cells, and list the items that flipped.

    Raises:
        InputError: They cannot be compared.
    """
    check_comparable(one, other)
    pairs = matched(*(pd.read_parquet(cell.directory / ITEMS) for cell in (one, other)))
    return flip_tests(pairs, settings.resamples, settings.seed), flipped(pairs)


def write(rows: pd.DataFrame, path: Path) -> None:
    """Write a table of flipped items as .parquet or .csv, whole or not at all.

    Raises:
        InputError: The name has another ending, or the folder cannot be written to.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"{path}: name it .parquet or .csv.")
    with replacing(path) as handle:
        if path.suffix == ".csv":
            rows.to_csv(handle, index=False)
        else:
            rows.to_parquet(handle, index=False)


def lines(tests: Sequence[FlipTest], alpha: float) -> Iterator[str]:
    """Lay out the tests of one comparison; categories without a flip are named in one line."""
    several = len({test.scorer for test in tests}) > 1
    names = {id(t): " ".join((t.benchmark, *[t.scorer] * several, t.category)) for t in tests}
    head = ("to stereo", "to anti", "p", "p Holm", "margin: flipped", "stayed")
    yield f"{'':38}{'items':>6}" + "".join(f"{word:>{len(word) + 2}}" for word in head)
    for test in tests:
        if test.to_stereo + test.to_anti:
            yield (
                f"  {names[id(test)]:36}{test.n:6}{test.to_stereo:11}{test.to_anti:9}{test.p:7.3f}"
                f"{test.p_holm:8.3f}{test.margin_flipped:17.2g}{test.margin_kept:8.2g}"
                f"  {test.verdict(alpha)}"
            )
    unmoved = [names[id(test)] for test in tests if not test.to_stereo + test.to_anti]
    if unmoved:
        yield f"  no item flipped: {', '.join(unmoved)}"


def _compared(folders: Sequence[Path]) -> Iterator[tuple[str, Cell, Cell]]:
    """Yield what is compared: two cells, or a sweep's compressed cells with their twins."""
    if len(folders) == 2:
        one, other = (read_cell(folder) for folder in folders)
        yield f"{one.directory.name} -> {other.directory.name}", one, other
        return
    # Imported here: the report is made of statistics, and not the other way round.
    from src.report.cells import collect, labels, twin

    cells = collect(folders[0])
    for cell, label in zip(cells, labels(cells), strict=True):
        uncompressed = twin(cell, cells) if cell.state == "done" else None
        if uncompressed is not None:
            yield label.text, uncompressed, cell


def _run(given: argparse.Namespace) -> None:
    if len(given.folders) > 2:
        raise InputError("give two cells, or the folder of one sweep.")
    parts = []
    for title, one, other in _compared(given.folders):
        settings = settings_of(other)
        tests, rows = compare(one, other, settings)
        print(title, *lines(tests, settings.alpha), sep="\n")
        if given.text:
            texts = item_texts(other, given.data_root)
            rows["text"] = [
                texts.get(key, "") for key in zip(rows["benchmark"], rows["item_id"], strict=True)
            ]
        parts.append(rows.assign(comparison=title))
    if not parts:
        raise InputError(f"{given.folders[0]} has no compressed cell beside its uncompressed twin.")
    print(
        "margin: median distance from the boundary, before, of items that flipped and that stayed"
    )
    if given.out:
        write(pd.concat(parts, ignore_index=True), given.out)
        print(f"{sum(map(len, parts))} flipped items are in {given.out}")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the flips between cells; an input that cannot be used ends it with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m src.statistics.flips",
        description="Which items changed sides between two cells, and does it have a direction?",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="two cells, before first; or a sweep")
    parser.add_argument("--out", type=Path, help="file for the flipped items (.csv or .parquet)")
    parser.add_argument("--text", action="store_true", help="with the items' (offensive) texts")
    parser.add_argument("--data-root", type=Path, help="with --text: where the data is now")
    try:
        _run(parser.parse_args(argv))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
