"""SEAT as estimands: words and templates are resampled, each with all of its sentences.

A sentence counts as often as its word times as often as its template (two-way bootstrap; Owen,
2007, "The pigeonhole bootstrap"), as neither sentences with the same word nor sentences with the
same template are independent. The attribute sentences are fixed: they say what is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from src.benchmarks.association import ROUNDING
from src.errors import InputError
from src.statistics.estimand import ANYTHING, Estimand, Float, Integer, Mask, Model

COLUMNS = tuple(
    f"{what}_{part}" for part in "xy" for what in ("associations", "words", "templates")
)
"""List columns of the item table that everything here is made from."""


@dataclass(frozen=True)
class Targets:
    """One test's target sentences: X first, then Y.

    Attributes:
        associations: Shape (n_sentences,).
        in_x: Whether a sentence is one of X, shape (n_sentences,).
        words: Unit of each sentence's word, shape (n_sentences,).
        templates: Unit of each sentence's template, shape (n_sentences,).
    """

    associations: Float
    in_x: Mask
    words: Integer
    templates: Integer

    @cached_property
    def places(self) -> tuple[Integer, Integer]:
        """Units of the words and of the templates it has, each once."""
        return np.unique(self.words), np.unique(self.templates)

    def sums(self, center: float) -> tuple[Float, Float]:
        """Give Σ 1, Σ (s - center), Σ (s - center)² by word and template, of X and of Y.

        Returns:
            Two arrays of shape (words, 3, templates), as `places` has them.
        """
        found = []
        for chosen in (self.in_x, ~self.in_x):
            rows = np.searchsorted(self.places[0], self.words[chosen])
            columns = np.searchsorted(self.places[1], self.templates[chosen])
            table = np.zeros((self.places[0].size, 3, self.places[1].size))
            for power in range(3):
                powers = (self.associations[chosen] - center) ** power
                np.add.at(table[:, power], (rows, columns), powers)
            found.append(table)
        return found[0], found[1]


class Effects:
    """Effect sizes of some tests as functions of weights of words and templates."""

    def __init__(self, tests: Sequence[Targets]) -> None:
        """Sum the associations by word and template."""
        self.tests = tuple(tests)
        self._centers = [float(test.associations.mean()) for test in tests]
        self._sums = [test.sums(c) for test, c in zip(tests, self._centers, strict=True)]
        self._last: tuple[Float, Float] | None = None

    def evaluate(self, weights: Float) -> Float:
        """Give the effect sizes, shape (B, n_tests), for weights of shape (B, n)."""
        # Several metrics ask for the same weights one after the other.
        if self._last is None or self._last[0] is not weights:
            columns = [
                _effect_sizes(*(_weighted(part, weights, *test.places) for part in sums))
                for test, sums in zip(self.tests, self._sums, strict=True)
            ]
            self._last = weights, np.stack(columns, axis=1)
        return self._last[1]

    def mixed(self, other: "Effects", swap: Float) -> Float:
        """Give the effect sizes with the words where `swap` (B, n) is 1 from `other`."""
        columns = []
        for test, center, sums, theirs in zip(
            self.tests, self._centers, self._sums, other.tests, strict=True
        ):
            parts = []
            for own, others in zip(sums, theirs.sums(center), strict=True):
                mine = own.sum(axis=2)
                changed = swap[:, test.places[0]] @ (others.sum(axis=2) - mine)
                parts.append(mine.sum(axis=0) + changed)
            columns.append(_effect_sizes(*parts))
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Crossed:
    """A function of some tests' effect sizes.

    Attributes:
        units: Names of the words, then of the templates.
        strata: Words of one set (or of sets that share words) are a stratum, templates likewise.
        swappable: True for words.
        effects: The tests.
        combine: From effect sizes of shape (B, n_tests) to values of shape (B,).
    """

    units: tuple[str, ...]
    strata: Integer
    swappable: Mask
    effects: Effects
    combine: Callable[[Float], Float]

    def evaluate(self, weights: Float) -> Float:
        """Give the values, shape (B,), for weights of shape (B, n)."""
        return self.combine(self.effects.evaluate(weights))

    def mixed(self, other: Model, swap: Float) -> Float:
        """Give the values, shape (B,), with the words where `swap` (B, n) is 1 from `other`."""
        assert isinstance(other, Crossed)
        return self.combine(self.effects.mixed(other.effects, swap))

    def differs(self, other: Model) -> Mask:
        """Tell which words have another association in `other`, shape (n,)."""
        assert isinstance(other, Crossed)
        different = np.zeros(len(self.units), dtype=np.bool_)
        for test, others in zip(self.effects.tests, other.effects.tests, strict=True):
            different[test.words[test.associations != others.associations]] = True
        return different


def effect_estimands(table: pd.DataFrame) -> list[Estimand]:
    """Make the effect size of each test of an item table an estimand."""
    return [
        _estimand(f"{row['category']}/{row['item_id']}", "effect_size", table.loc[[index]], _first)
        for index, row in table.iterrows()
    ]


def mean_estimands(category: str, rows: pd.DataFrame) -> list[Estimand]:
    """Make the means over some tests estimands; tests that share words are resampled together."""
    size = _estimand(category, "mean_abs_effect_size", rows, _mean_abs, folded=True)
    assert isinstance(size.model, Crossed)
    signed = replace(size.model, combine=_mean)
    return [
        size,
        replace(size, metric="mean_effect_size", model=signed, bounds=ANYTHING, folded=False),
    ]


def _estimand(
    category: str,
    metric: str,
    rows: pd.DataFrame,
    combine: Callable[[Float], Float],
    folded: bool = False,
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
        bounds=(0.0, float("inf")) if folded else ANYTHING,
        folded=folded,
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
            Targets(
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
        effects=Effects(tests),
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


def _weighted(sums: Float, weights: Float, words: Integer, templates: Integer) -> Float:
    """Weigh sums by word and template, shape (words, 3, templates), to sums of shape (B, 3)."""
    by_template = weights[:, words] @ sums.reshape(len(words), -1)
    by_template = by_template.reshape(len(weights), 3, len(templates))
    weighted: Float = np.einsum("bpt,bt->bp", by_template, weights[:, templates])
    return weighted


def _effect_sizes(of_x: Float, of_y: Float) -> Float:
    """Compute d as in `src.benchmarks.association`, but from sums.

    Args:
        of_x: Σ weight, Σ weight · s, Σ weight · s² of X, shape (B, 3).
        of_y: The same of Y.

    Returns:
        Shape (B,); NaN where a set is empty or all associations are equal.
    """
    (n_x, x, x2), (n_y, y, y2) = of_x.T, of_y.T
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
