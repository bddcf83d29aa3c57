"""The texts of items, by the ids that records know them by; only shown where they are asked for."""

from dataclasses import replace
from pathlib import Path

import src.benchmarks
from src.benchmarks.items import AssociationTest, Discourse, FillIn, Item, SentencePair
from src.benchmarks.registry import BENCHMARKS
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.errors import InputError
from src.modules import import_modules
from src.tracking.read import Cell


def item_texts(cell: Cell, root: Path | None = None) -> dict[tuple[str, str], str]:
    """Read the texts of a cell's items again, from where its settings say the data is.

    Args:
        cell: With its resolved settings.
        root: Folder of the data, where it is no longer there.

    Returns:
        (benchmark, item id) -> text, candidates separated by " | ".

    Raises:
        InputError: The data cannot be found, or the cell's settings name no known benchmark.
    """
    import_modules(src.benchmarks)
    config = DataConfig(**cell.config.get("data", {}))
    files = DataFiles(replace(config, root=str(root)) if root else config)
    found = {}
    for name, settings in cell.config.get("benchmark", {}).items():
        kind = settings.get("kind")
        if kind not in BENCHMARKS:
            raise InputError(f"{cell.directory}: benchmark {name} is of an unknown kind, {kind}.")
        shape, build = BENCHMARKS[kind]
        for item in build(shape(**settings)).load(files.locate):
            found[name, item.id] = text(item)
    return found


def text(item: Item) -> str:
    """Give an item's text in one line, the stereotype first."""
    match item:
        case SentencePair():
            return f"{item.more} | {item.less}"
        case FillIn() | Discourse():
            named = {candidate.label: candidate.sentence for candidate in item.candidates}
            both = (named["stereotype"], named["anti-stereotype"])
            return " | ".join([item.context, *both] if isinstance(item, Discourse) else both)
        case AssociationTest():
            return f"{len(item.x)} + {len(item.y)} target sentences"
    return ""
