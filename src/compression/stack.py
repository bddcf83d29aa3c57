"""Several methods applied one after the other: `compression=[prune,uniform]`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from src.errors import InputError


@dataclass
class StackConfig:
    """The steps of a stack.

    Attributes:
        steps: Name of the step -> settings of its method, in the order in which they are applied.
    """

    steps: dict[str, Any]
    kind: str = "stack"

    def __post_init__(self) -> None:
        """Check that the steps have types.

        Raises:
            InputError: One has none, as where a yaml does not say whose settings it holds.
        """
        for name, step in self.steps.items():
            if not is_dataclass(step):
                raise InputError(
                    f"compression.{name}={step} belongs to no method; a yaml in conf/compression "
                    "begins with `defaults: [schema/METHOD@_here_]`."
                )

    @property
    def name(self) -> str:
        """What the cell is called: "prune+uniform"."""
        return "+".join(step.name for step in self.steps.values())


def steps_of(settings: Any) -> dict[str, Any]:
    """Give the methods of a compression in their order: name of the step -> settings.

    Args:
        settings: A stack, or the settings of a single method, which then is its only step.
    """
    return settings.steps if isinstance(settings, StackConfig) else {settings.kind: settings}


def kinds_of(settings: Any) -> set[str]:
    """Name all methods that a compression uses, those within a method's settings included."""
    return {method.kind for method in methods_of(settings)}


def spans_sequences(settings: Any) -> bool:
    """Whether a layer's arithmetic will span its whole sequence, as the settings of a step say."""
    return any(getattr(step, "spans_sequences", False) for step in steps_of(settings).values())


def multiplies_int8(settings: Any) -> bool:
    """Whether the layers will multiply int8 matrices, as the settings of a step say."""
    return any(getattr(step, "multiplies_int8", False) for step in steps_of(settings).values())


def is_dense(settings: Any) -> bool:
    """Whether a compression is none at all, so that the cell measures the model as it is.

    Its settings class says so by `changes_nothing`.
    """
    return all(getattr(step, "changes_nothing", False) for step in steps_of(settings).values())


def libraries_of(settings: Any) -> list[str]:
    """Name the libraries whose version decides what a compression does, beside those of all cells.

    They are what the settings classes of its methods say in `libraries`.
    """
    used = (getattr(one, "libraries", ()) for one in methods_of(settings))
    return sorted({name for names in used for name in names})


def plain_settings(settings: Any) -> dict[str, Any]:
    """Give the settings of a compression as plain data; a stack says the order of its steps."""
    if not isinstance(settings, StackConfig):
        return asdict(settings)
    # A mapping's order is no part of a fingerprint.
    return {
        "kind": settings.kind,
        "name": settings.name,
        "order": list(settings.steps),
        **{name: asdict(step) for name, step in settings.steps.items()},
    }


def counted_settings(settings: Any) -> dict[str, Any]:
    """Give what of `plain_settings` decides a cell's numbers.

    A settings class lists in `uncounted` what does not, because it is counted elsewhere as what it
    comes to: of a table of checkpoints only the one that is used matters.
    """
    found = plain_settings(settings)
    for name, step in steps_of(settings).items():
        part = found[name] if isinstance(settings, StackConfig) else found
        for key in getattr(step, "uncounted", ()):
            del part[key]
    return found


def methods_of(settings: Any) -> Iterator[Any]:
    """Give the settings of a compression's methods, those within a method's settings included."""
    if isinstance(settings, Mapping):
        for value in settings.values():
            yield from methods_of(value)
    elif is_dataclass(settings):
        if isinstance(getattr(settings, "kind", None), str) and not isinstance(
            settings, StackConfig
        ):
            yield settings
        for field in fields(settings):
            yield from methods_of(getattr(settings, field.name))
