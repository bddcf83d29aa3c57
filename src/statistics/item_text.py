"""The texts of items, by the ids that records know them by; only shown where they are asked for."""

from dataclasses import replace
from pathlib import Path

from src.benchmarks.items import AssociationTest, Discourse, FillIn, Item, SentencePair
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.statistics.on_disk import benchmarks_of
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
    config = DataConfig(**cell.config.get("data", {}))
    files = DataFiles(replace(config, root=str(root)) if root else config)
    return {
        (name, item.id): text(item)
        for name, benchmark in benchmarks_of(cell).items()
        for item in benchmark.load(files.locate)
    }


def parts(item: Item) -> list[tuple[str, str]]:
    """Give an item's texts with what each of them is, the stereotype first."""
    match item:
        case SentencePair():
            return [("more stereotyping", item.more), ("less stereotyping", item.less)]
        case FillIn() | Discourse():
            order = {"stereotype": 0, "anti-stereotype": 1}
            named = sorted(item.candidates, key=lambda each: order.get(each.label, 2))
            return [("context", item.context), *((each.label, each.sentence) for each in named)]
        case AssociationTest():
            sets = {"targets X": item.x, "targets Y": item.y, "attributes A": item.a}
            sets["attributes B"] = item.b
            return [(name, " · ".join(sentences)) for name, sentences in sets.items()]
    return []


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
