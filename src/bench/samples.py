"""What is raced over: an evenly spaced sample of the benchmarks, in their own proportions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from src.benchmarks.base import Benchmark
from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.items import AssociationTest, Item
from src.benchmarks.seat import Seat, SeatConfig
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.errors import InputError

Anything = TypeVar("Anything")
SETS = ("x", "y", "a", "b")


@dataclass(frozen=True, slots=True)
class Workload:
    """Items of one benchmark.

    Attributes:
        name: "crows_pairs", "stereoset" or "seat".
        items: What is scored.
        kept: Pairs, clusters, or sentences asked for (those of several tests counted each time).
        whole: The same of the whole benchmark.
        unit: What `kept` and `whole` count.
    """

    name: str
    items: Sequence[Item]
    kept: int
    whole: int
    unit: str

    @property
    def share(self) -> float:
        """How much of the benchmark this is."""
        return self.kept / self.whole


@dataclass(frozen=True, slots=True)
class Sample:
    """All that is raced over.

    Attributes:
        workloads: One a benchmark.
        tests: Size of X (and of Y) in every SEAT test, for the permutation test.
        source: Where the items came from, in words.
    """

    workloads: tuple[Workload, ...]
    tests: dict[str, int]
    source: str

    def __str__(self) -> str:
        """Say what it holds."""
        parts = [f"{w.name} {w.kept:,} of {w.whole:,} {w.unit}" for w in self.workloads]
        return f"{self.source}: {', '.join(parts)}"


def read_sample(data_root: str | None, items: int) -> Sample:
    """Read the benchmarks and thin them.

    All are thinned by the same share, so that the overall ratio weighs them as the whole would.

    Args:
        data_root: Folder with the benchmarks' files; None for the sample items of this project.
        items: CrowS-Pairs pairs to keep.

    Raises:
        InputError: A file is missing or malformed, or too little would be left.
    """
    if items < 1:
        raise InputError(f"--items={items} is not possible; it must be at least 1.")
    locate = DataFiles(DataConfig(root=data_root)).locate
    pairs, clusters, tests = (benchmark.load(locate) for benchmark in _benchmarks(data_root))
    share = min(1.0, items / len(pairs))
    some = thinned_tests(cast(Sequence[AssociationTest], tests), share)
    if not some:
        raise InputError(f"--items={items} leaves no SEAT test; give more.")
    kept_pairs = evenly_spaced(pairs, share)
    kept_clusters = evenly_spaced(clusters, share)
    return Sample(
        (
            Workload("crows_pairs", kept_pairs, len(kept_pairs), len(pairs), "pairs"),
            Workload("stereoset", kept_clusters, len(kept_clusters), len(clusters), "clusters"),
            Workload("seat", some, _sentences(some), _sentences(tests), "sentences"),
        ),
        {test.id: len(test.x) for test in cast(Sequence[AssociationTest], tests)},
        f"data in {data_root}" if data_root else "the sample items that ship with the project",
    )


def evenly_spaced(items: Sequence[Anything], share: float) -> list[Anything]:
    """Keep a share of some items, at least one, at even distances."""
    count = max(1, round(share * len(items)))
    return [items[index * len(items) // count] for index in range(count)]


def thinned_tests(tests: Sequence[AssociationTest], share: float) -> list[AssociationTest]:
    """Keep a share of the distinct sentences of some SEAT tests.

    Sentences and not tests are chosen, so that they recur over the tests as in the whole. X and Y
    stay equal in size; a test in which fewer than two of each are left goes.
    """
    every = list(
        dict.fromkeys(one for test in tests for part in SETS for one in getattr(test, part))
    )
    kept = set(evenly_spaced(every, share))
    some = []
    for test in tests:
        sets = {part: [one for one in getattr(test, part) if one in kept] for part in SETS}
        n = min(len(sets["x"]), len(sets["y"]))
        if n >= 2 and sets["a"] and sets["b"]:
            x, y = tuple(sets["x"][:n]), tuple(sets["y"][:n])
            some.append(replace(test, x=x, y=y, a=tuple(sets["a"]), b=tuple(sets["b"])))
    return some


def _benchmarks(data_root: str | None) -> tuple[Benchmark, Benchmark, Benchmark]:
    if data_root is not None:
        return (
            CrowsPairs(CrowsPairsConfig()),
            StereoSet(StereoSetConfig(split="dev")),
            Seat(SeatConfig()),
        )
    tests = {name: [f"sent-sample-{name}"] for name in ("gender", "race", "religion")}
    return (
        CrowsPairs(CrowsPairsConfig(file="sample/crows_pairs.csv")),
        StereoSet(StereoSetConfig(folder="sample/stereoset")),
        Seat(SeatConfig(folder="sample/seat", tests=tests)),
    )


def _sentences(tests: Sequence[Item]) -> int:
    return sum(len(getattr(test, part)) for test in tests for part in SETS)
