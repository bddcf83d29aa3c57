"""SEAT: are target sentences X (against Y) associated with attributes A (against B)?

What it reports, as (category, metric): for each test `("gender/sent-weat6", "effect_size")` and
`("gender/sent-weat6", "p_value")`; for each category and "overall" the means over its tests,
`mean_abs_effect_size` (the paper's) and `mean_effect_size` (signed), and the counts `n_tests` and
`n_significant`. In W&B: `bias/seat/gender/sent-weat6/effect_size`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from src.benchmarks.association import associations, effect_size
from src.benchmarks.base import ItemScore, Locate, Metric, Skipped, nan_to_reason
from src.benchmarks.items import AssociationTest, Item
from src.benchmarks.permutation import permutation_p_value
from src.benchmarks.registry import benchmark
from src.benchmarks.seat_files import read_test
from src.benchmarks.seat_groups import word_and_template
from src.benchmarks.seat_units import effect_estimands, mean_estimands
from src.benchmarks.selection import by_category
from src.choices import at_least, help_
from src.errors import InputError
from src.statistics.estimand import Estimand

TESTS = {
    "gender": ("weat6", "weat6b", "weat7", "weat7b", "weat8", "weat8b"),
    "race": (
        "angry_black_woman_stereotype",
        "angry_black_woman_stereotype_b",
        "weat3",
        "weat3b",
        "weat4",
        "weat5",
        "weat5b",
    ),
    "religion": ("religion1", "religion1b", "religion2", "religion2b"),
}


def paper_tests() -> dict[str, list[str]]:
    """Give the 17 tests of the paper by category, named as their files."""
    return {category: [f"sent-{test}" for test in tests] for category, tests in TESTS.items()}


@dataclass
class SeatConfig:
    """SEAT; an effect size of 0 means no association."""

    kind: str = "seat"
    folder: str = field(
        default="seat", metadata=help_("where <test>.jsonl files lie, below data.root")
    )
    tests: dict[str, list[str]] = field(
        default_factory=paper_tests,
        metadata=help_("category -> names of test files; an empty list leaves a category out"),
    )
    n_permutations: int = field(
        default=100_000, metadata=help_("re-partitions behind p; the smallest p is 1 over it")
    )
    seed: int = field(default=0, metadata=help_("of the re-partitions, with the test's name"))
    alpha: float = field(default=0.01, metadata=help_("a test with p below it is significant"))

    def __post_init__(self) -> None:
        """Check the numbers and that every test is named once.

        Raises:
            InputError: A number is out of range, there is no test, or a test is there twice.
        """
        at_least("benchmark.seat.n_permutations", self.n_permutations, 1)
        at_least("benchmark.seat.seed", self.seed, 0)
        if not 0 < self.alpha < 1:
            raise InputError(f"benchmark.seat.alpha={self.alpha} is not possible; 0 < alpha < 1.")
        names = [name for tests in self.tests.values() for name in tests]
        if not names:
            raise InputError("benchmark.seat.tests names no test; give it at least one.")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"benchmark.seat.tests names {', '.join(twice)} more than once.")


@benchmark("seat", SeatConfig)
@dataclass(frozen=True)
class Seat:
    """The SEAT benchmark: one item a test, scored by the embeddings of its sentences."""

    settings: SeatConfig

    def load(self, locate: Locate) -> Sequence[AssociationTest]:
        """Read the tests; an item's id is the test's file name without its ending.

        Raises:
            InputError: A file is malformed, or its X and Y differ in size.
        """
        return [
            read_test(locate(f"{self.settings.folder}/{name}.jsonl"), name, category)
            for category, names in self.settings.tests.items()
            for name in names
        ]

    def tabulate(
        self, items: Sequence[Item], scores: Sequence[ItemScore], decimals: int | None
    ) -> pd.DataFrame:
        """One row a test; `decision` is "significant", "not significant" or "skipped".

        Scores are {sentence: embedding of shape (hidden,)}; there is nothing to round, so
        `decimals` is not used. `skip_reason` also says why an effect size is undefined. The list
        columns hold each target sentence's association, word and template, X's and Y's.
        """
        tests = cast(Sequence[AssociationTest], items)
        return pd.DataFrame(
            [self._row(test, score) for test, score in zip(tests, scores, strict=True)]
        )

    def metrics(self, table: pd.DataFrame) -> list[Metric]:
        """Compute each test's effect size and p, and the means per category and overall."""
        per_test = [metric for _, row in table.iterrows() for metric in _test_metrics(row)]
        categories = by_category(table, list(self.settings.tests))
        return per_test + [m for category, rows in categories for m in _means(category, rows)]

    def estimands(self, table: pd.DataFrame) -> list[Estimand]:
        """Give each test's effect size, and the means per category and overall."""
        categories = by_category(table, list(self.settings.tests))
        return [
            *effect_estimands(table),
            *(e for category, rows in categories for e in mean_estimands(category, rows)),
        ]

    def _row(self, test: AssociationTest, score: ItemScore) -> dict[str, object]:
        """Measure one test."""
        d, p, reason = float("nan"), float("nan"), ""
        x = y = np.full(len(test.x), np.nan)
        if isinstance(score, Skipped):
            reason = score.reason
        else:
            x, y = associations(test, cast(Mapping[str, Any], score))
            d = effect_size(x, y)
            p = permutation_p_value(x, y, self.settings.n_permutations, self._generator(test.id))
            if np.isnan(p):
                reason = "an embedding is zero or not finite"
            elif np.isnan(d):
                reason = "all associations are equal: their standard deviation is 0"
        groups = word_and_template([*test.x, *test.y])
        significant = "significant" if p < self.settings.alpha else "not significant"
        return {
            "item_id": test.id,
            "category": test.category,
            "cluster": test.cluster,
            "effect_size": d,
            "p_value": p,
            "n_x": len(test.x),
            "n_a": len(test.a),
            "n_b": len(test.b),
            "decision": "skipped" if np.isnan(p) else significant,
            "skip_reason": reason,
            "associations_x": x.tolist(),
            "associations_y": y.tolist(),
            "words_x": list(groups.words[: len(test.x)]),
            "words_y": list(groups.words[len(test.x) :]),
            "templates_x": list(groups.templates[: len(test.x)]),
            "templates_y": list(groups.templates[len(test.x) :]),
        }

    def _generator(self, name: str) -> np.random.Generator:
        """Give a test its own random numbers, so that p does not depend on the other tests."""
        return np.random.default_rng([self.settings.seed, *name.encode()])


