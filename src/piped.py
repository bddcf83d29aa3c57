"""Ending quietly where what is printed is read no further, as by `… | head`."""

import os
import select
import sys
from collections.abc import Callable
from typing import NoReturn

GONE = 141
"""Exit code of a program that the closed pipe itself ends: 128 and the number of SIGPIPE."""


def piped(main: Callable[[], int | str | None]) -> NoReturn:
    """Run a program and exit with its code, without a traceback where nobody reads what it prints.

    Args:
        main: The program; it returns its exit code, or raises SystemExit with it.

    Raises:
        BrokenPipeError: The pipe that broke is another one.
    """
    code: int | str | None = None
    unread = False
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    except BrokenPipeError:
        if not _closed():
            raise
        unread = True
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        unread = True
    if unread:
        code = code or GONE
        # Python flushes what is left once more, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _closed() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told of in any case
    return bool(poll.poll(0))
