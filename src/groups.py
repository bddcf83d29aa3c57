"""What `--help` lists as groups to choose from, by the resolver `groups` in a config's help."""

from collections.abc import Iterator
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf


def register() -> None:
    """Register the resolver: `${groups:a,b}` lists all groups but a and b, with their options."""
    OmegaConf.register_new_resolver("groups", listed, replace=True)


def listed(*hidden: str) -> str:
    """List groups and their options, a line a group; Hydra must be initialized.

    Hydra's own list has also what nobody chooses: the schemas that yaml files begin with, and
    folders of conf/ that are for another program.

    Args:
        hidden: Groups to leave out, with all below them.
    """
    loader = GlobalHydra.instance().config_loader()
    groups = sorted(_below(loader, "", {"hydra", "schema", *hidden}))
    lines = [f"{group}: {', '.join(loader.get_group_options(group))}" for group in groups]
    return "\n".join(line for line in lines if not line.endswith(": "))


def _below(loader: Any, parent: str, hidden: set[str]) -> Iterator[str]:
    for name in loader.list_groups(parent):
        if name not in hidden:
            group = f"{parent}/{name}".lstrip("/")
            yield group
            yield from _below(loader, group, hidden)
