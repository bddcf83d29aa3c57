"""SEAT as estimands: words and templates are resampled, each with all of its sentences.

A sentence counts as often as its word times as often as its template (two-way bootstrap; Owen,
2007, "The pigeonhole bootstrap"), as neither sentences with the same word nor sentences with the
same template are independent. The attribute sentences are fixed: they say what is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.benchmarks.association import ROUNDING
from src.errors import InputError
from src.statistics.estimand import Estimand, Float, Integer, Model

COLUMNS = tuple(
    f"{what}_{part}" for part in "xy" for what in ("associations", "words", "templates")
)
"""List columns of the item table that everything here is made from."""


@dataclass(frozen=True)
class Test:
    """One test's target sentences: X first, then Y.

    Attributes:
        associations: Shape (n_sentences,).
        in_x: Whether a sentence is one of X, shape (n_sentences,).
        words: Unit of each sentence's word, shape (n_sentences,).
        templates: Unit of each sentence's template, shape (n_sentences,).
    """

    associations: Float
    in_x: npt.NDArray[np.bool_]
    words: Integer
    templates: Integer

    def tables(self, center: float) -> Float:
        """Give Σ 1, Σ s and Σ s² of X's, then of Y's sentences, by word and template.

        Returns:
            Shape (6, words, templates), both numbered as `np.unique` sorts them.
        """
        rows, columns = (
            np.unique(units, return_inverse=True) for units in (self.words, self.templates)
        )
        tables = np.zeros((6, rows[0].size, columns[0].size))
        for part, chosen in enumerate((self.in_x, ~self.in_x)):
            for power in range(3):
                powers = (self.associations[chosen] - center) ** power
                np.add.at(tables[3 * part + power], (rows[1][chosen], columns[1][chosen]), powers)
        return tables


@dataclass(frozen=True)
class Crossed:
    """Effect sizes of some tests as functions of weights of words and templates.

    Attributes:
        units: Names of the words, then of the templates.
        strata: Words of one set (or of sets that share words) are a stratum, templates likewise.
        swappable: True for words.
        tests: The tests.
        combine: From effect sizes of shape (B, n_tests) to values of shape (B,).
    """

    units: tuple[str, ...]
    strata: Integer
    swappable: npt.NDArray[np.bool_]
    tests: tuple[Test, ...]
    combine: Callable[[Float], Float]

    @cached_property
    def _tables(self) -> list[tuple[Integer, Integer, float, Float]]:
        prepared = []
        for test in self.tests:
            center = float(test.associations.mean())
            places = np.unique(test.words), np.unique(test.templates)
            prepared.append((*places, center, test.tables(center)))
        return prepared

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        effects = [
            _effect_sizes(((weights[:, words] @ tables) * weights[:, templates]).sum(axis=2))
            for words, templates, _, tables in self._tables
        ]
        return self.combine(np.stack(effects, axis=1))

    def mixed(self, other: Model, swap: Float) -> Float:
        """Give the values, shape (B,), with the words where `swap` (B, n) is 1 from `other`."""
        assert isinstance(other, Crossed)
        effects = []
        for (words, _, center, tables), test in zip(self._tables, other.tests, strict=True):
            own, others = tables.sum(axis=2), test.tables(center).sum(axis=2)  # (6, words)
            swapped = swap[:, words]
            sums = own.sum(axis=1) + swapped @ (others - own).T
            effects.append(_effect_sizes(sums.T))
        return self.combine(np.stack(effects, axis=1))


def effect_estimands(table: pd.DataFrame) -> list[Estimand]:
    """Make the effect size of each test of an item table an estimand."""
    return [
        _estimand(f"{row['category']}/{row['item_id']}", "effect_size", table.loc[[index]], _first)
        for index, row in table.iterrows()
    ]


def mean_estimands(category: str, rows: pd.DataFrame) -> list[Estimand]:
    """Make the means over some tests estimands; tests that share words are resampled together."""
    return [
        _estimand(category, "mean_abs_effect_size", rows, _mean_abs, (0.0, float("inf"))),
        _estimand(category, "mean_effect_size", rows, _mean),
    ]


def _estimand(
    category: str,
    metric: str,
    rows: pd.DataFrame,
    combine: Callable[[Float], Float],
    bounds: tuple[float, float] = (-float("inf"), float("inf")),
) -> Estimand:
    undefined = rows[rows["effect_size"].isna()]
    single = metric == "effect_size"
    reason = f"undefined for {', '.join(undefined['item_id'])}" if len(undefined) else ""
    if single and reason:
        reason = str(undefined["skip_reason"].iloc[0])
    return Estimand(
        category=category,
        metric=metric,
        unit="sd",
        ideal=0.0,
        kind="bias",
        n=2 * int(rows["n_x"].iloc[0]) if single else len(rows) - len(undefined),
        model=_crossed(rows[rows["effect_size"].notna()], combine),
        reason=reason,
        bounds=bounds,
    )


def _crossed(rows: pd.DataFrame, combine: Callable[[Float], Float]) -> Crossed:
    """Number the words and templates of some tests.

    Raises:
        InputError: The table lacks the columns, as older versions wrote it.
    """
    if absent := [column for column in COLUMNS if column not in rows]:
        raise InputError(
            f"the item table lacks {', '.join(absent)}: an older version wrote it. Run the cell "
            "again (resume=false)."
        )
    sets = [list(map(str, words)) for part in "xy" for words in rows[f"words_{part}"]]
    frames = [
        [*map(str, x), *map(str, y)]
        for x, y in zip(rows["templates_x"], rows["templates_y"], strict=True)
    ]
    word_strata, template_strata = _strata(sets), _strata(frames)
    n_words, n_strata = len(word_strata), len(set(word_strata.values()))
    word_unit = {word: unit for unit, word in enumerate(word_strata)}
    template_unit = {template: n_words + unit for unit, template in enumerate(template_strata)}
    tests = []
    for number, (x, y) in enumerate(
        zip(rows["associations_x"], rows["associations_y"], strict=True)
    ):
        words = [*sets[number], *sets[len(rows) + number]]
        tests.append(
            Test(
                associations=np.concatenate([x, y]).astype(np.float64),
                in_x=np.arange(len(words)) < len(x),
                words=np.array([word_unit[word] for word in words]),
                templates=np.array([template_unit[template] for template in frames[number]]),
            )
        )
    return Crossed(
        units=(*word_strata, *template_strata),
        strata=np.array(
            [*word_strata.values(), *(n_strata + s for s in template_strata.values())],
            dtype=np.int64,
        ),
        swappable=np.arange(n_words + len(template_strata)) < n_words,
        tests=tuple(tests),
        combine=combine,
    )


def _strata(groups: Sequence[Sequence[str]]) -> dict[str, int]:
    """Number names so that groups which share a name, directly or not, have the same number."""
    merged: list[set[str]] = []
    for group in groups:
        apart = [names for names in merged if names.isdisjoint(group)]
        together = [names for names in merged if not names.isdisjoint(group)]
        merged = [*apart, set(group).union(*together)]
    number = {name: stratum for stratum, names in enumerate(merged) for name in names}
    return {name: number[name] for name in sorted(number, key=lambda name: (number[name], name))}


def _effect_sizes(sums: Float) -> Float:
    """Compute d as in `src.benchmarks.association`, but from sums.

    Args:
        sums: Σ weight, Σ weight · s, Σ weight · s² of X, then of Y; shape (6, B).

    Returns:
        Shape (B,); NaN where a set is empty or all associations are equal.
    """
    (n_x, x, x2), (n_y, y, y2) = sums[:3], sums[3:]
    with np.errstate(invalid="ignore", divide="ignore"):
        n = n_x + n_y
        squares = x2 + y2 - (x + y) ** 2 / n
        spread = np.sqrt(np.maximum(squares, 0.0) / (n - 1))
        effect: Float = (x / n_x - y / n_y) / np.where(spread > ROUNDING, spread, np.nan)
    return effect


def _first(effects: Float) -> Float:
    return effects[:, 0]


def _mean(effects: Float) -> Float:
    mean: Float = effects.mean(axis=1)
    return mean


def _mean_abs(effects: Float) -> Float:
    mean: Float = np.abs(effects).mean(axis=1)
    return mean
