"""Keeping several processes in step: if one fails, all of them do, instead of waiting for it."""

from collections.abc import Callable
from typing import TypeVar

from accelerate.utils import broadcast_object_list, gather_object

Result = TypeVar("Result")


def together(work: Callable[[], Result]) -> Result:
    """Do something in every process, and fail in all of them if it fails in one.

    Args:
        work: What to do; it must not talk to other processes.

    Raises:
        Exception: What this process's work raised; in the others, what the first failing process
            raised.
    """
    failure: Exception | None = None
    result: Result | None = None
    try:
        result = work()
    except Exception as error:
        failure = error
    failures = [error for error in gather_object([_portable(failure)]) if error is not None]
    if failure is not None:
        raise failure
    if failures:
        raise failures[0]
    return result  # type: ignore[return-value]


def from_first(work: Callable[[], Result]) -> Result:
    """Do something in the first process only and give its result to all.

    Raises:
        Exception: What the work raised, in every process.
    """
    from accelerate import PartialState

    box: list[object] = [None, None]
    failure: Exception | None = None
    if PartialState().is_main_process:
        try:
            box[0] = work()
        except Exception as error:
            failure, box[1] = error, _portable(error)
    broadcast_object_list(box)
    if failure is not None:
        raise failure
    if isinstance(box[1], Exception):
        raise box[1]
    return box[0]  # type: ignore[return-value]


def _portable(error: Exception | None) -> Exception | None:
    """Make an exception that survives pickling; library exceptions often do not."""
    from src.errors import InputError, Unsupported

    if error is None or type(error) in (InputError, Unsupported):
        return None if error is None else type(error)(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")
