"""Does a conclusion hold without doubtful items, and by other scorers?

`python -m src.statistics.sensitivity SWEEP_DIR` compares each compressed cell of a sweep with its
uncompressed twin again and again: on all items, without those of each quality flag, without all
that have one, and all of that by every scorer that both cells have.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from src.benchmarks.base import Benchmark
from src.errors import InputError
from src.piped import piped
from src.statistics.cell import cell_estimands
from src.statistics.config import StatisticsConfig
from src.statistics.family import adjust
from src.statistics.paired import compare
from src.statistics.pairing import common_items
from src.statistics.verdict import verdict
from src.tracking.keys import HEADLINES
from src.tracking.plain import plain

FLAG = "flag_"
ALL = "all items"
UNFLAGGED = "without flagged items"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is concluded of one bias metric by one scorer on one set of items.

    Attributes:
        benchmark: Name of the benchmark.
        scorer: Whose scores they are.
        items: "all items", "without <flag>" or "without flagged items".
        category: "gender", ..., or "overall".
        metric: Name of the metric.
        n: Items compared.
        difference: Cell B minus cell A, with its interval; None where undefined.
        ci_low: Its lower end.
        ci_high: Its upper end.
        p_holm: Adjusted over the categories of this benchmark, scorer and set of items.
        equivalent: Whether it is within the margin.
        verdict: As in comparisons.json.
        holds: Whether verdict, and sign of a change, are those of the first scorer on all items;
            None where either is undefined.
    """

    benchmark: str
    scorer: str
    items: str
    category: str
    metric: str
    n: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_holm: float | None
    equivalent: bool | None
    verdict: str
    holds: bool | None = None


def sensitivity(
    before: pd.DataFrame,
    after: pd.DataFrame,
    benchmarks: Mapping[str, Benchmark],
    settings: StatisticsConfig,
) -> list[Conclusion]:
    """Conclude from each set of items and each scorer.

    Args:
        before: Item table of cell A.
        after: Of cell B. Only items that both scored are used.
        benchmarks: By the names under which the items have them.
        settings: Level, margins, resamples and seed.

    Returns:
        The cell's own scorer (the first in `before`) on all items comes first in each benchmark.
    """
    found = []
    for name, built in benchmarks.items():
        rows = before[before["benchmark"] == name]
        for scorer in dict.fromkeys(rows["scorer"]):
            one, two = common_items(
                rows[rows["scorer"] == scorer],
                after[(after["benchmark"] == name) & (after["scorer"] == scorer)],
            )
            for items, kept in _sets(one):
                found += _conclude(one[kept], two[kept.to_numpy()], {name: built}, settings, items)
    return [replace(row, holds=_holds(row, found)) for row in found]


def _sets(table: pd.DataFrame) -> Iterator[tuple[str, "pd.Series[bool]"]]:
    """Yield the sets of items by name; a flag that is unknown takes no item away."""
    everything = pd.Series(True, index=table.index)
    if table.empty:
        return
    yield ALL, everything
    flags = [name for name in table if str(name).startswith(FLAG)]
    flagged = {str(name): table[name].eq(True).fillna(False).astype(bool) for name in flags}
    some = {name: column for name, column in flagged.items() if column.any()}
    yield from ((f"without {name}", ~column) for name, column in some.items())
    if len(some) > 1:
        yield UNFLAGGED, ~pd.concat(some, axis=1).any(axis=1)


def _conclude(
    before: pd.DataFrame,
    after: pd.DataFrame,
    benchmark: Mapping[str, Benchmark],
    settings: StatisticsConfig,
    items: str,
) -> list[Conclusion]:
    if before.empty:
        return []
    one, two = (
        {(e.category, e.metric): e for e in cell_estimands(benchmark, table.reset_index(drop=True))}
        for table in (before, after)
    )
    headlines = [key for key, e in one.items() if e.kind == "bias" and e.metric in HEADLINES]
    compared = compare([(one[key], two[key]) for key in headlines if key in two], settings)
    rows = [plain(asdict(row)) for row in compared]
    adjust(rows)
    shared = [name for name in Conclusion.__slots__ if name not in ("items", "verdict", "holds")]
    return [
        Conclusion(
            items=items,
            verdict=verdict(row, settings.alpha).mark,
            **{name: row[name] for name in shared},
        )
        for row in rows
    ]


def _holds(row: Conclusion, rows: Sequence[Conclusion]) -> bool | None:
    key = (row.benchmark, row.category, row.metric)
    first = next(r for r in rows if (r.benchmark, r.category, r.metric) == key)
    if "undefined" in (row.verdict, first.verdict):
        return None
    changed = row.verdict.startswith("changed")
    return row.verdict == first.verdict and not (
        changed and (row.difference or 0) * (first.difference or 0) < 0
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write sensitivity.json of a sweep and say what depends on scorer or items."""
    from src.report.sensitivity import sensitivity_lines, write_sensitivity

    parser = argparse.ArgumentParser(
        prog="python -m src.statistics.sensitivity",
        description="Do a sweep's conclusions hold without doubtful items and by other scorers?",
    )
    parser.add_argument("directory", type=Path, help="folder of a sweep")
    try:
        directory = parser.parse_args(argv).directory
        write_sensitivity(directory)
        print("\n".join(sensitivity_lines(directory, everything=True)))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    piped(main)
