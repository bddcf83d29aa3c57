"""What has to be downloaded for an experiment, how large it is, and whether it can be had."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from hydra import compose

from src.checkpoints import snapshot
from src.errors import InputError
from src.models.config import ModelConfig
from src.models.hub import hub_bytes
from src.paper.experiments import Experiment
from src.paper.shapes import shapes
from src.schema import typed


@dataclass(frozen=True)
class Missing:
    """Checkpoints of one repository that are not on this machine.

    Attributes:
        id: Hub id.
        revisions: Of the checkpoints.
        bytes: Of one of them; None where it is not known.
        stated: Whether that comes from the published shape and not from the hub.
    """

    id: str
    revisions: tuple[str, ...]
    bytes: int | None
    stated: bool

    def told(self) -> str:
        """Say it in a line."""
        count = len(self.revisions)
        several = f"{count} checkpoints of " if count > 1 else ""
        if self.bytes is None:
            return f"{several}{self.id}: of unknown size"
        each = f"{_size(self.bytes)}{' each' if count > 1 else ''}"
        source = ", from its published shape" if self.stated else ""
        return f"{several}{self.id}: {each}{source}"


@dataclass(frozen=True)
class Needs:
    """What an experiment needs of the hub.

    Attributes:
        models: Settings of every model that it loads.
        missing: What of it is not here.
        unreachable: Why the hub cannot be asked; empty where it can, or nothing is missing.
    """

    models: tuple[ModelConfig, ...]
    missing: tuple[Missing, ...]
    unreachable: str

    @property
    def total(self) -> int | None:
        """Bytes of all that is missing; None where a size is not known."""
        sizes = [one.bytes for one in self.missing]
        if None in sizes:
            return None
        return sum(one.bytes * len(one.revisions) for one in self.missing if one.bytes)

    @property
    def checkpoints(self) -> int:
        """How many checkpoints the models are; one that is loaded in two ways is one."""
        return len({(model.id, model.revision) for model in self.models})

    @property
    def all_missing(self) -> bool:
        """Whether no model is here at all."""
        return sum(len(one.revisions) for one in self.missing) == self.checkpoints

    def told(self) -> Iterator[str]:
        """Say it in a few lines; none where all is here."""
        if not self.missing:
            return
        total = "of unknown size" if self.total is None else f"about {_size(self.total)}"
        yield f"not on this machine, to be downloaded, {total} in all:"
        for one in self.missing:
            yield f"  {one.told()}"
        if self.total is not None and any(len(one.revisions) > 1 for one in self.missing):
            yield ("  with system.keep_checkpoints=false each leaves the disk once it is measured")
        if self.unreachable:
            yield (
                f"the hub cannot be asked ({self.unreachable}): connect this machine, point "
                "HF_ENDPOINT at a mirror or HF_HOME at a filled cache"
            )


def models_of(experiment: Experiment) -> tuple[ModelConfig, ...]:
    """Give the settings of every model that an experiment loads; Hydra must be initialized.

    Raises:
        InputError: A value is not possible.
    """
    rest = [v[0] for key, v in experiment.axes.items() if key not in experiment.axes_of_models]
    found: list[ModelConfig] = []
    groups = defaultdict(list)
    for chosen in product(*experiment.axes_of_models.values()):
        group = tuple(one for one in chosen if one.startswith("model="))
        groups[group].append([one for one in chosen if one not in group])
    for group, members in groups.items():
        # One composition a model: its settings are changed in place, which is a lot quicker.
        config = compose("config", [*rest, *group, *members[0]])
        for settings in members:
            config.merge_with_dotlist(settings)
            found.append(typed(config).model)
    return tuple(found)


def find_needs(models: Sequence[ModelConfig]) -> Needs:
    """Find which checkpoints are not here, and ask the hub for their sizes.

    Args:
        models: Settings of all models of an experiment.
    """
    absent: dict[str, list[str]] = {}
    for model in models:
        name = f"{model.id}@{model.revision}"
        if not Path(model.id).expanduser().is_dir() and snapshot(name) is None:
            revisions = absent.setdefault(model.id, [])
            if model.revision not in revisions:
                revisions.append(model.revision)
    unreachable, missing = "", []
    for name, revisions in absent.items():
        size, stated = None, False
        if not unreachable:
            try:
                size = hub_bytes(name, revisions[0])
            except InputError as error:
                unreachable = str(error)
        if size is None and name in shapes():
            size, stated = shapes()[name].file_bytes(), True
        missing.append(Missing(name, tuple(revisions), size, stated))
    return Needs(tuple(models), tuple(missing), unreachable)


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
