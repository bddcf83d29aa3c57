"""A W&B workspace and report for a sweep: `python -m src.report.dashboard SWEEP`.

Without a W&B account, the sweep's HTML report is made in their place.
"""

import argparse
import importlib.util
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import InputError
from src.piped import piped
from src.report.cells import collect
from src.report.comparisons import Sweep, compare_sweep, is_tracked, track
from src.report.flips import write_flips
from src.tracking.credentials import choose_mode
from src.tracking.read import Cell

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

ROOT = Path("multirun")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in W&B the runs of a sweep are.

    Attributes:
        entity: User or team.
        project: Its project.
        group: The group of the runs, which is the sweep's name.
    """

    entity: str
    project: str
    group: str


def find(named: str) -> Path:
    """Find a sweep's folder by its path, or by its name (its group in W&B) in multirun/.

    Raises:
        InputError: There is none.
    """
    for folder in (Path(named), ROOT / named):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{named} is no folder, and neither is {ROOT / named}; give a sweep's folder or its name."
    )


def read(directory: Path) -> tuple[list[Cell], Sweep]:
    """Read a sweep and log its comparisons, curves and flips where its runs lack them.

    Raises:
        InputError: There is no finished cell.
    """
    cells = collect(directory)
    if not any(cell.state == "done" for cell in cells):
        raise InputError(f"{directory} has no finished cell, so there is nothing to show.")
    write_flips(directory, cells)
    sweep = compare_sweep(directory, cells)
    if sweep.changed or not is_tracked(directory, cells):
        track(sweep, directory)
    return cells, sweep


def workspace(place: Place, cells: Sequence[Cell], sweep: Sweep) -> "ws.Workspace":
    """Build the workspace: a table of all cells, and panels in sections."""
    import wandb_workspaces.workspaces as ws

    from src.report import dashboard_panels as panels

    found = panels.numbers(cells)
    sections = panels.sections(cells, sweep.rows)
    return ws.Workspace(
        entity=place.entity,
        project=place.project,
        name=_title(place.group),
        sections=[
            ws.Section(
                name=section.name,
                panels=list(section.panels),
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(columns=3, rows=section.rows),
            )
            for section in sections
        ],
        settings=ws.WorkspaceSettings(max_runs=max(10, len(cells) + 1)),
        runset_settings=ws.RunsetSettings(
            filters=_filter("Group", place.group), pinned_columns=panels.columns(found)
        ),
    )


def report(place: Place, cells: Sequence[Cell], sweep: Sweep) -> "wr.Report":
    """Build the report: the same panels with a word on how to read them."""
    import wandb_workspaces.reports.v2 as wr

    from src.report import dashboard_panels as panels

    shown = panels.columns(panels.numbers(cells))
    blocks: list[Any] = [wr.TableOfContents()]
    for section in panels.sections(cells, sweep.rows):
        where = f"{_filter('Group', place.group)} and {_filter('JobType', section.job)}"
        runs = wr.Runset(
            entity=place.entity,
            project=place.project,
            name=place.group,
            filters=where,
            visible_columns=shown if section.job == "cell" else [],
        )
        blocks += [wr.H2(text=section.name), wr.P(text=section.text)]
        blocks.append(wr.PanelGrid(runsets=[runs], panels=list(section.panels)))
    return wr.Report(
        entity=place.entity,
        project=place.project,
        title=_title(place.group),
        description="Made by `python -m src.report.dashboard`; made again, it is a new report.",
        blocks=blocks,
        width="fluid",
    )


def publish(directory: Path) -> list[str]:
    """Save the workspace and the report of a sweep in W&B.

    Returns:
        Their addresses.

    Raises:
        InputError: The sweep has nothing to show, its cells were not logged to W&B, or W&B refused.
    """
    import wandb

    if importlib.util.find_spec("wandb_workspaces") is None:
        raise InputError(
            "the dashboard needs wandb-workspaces: "
            "`pip install -c requirements.lock -e '.[dashboard]'`."
        )
    cells, sweep = read(directory)
    about = next((c.config for c in cells if (c.config.get("tracker") or {}).get("project")), None)
    if about is None:
        raise InputError(f"{directory}: its cells were run with tracker=none, so W&B has no runs.")
    tracker = about["tracker"]
    try:
        entity = tracker.get("entity") or wandb.Api().default_entity
        place = Place(str(entity), str(tracker["project"]), str(about["sweep"]))
        saved = [build(place, cells, sweep).save() for build in (workspace, report)]
    except Exception as error:
        raise InputError(f"W&B did not take the dashboard: {error}") from error
    return [str(each.url) for each in saved]


def _title(group: str) -> str:
    """Name a workspace or report; the library takes signs such as = and + for emojis."""
    plain = "".join("-" if unicodedata.category(sign)[0] == "S" else sign for sign in group)
    return f"Bias after compression, {plain}"[:128]


def _filter(name: str, value: str) -> str:
    """Write a filter of runs; the library takes = and < for operators within quotes too."""
    quoted = repr(value)
    for sign in "=<>":
        quoted = quoted.replace(sign, f"\\x{ord(sign):02x}")
    return f"Metric('{name}') == {quoted}"


def main(argv: Sequence[str] | None = None) -> None:
    """Publish the dashboard of a sweep, or without an account make its local report."""
    parser = argparse.ArgumentParser(prog="python -m src.report.dashboard", description=__doc__)
    parser.add_argument("sweep", help="its folder, or its name (the group of its runs in W&B)")
    given = parser.parse_args(argv)
    try:
        directory = find(given.sweep)
        if choose_mode("auto") == "online":
            os.environ.setdefault("WANDB_SILENT", "true")
            print("\n".join(publish(directory)))
            return
        print("No W&B account (`wandb login` makes one known), so here is the local report:")
        from src.report.html.__main__ import main as write_html

        write_html([str(directory)])
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
