"""Settings of the `data` group."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from src.cache import cache_folder
from src.choices import at_least, help_, one_of
from src.errors import InputError

SCHEMES = ("http", "https", "file")


@dataclass
class DataConfig:
    """Where benchmark files are looked for: `root` alone if given, else cache, then download."""

    root: str | None = field(
        default=None,
        metadata=help_(
            "local folder holding crows_pairs/crows_pairs_anonymized.csv, stereoset/test.json, "
            "stereoset/dev.json, seat/*.jsonl, wikitext2/valid.txt (calibration); used as it is, "
            "nothing is downloaded"
        ),
    )
    cache: str | None = field(
        default=None,
        metadata=help_(
            "folder of verified downloads; null: compression-bias/data in the XDG cache"
        ),
    )
    mirror: str | None = field(
        default=None,
        metadata=help_(
            "base address (http, https, file) or folder holding the same files under the paths of "
            "`root`, asked instead of the public addresses"
        ),
    )
    timeout: float = field(default=30.0, metadata=help_("seconds a server may stay silent"))
    retries: int = field(default=3, metadata=help_("attempts after a transient failure"))

    def __post_init__(self) -> None:
        """Check what can be checked without touching disk or network.

        Raises:
            InputError: An empty path, an impossible mirror address, or a number out of range.
        """
        for key in ("root", "cache", "mirror"):
            value = getattr(self, key)
            if value is not None and not value.strip():
                raise InputError(f"data.{key} is empty; give a path, or null for the default.")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise InputError(f"data.timeout={self.timeout} is not possible; give seconds above 0.")
        at_least("data.retries", self.retries, 0)
        if self.mirror is not None and "://" in self.mirror:
            _check_address(self.mirror)

    def cache_folder(self) -> Path:
        """Folder of verified downloads (not created here).

        Raises:
            InputError: No home folder is known, so there is no default.
        """
        try:
            if self.cache is not None:
                return Path(self.cache).expanduser()
            return cache_folder() / "data"
        except (InputError, RuntimeError) as error:
            raise InputError(f"{error} Or set data.cache=FOLDER.") from error


def _check_address(mirror: str) -> None:
    try:
        parts = urlsplit(mirror)
        if parts.username is not None:
            # The settings are printed, stored in every cell and sent to W&B.
            raise InputError("data.mirror holds a user name or password; leave them out.")
        host, _ = parts.hostname, parts.port  # reading the port is what checks it
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"data.mirror is not a valid address ({error}).") from error
    one_of("the scheme of data.mirror", parts.scheme, SCHEMES)
    # file://host/path would silently be read from this machine.
    wrong_host = host not in (None, "localhost") if parts.scheme == "file" else host is None
    if wrong_host or parts.query or parts.fragment:
        raise InputError(
            f"data.mirror={mirror} is not a base address; give http(s)://HOST/PATH or "
            "file:///PATH, to which paths such as stereoset/dev.json are added, or a folder."
        )
