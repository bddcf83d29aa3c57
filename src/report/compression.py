"""What each compression bought and cost: `python -m src.report.compression DIRECTORY`.

A row a compression: its bits and bytes beside bias, language modelling, drift and time.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.errors import InputError
from src.piped import piped
from src.report.cells import Headline, Label, collect, headlines, labels
from src.report.main_table import broken, width_of
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

MEGA = 1e6
HEADS = ("bits\nlayers", "bits\nmodel", "file\nMB", "zeros\n%", "weight\nerror")
LOG_WIDTH = 160
LONGEST = 28
"""Characters of a line of a model's or a compression's name."""


def print_compressions(directory: Path, console: Console | None = None, least: int = 1) -> None:
    """Print a table of the compressed cells in or below a folder, dense twins above them.

    Args:
        directory: Of a sweep.
        console: Where to; by default the terminal.
        least: Print nothing for fewer compressed cells than this.

    Raises:
        InputError: There is no such directory.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder; give the folder of a sweep.")
    if console is None:
        terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
        console = Console() if terminal else Console(width=LOG_WIDTH)
    cells = [cell for cell in collect(directory) if cell.state == "done"]
    compressed = [cell for cell in cells if cell.receipt.get("method") != "none"]
    if len(compressed) < least:
        return
    table, left_out = _fitting(cells, labels(cells), console)
    console.print(table)
    for line in _notes(cells, left_out):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _fitting(cells: Sequence[Cell], names: Sequence[Label], console: Console) -> tuple[Table, int]:
    """Make the widest table that the console has room for; also says how many columns it lacks.

    The scores go first, as the sweep's own table has them, then what stands farthest to the right:
    a number that is cut, or a row without its name, would say something else.
    """
    columns = headlines(cells, narrow=True)
    heads = [*HEADS, *("\n".join([*broken(c.benchmark), HEADLINES[c.metric]]) for c in columns)]
    heads += ["mean KL\nnats", "same\ntop-1 %", "made\nin s", "scored\nin s"]
    numbers = [list(_numbers(cell, columns)) for cell in cells]
    shown = list(range(len(heads)))
    scores = range(len(HEADS), len(HEADS) + len(columns))
    drawn = partial(_table, names, heads, numbers)
    for at in [*reversed(scores), *(at for at in reversed(shown) if at not in scores)]:
        if width_of(drawn(shown), console) <= console.width:
            break
        shown.remove(at)
    return drawn(shown), len(heads) - len(shown)


def _table(
    names: Sequence[Label],
    heads: Sequence[str],
    numbers: Sequence[Sequence[str]],
    shown: Sequence[int],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("model", overflow="fold")
    table.add_column("compression", overflow="fold")
    for at in shown:
        table.add_column(heads[at], justify="right", no_wrap=True)
    for name, row in zip(names, numbers, strict=True):
        # Lines end between words: cut within one, step12 reads as step1.
        parts = (name.model, f"{name.compression} {name.settings}")
        lines = (textwrap.wrap(label, LONGEST, break_on_hyphens=False) for label in parts)
        table.add_row(*(Text("\n".join(label)) for label in lines), *(row[at] for at in shown))
    return table


def _numbers(cell: Cell, columns: Sequence[Headline]) -> Iterator[str]:
    receipt, drift = cell.receipt, _part(cell.receipt, "drift")
    dense = receipt.get("method") == "none"
    disk, elements = receipt.get("disk_bytes"), receipt.get("elements")
    yield _number(receipt.get("stored_bits"), ".2f")
    yield _number(8 * disk / elements if disk and elements else None, ".2f")
    yield _number(disk / MEGA if disk else None, ".3f" if disk and disk < MEGA else ".1f")
    yield "" if dense else _number(receipt.get("sparsity"), ".1f", 100)
    yield "" if dense else _number(receipt.get("relative_error"), ".2g")
    for column in columns:
        record = column.record(cell) or {}
        yield _number(record.get("value"), ".2f" if record.get("unit") == "%" else ".3f")
    yield _number(drift.get("mean_kl"), ".2g")
    yield _number(drift.get("top1_agreement"), ".1f", 100)
    yield "" if dense else _number(receipt.get("seconds"), ".1f")
    yield _number(cell.system.get("evaluate_seconds"), ".1f")


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, dict) else {}


def _number(value: Any, form: str, times: float = 1) -> str:
    return format(value * times, form) if isinstance(value, int | float) else ""


def _notes(cells: Sequence[Cell], left_out: int) -> Iterator[str]:
    """Say what the columns are, and why some have no number or are not there."""
    if left_out:
        yield f"({left_out} columns more in a wider terminal)"
    yield (
        "(bits layers: stored bits per weight of the changed layers; bits model: file size over "
        "all weights of the dense model; KL and top-1: predictions before and after)"
    )
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        drift = _part(cell.receipt, "drift")
        reason = drift.get("reason") if drift.get("mean_kl") is None else None
        if reason and cell.receipt.get("method") != "none":
            reasons.setdefault(str(reason), []).append(str(cell.receipt["method"]))
    for reason, methods in reasons.items():
        yield f"no drift for {', '.join(dict.fromkeys(methods))}: {reason}"


def main() -> None:
    """Print the table of the folder named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="folder of a sweep")
    try:
        print_compressions(parser.parse_args().directory)
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
