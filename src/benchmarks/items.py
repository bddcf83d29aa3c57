"""Benchmark examples as plain data: what the scorers are given, and nothing about models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

Flags = Mapping[str, bool | None]
"""Column of the item table -> whether that doubt applies; None where the data do not tell."""


@dataclass(frozen=True, slots=True)
class Item:
    """One benchmark example.

    Attributes:
        id: The data's own identifier (CrowS-Pairs row number, StereoSet cluster id, SEAT test).
        category: The category the item is reported under ("gender", "race", ...).
        cluster: Items of one cluster are not independent of each other; resampling keeps them
            together (StereoSet target term). Equal to `id` where every item stands alone.
        flags: What is doubtful about the item; nothing for a benchmark that has no such flags.
        what: What items of this type are called in messages.
    """

    what: ClassVar[str] = "items"
    id: str
    category: str
    cluster: str
    flags: Flags = field(default_factory=dict, kw_only=True, hash=False)


@dataclass(frozen=True, slots=True)
class SentencePair(Item):
    """A CrowS-Pairs pair of minimally different sentences.

    Attributes:
        more: The more stereotyping sentence.
        less: Its counterpart.
        direction: "stereo" where `more` states a stereotype of a disadvantaged group,
            "antistereo" where `less` violates one (`more` is then about another group).
    """

    what: ClassVar[str] = "CrowS-Pairs"
    more: str
    less: str
    direction: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the three answers of a StereoSet cluster.

    Attributes:
        id: The sentence id, by which predictions files name it.
        label: "stereotype", "anti-stereotype" or "unrelated".
        sentence: The full candidate sentence.
        word: The word(s) put in the blank, punctuation removed; empty for intersentence.
    """

    id: str
    label: str
    sentence: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class FillIn(Item):
    """A StereoSet intrasentence cluster: a context with the word BLANK, and three candidates."""

    what: ClassVar[str] = "StereoSet intrasentence"
    context: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Discourse(Item):
    """A StereoSet intersentence cluster: a context sentence and three next sentences."""

    what: ClassVar[str] = "StereoSet intersentence"
    context: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class AssociationTest(Item):
    """A SEAT test: two sets of target sentences (X, Y) and two of attribute sentences (A, B)."""

    what: ClassVar[str] = "SEAT"
    x: tuple[str, ...]
    y: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labelled(Item):
    """An example of a task that a model was fine-tuned on.

    Attributes:
        task: Name of the task.
        first: Its text, or the first of two.
        second: The second text; None where there is one only.
        label: Number of its class, or the value to predict.
        pooling: Which hidden state the task's head reads: "first" or "last" token, or "mean".
        longest: Tokens that the head was trained on at most; longer texts are cut.
    """

    what: ClassVar[str] = "task"
    task: str
    first: str
    second: str | None
    label: float
    pooling: str = "mean"
    longest: int = 128
