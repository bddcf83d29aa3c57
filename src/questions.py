"""The benchmarks of a cell with their items, before any model is there."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from src.benchmarks.base import Benchmark
from src.benchmarks.items import AssociationTest, Item
from src.benchmarks.registry import BENCHMARKS
from src.choices import one_of
from src.data.locate import DataFiles
from src.errors import InputError
from src.schema import Config
from src.scoring.scorer import SCORERS, load_scorers


@dataclass(frozen=True, slots=True)
class Question:
    """One benchmark of a cell with its items."""

    benchmark: Benchmark
    items: Sequence[Item]


def find_questions(config: Config, files: DataFiles) -> dict[str, Question]:
    """Read the items of a cell: name -> benchmark with its items.

    Raises:
        InputError: A scorer is unknown, or a file is missing or malformed.
    """
    load_scorers()
    known = sorted({name for name, _, _ in SCORERS})
    one_of("scorer", config.scorer.name, known)
    for name in config.scorer.also:
        one_of("scorer.also", name, known)
    questions = {}
    for name, settings in config.benchmark.items():
        benchmark = BENCHMARKS[settings.kind][1](settings)
        items = limited(benchmark.load(lambda path: _locate(files, path)), config.debug.limit)
        questions[name] = Question(benchmark, items)
    return questions


def _locate(files: DataFiles, path: str) -> Path:
    """Find a file of the data layout, or one of the user's own, whose path is absolute."""
    return files.locate_own(path) if Path(path).is_absolute() else files.locate(path)


def limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Keep the first `limit` items of each category, and sentences of each set of a SEAT test.

    Args:
        items: All items of a benchmark.
        limit: How many; None for all.

    Raises:
        InputError: There are no items at all.
    """
    if not items:
        raise InputError("the chosen categories of a benchmark hold no items")
    seen: Counter[str] = Counter()
    kept = []
    for item in items:
        seen[item.category] += 1
        if limit is None or seen[item.category] <= limit:
            kept.append(item if limit is None else _shortened(item, limit))
    return kept


def _shortened(item: Item, limit: int) -> Item:
    if not isinstance(item, AssociationTest):
        return item
    return replace(item, **{part: getattr(item, part)[:limit] for part in ("x", "y", "a", "b")})
