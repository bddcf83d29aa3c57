"""Whether two cells answered the same questions, so that a difference is the models' own."""

from src.errors import InputError
from src.tracking.read import Cell

READ_FROM = ("kind", "file", "folder", "split", "task")
"""Settings of a benchmark that say which items it has; `categories` only chooses among them."""


def check_comparable(one: Cell, other: Cell) -> None:
    """Refuse to compare what cannot be compared.

    Raises:
        InputError: A cell is not finished, or the two read different data under one name, or ask
            one benchmark about different files.
    """
    for cell in (one, other):
        if cell.state == "unreadable" and not cell.status:
            raise InputError(f"{cell.directory} is no folder of a cell: it has no status.json.")
        if cell.state != "done":
            raise InputError(f"{cell.directory} is {cell.state}, so it has no numbers to compare.")
    ours, theirs = (_checksums(cell) for cell in (one, other))
    if changed := sorted(name for name in ours.keys() & theirs if ours[name] != theirs[name]):
        raise InputError(
            f"{one.directory} and {other.directory} were asked different items: their "
            f"{', '.join(changed)} differ. Run both on the same data."
        )

    asked, also = _asked_of(one), _asked_of(other)
    if unlike := sorted(key for key in asked.keys() & also if asked[key] != also[key]):
        raise InputError(
            f"{one.directory} and {other.directory} were asked different items, whose ids may be "
            f"the same all the same: their {', '.join(unlike)} differ."
        )


def _asked_of(cell: Cell) -> dict[str, str]:
    """Give the settings that say what each benchmark's items were read from."""
    return {
        f"benchmark.{name}.{part}": str(settings[part])
        for name, settings in (cell.config.get("benchmark") or {}).items()
        for part in READ_FROM
        if isinstance(settings, dict) and part in settings
    }


def _checksums(cell: Cell) -> dict[str, str]:
    data = cell.environment.get("data")
    return {name: str(file.get("sha256")) for name, file in data.items()} if data else {}
