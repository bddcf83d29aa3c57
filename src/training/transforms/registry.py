"""Transforms by name: a function from one document's text to the texts that take its place."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import src.training.transforms
from src.errors import InputError
from src.modules import import_modules

Transform = Callable[[str, random.Random], list[str]]
"""Text and the document's own generator -> texts; an empty list drops the document."""
TRANSFORMS: dict[str, tuple[type[Any], Callable[[Any], Transform]]] = {}
"""Kind -> (settings dataclass with a `kind`, function from settings to transform)."""


def transform(
    kind: str, settings: type[Any]
) -> Callable[[Callable[[Any], Transform]], Callable[[Any], Transform]]:
    """Register a transform; its settings become the schema of `corpus/transform/<kind>.yaml`.

    Raises:
        ValueError: Another transform has this name already.
    """
    if kind in TRANSFORMS:
        raise ValueError(f"two transforms are called {kind!r}")

    def register(build: Callable[[Any], Transform]) -> Callable[[Any], Transform]:
        TRANSFORMS[kind] = (settings, build)
        return build

    return register


def schemas() -> dict[str, type[Any]]:
    """Give the settings class of every transform by kind."""
    import_modules(src.training.transforms)
    return {kind: settings for kind, (settings, _) in TRANSFORMS.items()}


def built(settings: Mapping[str, Any]) -> dict[str, Transform]:
    """Make transforms of their settings, in the same order.

    Raises:
        InputError: Settings have no type, or are impossible.
    """
    known = schemas()
    made: dict[str, Transform] = {}
    for name, one in settings.items():
        kind = getattr(one, "kind", None)
        if kind not in known:
            raise InputError(
                f"corpus.transform.{name} is none of {', '.join(sorted(known))}; a yaml in "
                f"corpus/transform begins with `defaults: [schema/KIND@{name}]`."
            )
        made[name] = TRANSFORMS[kind][1](one)
    return made
