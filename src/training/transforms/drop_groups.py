"""Leave out documents that mention a named group."""

import random
import re
from dataclasses import dataclass, field

from src.choices import at_least, help_
from src.errors import InputError
from src.training.transforms.registry import Transform, transform


@dataclass
class DropGroupsConfig:
    """Which words, and how many of them a document may have."""

    words: list[str] = field(
        default_factory=list,
        metadata=help_(
            "whole words or phrases that name the group, whatever their case; "
            "word* also matches what begins with it"
        ),
    )
    mentions: int = field(
        default=1, metadata=help_("a document with at least so many mentions is left out")
    )
    kind: str = "drop_groups"

    def __post_init__(self) -> None:
        """Check the list.

        Raises:
            InputError: It is empty or has an empty word, or `mentions` is below 1.
        """
        if not self.words or not all(word.strip(" *") for word in self.words):
            raise InputError(
                "the words of a drop_groups transform (corpus.transform.NAME.words) are an empty "
                "list, or one of them is empty; list the words that name the group."
            )
        at_least("corpus.transform.NAME.mentions", self.mentions, 1)


def mention(words: list[str]) -> re.Pattern[str]:
    """Make a pattern that matches one mention; longer phrases are tried first."""
    ordered = sorted(words, key=len, reverse=True)
    parts = (
        r"\s+".join(map(re.escape, word.rstrip("*").split())) + (r"\w*" if "*" in word else "")
        for word in ordered
    )
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)


@transform("drop_groups", DropGroupsConfig)
def drop_groups(settings: DropGroupsConfig) -> Transform:
    """Give a transform that drops documents with `mentions` or more of the words."""
    pattern = mention(settings.words)

    def apply(text: str, rng: random.Random) -> list[str]:
        found = pattern.finditer(text)
        enough = all(next(found, None) is not None for _ in range(settings.mentions))
        return [] if enough else [text]

    return apply
