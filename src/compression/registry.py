"""Compression methods by name.

A method is one module of this package: a settings dataclass and a transform registered for it.
Modules keep torch out of their top level, so that composing a config and `--help` stay fast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from src.compression.receipt import Change, Receipt, measure
from src.errors import InputError
from src.models.subject import Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transform reports.

    Attributes:
        changes: One entry a module that was changed.
        skipped: Modules left alone that a reader might expect to be changed -> why.
    """

    changes: tuple[Change, ...]
    skipped: dict[str, str]


Transform = Callable[[Subject, Any], Outcome]
METHODS: dict[str, tuple[type[Any], Transform]] = {}
"""Kind -> (settings dataclass, transform)."""


def compression(kind: str, settings: type[Any]) -> Callable[[Transform], Transform]:
    """Register a transform under `kind` with its settings dataclass.

    The settings class becomes the schema of `conf/compression/<kind>.yaml`.

    Raises:
        ValueError: Another method has this name already.
    """
    if kind in METHODS:
        raise ValueError(f"two compression methods are called {kind!r}")

    def register(transform: Transform) -> Transform:
        METHODS[kind] = (settings, transform)
        return transform

    return register


def compress(subject: Subject, settings: Any) -> Receipt:
    """Make a subject smaller, in place, and write down what was done.

    Args:
        subject: The loaded subject; its model is changed.
        settings: The settings object of one method (its `kind` names the method).

    Returns:
        The receipt.

    Raises:
        InputError: The method changed nothing, so its cell would measure the original.
        Unsupported: The method cannot be applied to this model or on this device.
    """
    _, transform = METHODS[settings.kind]
    receipt = measure(subject.model, settings, lambda: _outcome(transform, subject, settings))
    if settings.kind != "none" and not receipt.changed:
        raise InputError(
            f"compression={settings.kind} changed no weight of {subject.source.id}, so the cell "
            "would measure the uncompressed model. "
            + "; ".join(f"{name}: {why}" for name, why in receipt.skipped.items())
        )
    return receipt


def _outcome(
    transform: Transform, subject: Subject, settings: Any
) -> tuple[tuple[Change, ...], dict[str, str]]:
    outcome = transform(subject, settings)
    return outcome.changes, outcome.skipped
