"""What the experiments of tables and figures run: their sweeps, and the cells of these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig

from src.errors import InputError
from src.report.paper.config import KINDS
from src.report.paper.registry import Artefact
from src.sweep import axes_of


@dataclass(frozen=True)
class Experiment:
    """One experiment with the overrides of a command line.

    Attributes:
        name: Of its yaml.
        folder: Of its sweep.
        axes: By key the overrides that the cells differ in, and those that they share.
        composed: The config of its first cell, with Hydra's own settings.
    """

    name: str
    folder: Path
    axes: dict[str, list[str]]
    composed: DictConfig

    @property
    def cells(self) -> frozenset[tuple[Path, frozenset[str]]]:
        """Its cells: the sweep's folder and what each is composed from."""
        return frozenset((self.folder, frozenset(cell)) for cell in product(*self.varied.values()))

    @property
    def varied(self) -> dict[str, list[str]]:
        """The axes without the name of the experiment, which is no matter to its cells."""
        return {key: values for key, values in self.axes.items() if key != "experiment"}

    @property
    def axes_of_models(self) -> dict[str, list[str]]:
        """Those axes that choose the model."""
        return {key: v for key, v in self.axes.items() if key.partition(".")[0] == "model"}


def find_experiment(name: str, overrides: Sequence[str]) -> Experiment:
    """Compose an experiment; Hydra must be initialized.

    Args:
        name: Of its yaml.
        overrides: Of the command line.

    Raises:
        InputError: It is none of the paper's, or an axis has no value.
        HydraException: A key, option or type is wrong.
    """
    axes = axes_of([f"experiment={name}", *overrides], multirun=True)
    first = [values[0] for values in axes.values()]
    composed = compose("config", first, return_hydra_config=True)
    if composed.paper is None:
        raise InputError(f"experiment={name} is none of the paper's: it has no rows (paper=NAME).")
    return Experiment(name, Path(composed.hydra.sweep.dir), axes, composed)


def needed(artefacts: Iterable[Artefact], overrides: Sequence[str]) -> list[Experiment]:
    """Find the experiments that have to run for some tables and figures, each cell once.

    An artefact's own experiment has the cells that it needs of its first kind of sweep.

    Returns:
        Those whose cells are not all of another one's, largest first. One that serves several
        artefacts has the name of its kind (paper_masked), where it is all of that kind.
    """
    artefacts = list(artefacts)
    names = dict.fromkeys(
        name
        for artefact in artefacts
        for name in (artefact.name, *(f"paper_{kind}" for kind in artefact.needs[1:]))
    )
    found = [find_experiment(name, overrides) for name in names]
    kept: list[Experiment] = []
    for one in sorted(found, key=lambda each: -len(each.cells)):  # stable: in order of asking
        if not any(one.cells <= other.cells for other in kept):
            kept.append(one)
    if len(artefacts) == 1:
        return kept
    wholes = [find_experiment(f"paper_{kind}", overrides) for kind in kinds_of(artefacts)]
    whole = {one.cells: one for one in wholes}
    shared = {one.cells for one in kept if sum(other.cells <= one.cells for other in found) > 1}
    return [whole.get(one.cells, one) if one.cells in shared else one for one in kept]


def kinds_of(artefacts: Iterable[Artefact]) -> list[str]:
    """Name the kinds of sweeps that some tables and figures are made from, in the usual order."""
    wanted = {kind for artefact in artefacts for kind in artefact.needs}
    return [kind for kind in KINDS if kind in wanted]


def sweep_folders(artefacts: Iterable[Artefact], overrides: Sequence[str]) -> dict[str, Path]:
    """Give the folders of the sweeps that some tables and figures are made from, by kind.

    Args:
        artefacts: The tables and figures.
        overrides: Of the command line.

    Returns:
        They need not exist; Hydra must be initialized.
    """
    return {
        kind: find_experiment(f"paper_{kind}", overrides).folder for kind in kinds_of(artefacts)
    }
