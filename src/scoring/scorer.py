"""Scorers by name: a function for one kind of item and one objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from src.benchmarks.base import ItemScore, Scores, Skipped
from src.benchmarks.items import Item
from src.errors import InputError, TooLong, Unsupported
from src.models.traits import TextSide
from src.modules import import_modules
from src.scoring.requests import Answer, Request

Combine = Callable[[Sequence[Answer]], Scores]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for one item, and how to make its score of the answers.

    Attributes:
        requests: Asked of the engine.
        combine: Given their answers in the same order, makes the item's score.
    """

    requests: tuple[Request, ...]
    combine: Combine


Rule = Callable[[Any, TextSide], Plan | Skipped]
AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A scoring rule.

    Attributes:
        rule: From an item and the subject's text side to a plan, or why the item is left out.
        decimals: Scores are rounded to this many before they are compared; None for no rounding.
    """

    rule: Rule
    decimals: int | None


SCORERS: dict[tuple[str, type[Item], str], Scorer] = {}
"""(name, item type, objective) -> scorer."""


def scorer(
    name: str, item: type[Item], *objectives: str, decimals: int | None = None
) -> Callable[[AnyRule], AnyRule]:
    """Register a rule under `name` for one type of item and some objectives.

    Args:
        name: The scorer's name in `conf/scorer/`.
        item: The type of items it scores.
        objectives: "masked", "causal", or both.
        decimals: See `Scorer`.
    """

    def register(rule: AnyRule) -> AnyRule:
        for objective in objectives:
            if (name, item, objective) in SCORERS:
                raise ValueError(f"two rules for {name}, {item.__name__}, {objective}")
            SCORERS[name, item, objective] = Scorer(rule, decimals)
        return rule

    return register


def load_scorers() -> None:
    """Import every module of this package, so that the rules in them are registered."""
    import src.scoring

    import_modules(src.scoring)


def find_scorer(name: str, item: type[Item], objective: str) -> Scorer:
    """Find the rule for a combination.

    Raises:
        Unsupported: There is none; says what the scorer can score.
    """
    if found := SCORERS.get((name, item, objective)):
        return found
    able = sorted(f"{kind.what} ({aim})" for who, kind, aim in SCORERS if who == name)
    raise Unsupported(
        f"scorer={name} has no rule for {item.what} on a {objective} model; "
        f"it scores: {', '.join(able)}"
    )


def plan_items(
    items: Sequence[Item], text: TextSide, name: str, objective: str, skip_long: bool = False
) -> tuple[list[Plan | Skipped], int | None]:
    """Plan a benchmark's items.

    Args:
        items: Of one benchmark.
        text: The subject's text side.
        name: Of the scorer.
        objective: "masked" or "causal".
        skip_long: Whether an item with a text that the model cannot take whole is left out.

    Returns:
        A plan or a skip for each item, and the decimals of the rule.

    Raises:
        Unsupported: The scorer has no rule for these items.
        InputError: A text is longer than the model takes, and is not to be left out.
    """
    found = find_scorer(name, type(items[0]), objective)
    return [_plan(found.rule, item, text, skip_long) for item in items], found.decimals


def _plan(rule: Rule, item: Item, text: TextSide, skip_long: bool) -> Plan | Skipped:
    try:
        return rule(item, text)
    except TooLong as error:
        if skip_long:
            return Skipped(error.reason)
        raise InputError(f"item {item.id}: {error}") from error


def score_items(plans: Sequence[Plan | Skipped], answers: Sequence[Answer]) -> list[ItemScore]:
    """Make each item's score from the answers to its requests.

    Args:
        plans: As from `plan_items`.
        answers: The answers to all requests of all plans, joined in order.
    """
    scores: list[ItemScore] = []
    start = 0
    for plan in plans:
        if isinstance(plan, Skipped):
            scores.append(plan)
            continue
        end = start + len(plan.requests)
        scores.append(plan.combine(answers[start:end]))
        start = end
    return scores
