"""`compression=[prune,uniform]`: a list of options of one group that are applied one by one.

Hydra composes all options of a list at the group's own key, where the settings of two methods
exclude each other. Here the list is one option of its own, `prune+uniform`, that composes each
step at a key below the group's, named as the step is, so that `compression.uniform.weight_bits=4`
reaches it. It is the same in a sweep, in a yaml's defaults and on the command line, because it is
done where Hydra expands the list.
"""

from collections.abc import Sequence

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import GroupDefault
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from src.errors import InputError

GROUP = "compression"


class StackSource(ConfigSource):
    """Gives the config of `compression/a+b`, which is in no file."""

    @staticmethod
    def scheme() -> str:
        """Name the scheme of this source's path."""
        return "stack"

    def load_config(self, config_path: str) -> ConfigResult:
        """Compose each step at its own key.

        Raises:
            InputError: This is no possible stack.
        """
        steps = config_path.rpartition("/")[2].split("+")
        _check(steps)
        config = OmegaConf.create({"defaults": [f"{step}@{step}" for step in steps]})
        return ConfigResult(self.provider, f"{self.scheme()}://", config, header={"package": None})

    def is_config(self, config_path: str) -> bool:
        """Whether this is a stack's path."""
        group, _, name = config_path.rpartition("/")
        return group == GROUP and "+" in name

    def is_group(self, config_path: str) -> bool:
        """There are no groups here."""
        del config_path
        return False

    def available(self) -> bool:
        """It is always there."""
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List nothing: stacks are too many to be named among the options."""
        del config_path, results_filter
        return []


class StackSearchPath(SearchPathPlugin):
    """Has Hydra look for configs in `StackSource` too."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the source."""
        search_path.append(provider="stacks", path=f"{StackSource.scheme()}://")


def register() -> None:
    """Teach Hydra to compose a list of compressions as a stack."""
    for plugin in (StackSource, StackSearchPath):
        Plugins.instance().register(plugin)


def is_options(default: GroupDefault) -> bool:
    """Whether Hydra is to expand a list itself; a list of compressions becomes one option.

    Raises:
        InputError: The list is no possible stack.
    """
    if isinstance(default.value, list) and str(default.group).lstrip("/") == GROUP:
        steps = [str(step) for step in default.value]
        if len(steps) < 2:
            alone = steps[0] if steps else "none"
            raise InputError(
                f"{GROUP}=[{alone if steps else ''}] is no stack of methods; use {GROUP}={alone}."
            )
        default.value = "+".join(steps)
    return isinstance(default.value, list)


def _check(steps: Sequence[str]) -> None:
    written = f"{GROUP}=[{','.join(steps)}]"
    if "none" in steps:
        raise InputError(f"{written} is not possible: none is no step of a stack, leave it out.")
    for step in steps:
        if steps.count(step) > 1:
            raise InputError(
                f"{written} is not possible: both steps would have the settings {GROUP}.{step}. "
                f"Copy conf/{GROUP}/{step}.yaml under a second name and use that for one of them."
            )


# On import, because the workers of a parallel launcher import this and run no main program.
GroupDefault.is_options = is_options
