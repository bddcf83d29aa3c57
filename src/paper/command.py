"""`python -m src.paper table1`: run what tables and figures need, then draw them."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import schema, sweep
from src.command_line import explain, key_of
from src.errors import InputError
from src.paper.experiments import Experiment, needed, sweep_folders
from src.paper.statement import find_needs, models_of
from src.paper.tell import tell
from src.quiet import quiet_libraries
from src.report.paper.cells import paper_cells
from src.report.paper.config import PaperConfig
from src.report.paper.registry import Artefact, load_artefacts

GROUPS = ("tables", "figures", "all")


@dataclass(frozen=True)
class Asked:
    """A command line.

    Attributes:
        artefacts: What to draw, in order.
        overrides: For the experiments.
        run: Whether to run experiments, or only to draw what is there.
        plan: Whether only to say what would be run.
    """

    artefacts: tuple[Artefact, ...]
    overrides: tuple[str, ...]
    run: bool
    plan: bool


def read_command(arguments: Sequence[str]) -> Asked:
    """Read a command line.

    Raises:
        InputError: It names no table or figure that there is.
    """
    known = load_artefacts()
    parser = argparse.ArgumentParser(
        prog="python -m src.paper",
        description="Run what tables and figures of the paper need, each cell once, and draw them.",
        epilog=f"What there is: {', '.join([*GROUPS, *known])}.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a table, a figure, or a group")
    parser.add_argument("--draw", action="store_true", help="draw what is there, run nothing")
    parser.add_argument("--plan", action="store_true", help="say what would be run and downloaded")
    asked, more = parser.parse_known_args(list(arguments))
    for argument in more:
        if argument.startswith("-"):
            raise InputError(f"{argument} is no option of this command; see --help.")
    names = [name for name in asked.names if not _is_override(name)]
    overrides = [one for one in [*asked.names, *more] if _is_override(one)]
    for override in overrides:
        if key_of(override) == "experiment":
            raise InputError(f"{override}: name the table or figure instead, as in table1.")
    if not names:
        raise InputError(f"name what to make: {', '.join([*GROUPS, *known])}.")
    chosen = dict.fromkeys(one for name in names for one in _named(name, known))
    return Asked(tuple(chosen), tuple(overrides), not asked.draw, asked.plan)


def make(asked: Asked) -> int:
    """Run and draw.

    Args:
        asked: The command.

    Returns:
        The exit code: 1 where an experiment did not run to its end, or something was not drawn.

    Raises:
        InputError: A setting is not possible.
        HydraException: A key, option or type is wrong.
        OmegaConfBaseException: A value refers to something that is not there.
    """
    with initialize_config_dir(version_base="1.3", config_dir=str(schema.CONF)):
        experiments = needed(asked.artefacts, asked.overrides)
        folders = sweep_folders(asked.artefacts, asked.overrides)
        ran = [_run(one, asked) for one in experiments] if asked.run or asked.plan else []
    if asked.plan or any(one in ("debug=plan", "debug=dry") for one in asked.overrides):
        return int(not all(ran))
    settings = experiments[0].composed.paper
    paper = OmegaConf.to_object(settings)
    assert isinstance(paper, PaperConfig)
    drawn = draw(asked.artefacts, paper, folders)
    return int(not (drawn and all(ran)))


def draw(artefacts: Sequence[Artefact], paper: PaperConfig, folders: dict[str, Path]) -> bool:
    """Draw artefacts from the cells that there are, and name the files.

    Args:
        artefacts: Which ones.
        paper: Which cells stand for which rows.
        folders: Kind -> folder of its sweep.

    Returns:
        Whether all could be drawn.
    """
    found = paper_cells(paper, folders)
    count = sum(one.done for one in found.cells)
    print(f"{count} finished cells in {', '.join(map(str, folders.values()))}")
    whole = True
    for artefact in artefacts:
        place = output_folder(paper, folders) / artefact.group
        try:
            place.mkdir(parents=True, exist_ok=True)
            files = artefact.draw(found, place)
        except (InputError, OSError) as error:
            print(f"{artefact.name}: not drawn: {error}", file=sys.stderr)
            whole = False
        else:
            print(f"{artefact.name}: {' '.join(map(str, files))}")
    return whole


def output_folder(paper: PaperConfig, folders: dict[str, Path]) -> Path:
    """Give the folder that tables and figures go to, beside the sweeps they are made from."""
    kind, sweep_folder = next(iter(folders.items()))
    # What sets the sweep apart (debug=tiny) sets its tables apart as well.
    return sweep_folder.with_name(sweep_folder.name.replace(f"{paper.name}_{kind}", paper.name, 1))


def _run(experiment: Experiment, asked: Asked) -> bool:
    """Say what an experiment needs, and run it, unless nothing of it could run."""
    try:
        needs = find_needs(models_of(experiment))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    tell(experiment, needs)
    if needs.unreachable and (needs.all_missing or asked.plan):
        return False
    if asked.plan:
        return True
    command = [sys.executable, "-m", "src.main", f"experiment={experiment.name}", *asked.overrides]
    return subprocess.run(command, check=False).returncode == 0


def _named(name: str, known: dict[str, Artefact]) -> list[Artefact]:
    if name in known:
        return [known[name]]
    if name not in GROUPS:
        raise InputError(f"{name} is none of: {', '.join([*GROUPS, *known])}.")
    ordered = sorted(known.values(), key=_order)
    return [one for one in ordered if name in ("all", one.group)]


def _order(artefact: Artefact) -> tuple[bool, int, str]:
    number = artefact.name.lstrip("abcdefghijklmnopqrstuvwxyz_")
    return artefact.group != "tables", int(number) if number.isdecimal() else 99, artefact.name


def _is_override(argument: str) -> bool:
    return "=" in argument or argument.startswith("~")


def main() -> None:
    """Do what the command line says, and exit with its code."""
    schema.register()
    sweep.register()
    quiet_libraries()
    try:
        code = make(read_command(sys.argv[1:]))
    except (InputError, HydraException, OmegaConfBaseException) as error:
        sys.exit(explain(error, schema.CONF))
    sys.exit(code)
