"""The word and the template of SEAT's sentences, found from the sentences themselves.

"This is Amy." and "Amy is here." share a word, "This is Amy." and "This is John." a template. The
files do not say so, and neither are sentences that share one independent of each other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

BLANK = "_"
BLEACHED = frozenset(
    (
        *("a", "the", "this", "that", "these", "those", "there", "here", "it", "they", "is", "are"),
        *("person", "people", "thing", "things", "person's", "name"),
    )
)
"""Words of the templates of May et al. (2019), which are meant to say nothing of their own."""
PLURALS = (("ies", "y"), ("men", "man"), ("ren", ""), ("es", ""), ("s", ""))
"""Endings of English plurals and what the singular has in their place; tried in this order."""


class Groups(NamedTuple):
    """What some sentences are made of, in the order of the sentences."""

    words: tuple[str, ...]
    templates: tuple[str, ...]


def word_and_template(sentences: Sequence[str]) -> Groups:
    """Split each sentence into a word (of one token or more) and the template around it.

    It splits around SEAT's own template words, and also, for sentences of another make, so that
    few words and templates explain the set; whichever of the two gives fewer groups is taken. A
    plural counts as the word of its singular where that is there too ("the lady is here", "they
    are ladies"), and "an" as "a".

    Args:
        sentences: All target sentences of a test, both sets together.

    Returns:
        A word and a template a sentence, in lower case.
    """
    tokens = [_tokens(sentence) for sentence in sentences]
    ways = [_grouped([_bleached(line) for line in tokens]), _grouped(_fewest(tokens))]
    # Where no word is there twice, whole sentences may have been taken for words.
    telling = [way for way in ways if len(set(way.words)) < len(sentences)] or ways
    return min(telling, key=lambda way: len(set(way.words)) + len(set(way.templates)))


def _tokens(sentence: str) -> list[str]:
    tokens = sentence.lower().rstrip(" .!?").split()
    return ["a" if token == "an" else token for token in tokens]


def _split(tokens: Sequence[str], start: int, end: int) -> tuple[str, str]:
    return " ".join(tokens[start:end]), " ".join([*tokens[:start], BLANK, *tokens[end:]])


def _bleached(tokens: Sequence[str]) -> tuple[str, str]:
    """Take out what lies between the first and the last token that is no template's."""
    places = [index for index, token in enumerate(tokens) if token not in BLEACHED]
    return _split(tokens, places[0], places[-1] + 1) if places else _split(tokens, 0, len(tokens))


def _fewest(lines: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Take out the run of tokens that adds least to the number of words and templates.

    A split adds 1 / (sentences that could have this word) + 1 / (that could have this template).
    """
    options = [list(_splits(tokens)) for tokens in lines]
    words = Counter(word for splits in options for word, _ in splits)
    templates = Counter(template for splits in options for _, template in splits)
    return [
        min(splits, key=lambda split: 1 / words[split[0]] + 1 / templates[split[1]])
        for splits in options
    ]


def _splits(tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    for start in range(len(tokens)):
        for end in range(start + 1, len(tokens) + 1):
            yield _split(tokens, start, end)


def _grouped(splits: Sequence[tuple[str, str]]) -> Groups:
    known = {word for word, _ in splits}
    words = tuple(_singular(word, known) for word, _ in splits)
    return Groups(words, tuple(template for _, template in splits))


def _singular(word: str, known: set[str]) -> str:
    """Give the singular of a plural, "women of color" included, where it is a known word."""
    head, *rest = word.split(" ")
    for first, tail in ((word, []), (head, rest)):
        for plural, singular in PLURALS:
            stem = " ".join([first.removesuffix(plural) + singular, *tail])
            if first.endswith(plural) and stem in known:
                return stem
    return word
