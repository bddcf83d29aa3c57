"""Counterfactual data augmentation: the same documents with gendered words swapped.

Lu et al. (2020, "Gender bias in neural natural language processing") add a swapped copy; Hall
Maudslay et al. (2019, "It's all in the name") put it in the document's place by a coin and swap
first names as well.
"""

import csv
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from src.choices import help_, one_of
from src.errors import InputError
from src.training.transforms.possessives import is_possessive_her
from src.training.transforms.registry import Transform, transform

HERE = Path(__file__).parent
MODES = ("augment", "substitute")
PRONOUNS = {"he": "she", "she": "he", "himself": "herself", "herself": "himself", "him": "her"}
"""The unambiguous ones; his, her and hers depend on what follows."""
TITLES = {"mr": "mrs", "mrs": "mr", "ms": "mr", "miss": "mr."}
OF_A_NAME = re.compile(r"(?:Ms\.?|Miss)\s+[^\W\d_a-z]")
"""Ms and Miss count before a capital letter only: "ms" is also a unit, and "miss" a verb."""


@dataclass
class CounterfactualConfig:
    """Which words are swapped, and what becomes of the swapped text."""

    mode: str = field(
        default="augment",
        metadata=help_(
            "augment: a document that has gendered words is followed by its swapped copy; "
            "substitute: one of the two, by a coin",
            MODES,
        ),
    )
    pairs: str | None = field(
        default=None,
        metadata=help_(
            "CSV of masculine,feminine nouns with a header line; null: the list of this project"
        ),
    )
    names: bool = field(
        default=False, metadata=help_("also swap common first names, capitalised ones only")
    )
    kind: str = "counterfactual"

    def __post_init__(self) -> None:
        """Check the mode.

        Raises:
            InputError: An unknown mode.
        """
        one_of("corpus.transform.counterfactual.mode", self.mode, MODES)

    @property
    def lists(self) -> dict[str, Path]:
        """The files of words that are swapped, by what the words are."""
        nouns = Path(self.pairs).expanduser() if self.pairs else HERE / "gender_pairs.csv"
        return {"pairs": nouns} | ({"names": HERE / "name_pairs.csv"} if self.names else {})


def read_pairs(path: Path) -> dict[str, str]:
    """Read pairs as a map in both directions.

    A word in several pairs is swapped as the first says: lady (gentleman, lord) becomes gentleman.

    Raises:
        InputError: The file cannot be read or has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"corpus.transform.counterfactual.pairs={path} cannot be read: {error}"
        ) from error
    if not rows or rows[0] != ["masculine", "feminine"] or any(len(row) != 2 for row in rows):
        raise InputError(
            f"{path} (corpus.transform.counterfactual.pairs) is no list of pairs; its first line "
            "is masculine,feminine and every other has one word of each."
        )
    swaps: dict[str, str] = {}
    for masculine, feminine in rows[1:]:
        swaps.setdefault(masculine, feminine)
        swaps.setdefault(feminine, masculine)
    return swaps


def swapped(text: str, nouns: dict[str, str], names: dict[str, str]) -> str:
    """Swap the gendered words of a text.

    Args:
        text: Any text.
        nouns: Lower-case word -> its counterpart; the case of the text is kept.
        names: Capitalised name -> its counterpart.
    """
    return _pattern((*nouns, *names)).sub(partial(_counterpart, nouns=nouns, names=names), text)


def _counterpart(found: re.Match[str], nouns: dict[str, str], names: dict[str, str]) -> str:
    word = found[0]
    if word in names:
        return names[word]
    lower = word.lower()
    after = found.string[found.end() : found.end() + 60]
    if lower == "her":
        other = "his" if is_possessive_her(after) else "him"
    elif lower == "his":
        other = "her" if is_possessive_her(after) else "hers"
    elif lower == "hers":
        other = "his"
    elif lower in ("ms", "miss") and not OF_A_NAME.match(found.string, found.start()):
        other = nouns.get(lower, word)
    else:
        other = PRONOUNS.get(lower) or TITLES.get(lower) or nouns.get(lower, word)
    return _like(word, other)


def _like(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other


_PATTERNS: dict[tuple[str, ...], re.Pattern[str]] = {}


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    if words not in _PATTERNS:
        every = sorted({*words, *PRONOUNS, *TITLES, "his", "her", "hers"}, key=len, reverse=True)
        _PATTERNS[words] = re.compile(rf"(?<!\w)(?:{'|'.join(every)})(?!\w)", re.IGNORECASE)
    return _PATTERNS[words]


@transform("counterfactual", CounterfactualConfig)
def counterfactual(settings: CounterfactualConfig) -> Transform:
    """Give a transform that adds or substitutes the swapped text."""
    read = {words: read_pairs(path) for words, path in settings.lists.items()}
    nouns = {word.lower(): other.lower() for word, other in read["pairs"].items()}
    names = read.get("names", {})
    swap: Callable[[str], str] = partial(swapped, nouns=nouns, names=names)

    def augment(text: str, rng: random.Random) -> list[str]:
        other = swap(text)
        return [text] if other == text else [text, other]

    def substitute(text: str, rng: random.Random) -> list[str]:
        return [swap(text) if rng.random() < 0.5 else text]

    return augment if settings.mode == "augment" else substitute
