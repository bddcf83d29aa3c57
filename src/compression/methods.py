"""Compression methods by name.

A method is one module of this package: a settings dataclass and a transform registered for it.
Modules keep torch out of their top level, so that composing a config and `--help` stay fast.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from src.compression.receipt import Change


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transform reports.

    Attributes:
        changes: One entry a module that was changed.
        skipped: Modules left alone that a reader might expect to be changed -> why.
        details: Facts that only this method has, as plain data; they are part of the receipt.
        nominal_bits: Bits per weight as the method calls itself, where it says.
    """

    changes: tuple[Change, ...]
    skipped: dict[str, str]
    details: dict[str, Any] = field(default_factory=dict)
    nominal_bits: float | None = None


Transform = Callable[..., Outcome]
"""(subject, settings) or, of a calibrated method, (subject, settings, calibration) -> outcome.

It changes `subject.model` in place, or assigns a new model (and `text`, `source`) to the subject.
"""
AnyTransform = TypeVar("AnyTransform", bound=Transform)


class Method(NamedTuple):
    """A registered method.

    Attributes:
        settings: Its settings dataclass.
        transform: What it does.
        calibrated: Whether the transform takes a calibration as its third argument, or what tells
            of its settings.
        may_change_nothing: Whether a model that comes out as it went in is what was asked for.
    """

    settings: type[Any]
    transform: Transform
    calibrated: bool | Callable[[Any], bool]
    may_change_nothing: bool

    def needs(self, settings: Any) -> bool:
        """Whether the transform takes a calibration with these settings."""
        return self.calibrated(settings) if callable(self.calibrated) else self.calibrated


METHODS: dict[str, Method] = {}
"""Kind -> method."""


def compression(
    kind: str,
    settings: type[Any],
    calibrated: bool | Callable[[Any], bool] = False,
    may_change_nothing: bool = False,
) -> Callable[[AnyTransform], AnyTransform]:
    """Register a transform under `kind` with its settings dataclass.

    The settings class becomes the schema of `conf/compression/<kind>.yaml`.

    Args:
        kind: Name of the method.
        settings: Its settings; fields `kind` and `name` are required.
        calibrated: The transform takes a calibration as its third argument (or what tells of its
            settings whether it does); its settings have a field `calibration`.
        may_change_nothing: Leaving every weight as it is is no mistake for this method.

    Raises:
        ValueError: Another method has this name already.
    """
    if kind in METHODS:
        raise ValueError(f"two compression methods are called {kind!r}")

    def register(transform: AnyTransform) -> AnyTransform:
        METHODS[kind] = Method(settings, transform, calibrated, may_change_nothing)
        return transform

    return register
