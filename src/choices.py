"""Checks that every settings class uses, so that every refusal reads the same."""

import difflib
from collections.abc import Iterable
from typing import Any

from src.errors import InputError


def help_(text: str, choices: Iterable[object] = ()) -> dict[str, str]:
    """Field metadata: what a setting is, and its choices, for `--help` and error messages."""
    listed = ", ".join(map(str, choices))
    return {"help": f"{text} ({listed})" if listed else text}


def one_of(key: str, value: object, choices: Iterable[object], show: str | None = None) -> None:
    """Check that `value` is one of `choices`.

    Args:
        key: The full key as typed on the command line ("benchmark.stereoset.split").
        value: What was given.
        choices: What is allowed.
        show: How to print the choices where there are too many to list.

    Raises:
        InputError: It is not; names the key, the value and the choices.
    """
    allowed = list(choices)
    if value in allowed:
        return
    near = difflib.get_close_matches(
        str(value), [str(choice) for choice in allowed], n=1, cutoff=0.7
    )
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = show or ", ".join(str(choice) for choice in allowed)
    raise InputError(f"{key}={value} is not possible; choose one of: {listed}.{hint}")


def at_least(key: str, value: Any, minimum: float) -> None:
    """Check a lower bound; None passes.

    Raises:
        InputError: `value` is smaller than `minimum`, or no number (nan).
    """
    if value is not None and not value >= minimum:
        raise InputError(f"{key}={value} is not possible; it must be at least {minimum}.")