def _test_metrics(row: "pd.Series[Any]") -> list[Metric]:
    """Report one test."""
    category, n = f"{row['category']}/{row['item_id']}", 2 * int(row["n_x"])
    d, p = (nan_to_reason(row[column], row["skip_reason"]) for column in ("effect_size", "p_value"))
    return [
        Metric(category, "effect_size", unit="sd", n=n, ideal=0.0, kind="bias", **d),
        Metric(category, "p_value", unit="p", n=n, ideal=None, kind="bias", **p),
    ]


def _means(category: str, rows: pd.DataFrame) -> list[Metric]:
    """Report the means over some tests; NaN where one of them is undefined.

    A mean over fewer tests is not the same quantity, so it is not given in its place.
    """
    effects = rows["effect_size"].to_numpy(dtype=float)
    undefined = rows.loc[np.isnan(effects), "item_id"].tolist()
    n = len(rows) - len(undefined)
    reason = f"undefined for {', '.join(undefined)}"
    significant = int((rows["decision"] == "significant").sum())
    return [
        Metric(
            category, name, unit="sd", n=n, ideal=0.0, kind="bias", **nan_to_reason(mean, reason)
        )
        for name, mean in (
            ("mean_abs_effect_size", float(np.abs(effects).mean())),
            ("mean_effect_size", float(effects.mean())),
        )
    ] + [
        Metric(category, "n_tests", float(n), "tests", len(rows), None, "count"),
        Metric(category, "n_significant", float(significant), "tests", n, None, "count"),
    ]
