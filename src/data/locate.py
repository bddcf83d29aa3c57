"""Turning a data file's path in the layout into a verified local file."""

import hashlib
import logging
import os
import uuid
from pathlib import Path, PurePosixPath
from typing import TypedDict

from src.data.config import DataConfig
from src.data.fetch import FetchError, address_in, fetch
from src.data.sources import SOURCES, Source, git_blob
from src.errors import InputError

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent
LAYOUT = (
    "crows_pairs/crows_pairs_anonymized.csv, stereoset/{test,dev}.json, seat/*.jsonl, "
    "wikitext2/valid.txt"
)


class FileRecord(TypedDict):
    """What was given out for one layout path.

    `origin` is "package", "root", "cache", "own" (a path that was given as such) or the address it
    was downloaded from. It and `path` differ between machines and first and later runs: fingerprint
    `sha256` only.
    """

    path: str
    origin: str
    sha256: str
    git_blob: str


class DataFiles:
    """Finds data files by the `data` settings and remembers every one it gave out.

    Attributes:
        used: Layout path -> record of the file given out for it.
    """

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.used: dict[str, FileRecord] = {}

    def locate(self, layout_path: str) -> Path:
        """Give a local file for a path such as "stereoset/dev.json".

        "sample/..." is shipped with the package. Anything else comes from `data.root` if that is
        set (as it is), or from the cache or a download, verified against its pinned git blob id.

        Returns:
            Absolute path; the same for every later call, without reading the file again.

        Raises:
            InputError: It cannot be had, is not the pinned file, or cannot be cached.
        """
        if layout_path in self.used:
            return Path(self.used[layout_path]["path"])
        parts = PurePosixPath(layout_path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise InputError(f"{layout_path!r} is not a path inside the data layout ({LAYOUT}).")
        if parts.parts[0] == "sample":
            path, origin = PACKAGE / parts, "package"
            content = _read(path, f"{layout_path} is not shipped with the package")
        elif self.config.root is not None:
            path, origin = Path(self.config.root).expanduser() / parts, "root"
            content = _read(path, _not_in_root(self.config.root, layout_path))
            _say_if_not_published(layout_path, content)
        else:
            path, origin, content = self._pinned(_source(layout_path))
        self.used[layout_path] = {
            "path": str(path.absolute()),
            "origin": origin,
            "sha256": hashlib.sha256(content).hexdigest(),
            "git_blob": git_blob(content),
        }
        return path.absolute()

    def locate_own(self, path: str) -> Path:
        """Give a file of the user's own by its path, which need not be in any layout.

        Args:
            path: Absolute, or from the working directory; ~ is the home folder.

        Returns:
            Absolute path; the file is among `used` under the path as given.

        Raises:
            InputError: It cannot be read.
        """
        if path not in self.used:
            found = Path(path).expanduser().absolute()
            content = _read(found, f"{path} cannot be read")
            self.used[path] = {
                "path": str(found),
                "origin": "own",
                "sha256": hashlib.sha256(content).hexdigest(),
                "git_blob": git_blob(content),
            }
        return Path(self.used[path]["path"])

    def checksums(self) -> dict[str, str]:
        """Give layout path -> sha256 of every file given out, sorted: for the fingerprint."""
        return {layout: self.used[layout]["sha256"] for layout in sorted(self.used)}

    def _pinned(self, source: Source) -> tuple[Path, str, bytes]:
        path = self.config.cache_folder() / source.layout
        cached = _read_cached(path)
        if cached is not None:
            if git_blob(cached) == source.git_blob:
                return path, "cache", cached
            log.warning("%s is not the pinned file (damaged?); downloading it again", path)
        address, content = self._download(source, path)
        _write(path, content)
        return path, address, content

    def _download(self, source: Source, path: Path) -> tuple[str, bytes]:
        config = self.config
        mirror = config.mirror
        address = source.address if mirror is None else address_in(mirror, source.layout)
        remedy = (
            f"To use a local copy set data.root=FOLDER or data.mirror=FOLDER_OR_ADDRESS, either "
            f"holding {source.layout}."
        )
        try:
            content = fetch(address, config.timeout, config.retries)
        except FetchError as error:
            raise InputError(
                f"The data file {source.layout} is needed and could not be had: there is no "
                f"verified copy at {path}, and {address} failed ({error}). {remedy}"
            ) from error
        blob = git_blob(content)
        if blob != source.git_blob:
            raise InputError(
                f"The data file {source.layout} from {address} is not the pinned one: its git blob "
                f"id is {blob}, expected {source.git_blob} ({len(content)} bytes came). {remedy}"
            )
        return address, content


def _source(layout_path: str) -> Source:
    if layout_path not in SOURCES:
        raise InputError(
            f"The data file {layout_path} has no public address here; set data.root=FOLDER to a "
            f"folder that holds it. Files with an address: {LAYOUT}."
        )
    return SOURCES[layout_path]


def _not_in_root(root: str, layout_path: str) -> str:
    if not Path(root).expanduser().is_dir():
        return f"data.root={root} is not a folder, and {layout_path} is needed from it"
    return f"{layout_path} cannot be had from data.root={root} (layout expected: {LAYOUT})"


def _read(path: Path, problem: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{problem}: {path}: {error.strerror}.") from error


def _say_if_not_published(layout_path: str, content: bytes) -> None:
    published = SOURCES.get(layout_path)
    if published is not None and git_blob(content) != published.git_blob:
        log.warning(
            "%s under data.root is not the published file (edited, partial or rebuilt), so numbers "
            "from it need not compare with published ones",
            layout_path,
        )


def _read_cached(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(
            f"{path} in the cache cannot be read ({error.strerror}); set data.cache=FOLDER to "
            "another folder, or data.root=FOLDER to use local files."
        ) from error


def _write(path: Path, content: bytes) -> None:
    """Write whole or not at all; the last of several processes wins, with the same bytes.

    Raises:
        InputError: The cache cannot be written; nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written to the cache ({error.strerror}); make room or set "
            "data.cache=FOLDER to a writable folder, or data.root=FOLDER to use local files."
        ) from error
