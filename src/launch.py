"""Around Hydra: all cells are checked before the first one runs; the table at the end."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra._internal.utils import (
    compute_search_path_dir,
    create_config_search_path,
    get_args_parser,
)
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra

from src.ahead import expect_models
from src.checkpoints import expect
from src.command_line import NOT_RUNS, is_first_process
from src.errors import InputError
from src.progress import CELLS
from src.schema import CONF, ROOT
from src.sweep import NoteDirectory, check_cells


def check(arguments: Sequence[str]) -> None:
    """Check the cell, or all cells of a sweep, before anything runs.

    Raises:
        InputError: A value is not possible.
        HydraException: A key, option or type is wrong.
        OmegaConfBaseException: A value refers to something that is not there.
    """
    asked = get_args_parser().parse_args(list(arguments))
    if not is_first_process() or any(getattr(asked, name) for name in NOT_RUNS):
        return
    if asked.config_dir is not None and not Path(asked.config_dir).is_dir():
        return  # Hydra says so itself
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        if asked.config_path is not None or asked.config_dir is not None:
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2("main", _search_path(asked))
        name = asked.config_name or "config"
        axes = check_cells(asked.overrides, asked.multirun, name)
        expect(axes, name)
        CELLS.total = math.prod(map(len, axes.values()))
        expect_models(axes, name)


def _search_path(asked: argparse.Namespace) -> ConfigSearchPath:
    """Look for configs where Hydra does when it is started with these arguments."""
    # A relative path is one from the file that the program starts in.
    start = str(ROOT / "src" / "main.py")
    main = compute_search_path_dir(start, None, asked.config_path or str(CONF))
    path = create_config_search_path(main)
    if asked.config_dir is not None:
        folder = f"file://{Path(asked.config_dir).absolute()}"
        path.prepend("command-line", folder, SearchPathQuery(provider="schema"))
    return path


def conclude() -> None:
    """Print the table of the cells of this run or sweep, or the total of a plan."""
    if "src.forecast" in sys.modules:
        from src.forecast import print_total

        print_total()
    directory = NoteDirectory.directory
    if directory is not None and is_first_process() and any(directory.rglob("status.json")):
        from src.report.agreement import write_agreement
        from src.report.axes import write_axes
        from src.report.cells import collect
        from src.report.comparisons import track
        from src.report.compression import print_compressions
        from src.report.flips import write_flips
        from src.report.terminal import print_sweep

        cells = collect(directory)
        for write in (write_axes, write_agreement, write_flips):
            try:
                write(directory, cells)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
        compared = print_sweep(directory)
        # One compression and its dense twin are told in full by the table above.
        print_compressions(directory, least=2)
        if compared is not None and compared.changed:
            track(compared, directory)
