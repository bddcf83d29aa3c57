"""Keeping the C library from giving memory back between batches."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's `mallopt`: free memory that is kept; size from which an allocation is mapped."""
KEPT_BYTES = 2**31 - 1
MAPPED_BYTES = 2**25
"""The largest values that it takes."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc keep what is freed while the block runs, and give it back afterwards.

    The tensors of one batch are as large as those of the next. Left alone, glibc may or may not
    return them to the system each time, and each page that comes back has to be cleared: where it
    did, a causal int8 cell took a fifth longer. Another C library is left as it is.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
    library.mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
    try:
        yield
    finally:
        library.malloc_trim(0)


@cache
def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    names = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    return library if all(hasattr(library, name) for name in names) else None
