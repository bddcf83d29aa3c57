"""Folders of the paper's sweeps and cells, so that tables and figures share the cells they share.

A sweep of the paper is named after its rows (`paper.name`) and kind, and a cell in it after its
model and compression, whichever table or figure asked for it. Whatever else changes numbers
(`debug=tiny`, `scorer=original`) is part of the sweep's name, so that it replaces no cell.
"""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from src.command_line import key_of, overrides_in
from src.measured import changes_numbers
from src.sweep import apart, joined, slug

CELL = ("model", "compression")
"""Groups that a cell of the paper is named after."""
NOT_THE_SWEEP = (*CELL, "experiment", "paper", "data")
"""What tells no two sweeps apart: a cell's name, the sweep's own, and data, which are pinned."""


def paper_sweep(name: str, kind: str, arguments: Sequence[str]) -> str:
    """Name a sweep of the paper.

    Args:
        name: The setting `paper.name`.
        kind: "masked", "pythia" or "ladder".
        arguments: The command line after the program's name.
    """
    parsed = OverridesParser.create().parse_overrides(overrides_in(arguments))
    kept = sorted(
        str(override.input_line)
        for override in parsed
        if not override.is_sweep_override()
        and changes_numbers(key := key_of(str(override.input_line)))
        and key.partition(".")[0] not in NOT_THE_SWEEP
        and override.input_line not in ("debug=dry", "debug=plan")
    )
    return slug(joined(",".join([f"{name}_{kind}", *kept])))


def paper_cell(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """Name a cell of one of the paper's sweeps.

    Args:
        overrides: The cell's own overrides.
        arguments: The sweep's command line.
    """
    of_cell = {one for one in overrides if key_of(one).partition(".")[0] in CELL}
    shared_by_others = ("experiment", "paper")
    rest = {
        one
        for one in apart(overrides, arguments)
        if key_of(one).partition(".")[0] not in shared_by_others
    }
    return slug(joined(",".join(sorted(of_cell | rest)) or "cell"))
