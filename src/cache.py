"""Where this project keeps what it can make or get again."""

import os
from pathlib import Path

from src.errors import InputError


def cache_folder() -> Path:
    """Give this project's folder in the XDG cache (not created here).

    Raises:
        InputError: No home folder is known.
    """
    # The XDG specification says that a relative path in the variable is to be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if not base.is_absolute():
            base = Path.home() / ".cache"
    except RuntimeError as error:
        raise InputError(f"There is no home folder ({error}); set XDG_CACHE_HOME.") from error
    return base / "compression-bias"
