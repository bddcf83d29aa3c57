"""What is doubtful about a CrowS-Pairs pair, found in the data alone.

Blodgett et al. (2021) and Névéol et al. (2022) found many pairs that do not compare what they are
meant to. A flag is True, False, or None where the file does not tell.
"""

import ast
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from src.benchmarks.items import Flags
from src.data.readers import read_csv
from src.errors import InputError

FEW = 1
"""A bias type that no more than so many of the (five) annotators chose is not agreed on."""
Sentences = tuple[str, str]


def pair_flags(
    row: Mapping[str, str], revised: Mapping[str, Sentences] | None, number: str, where: str
) -> Flags:
    """Judge one row of the file.

    - `flag_not_minimal`: the sentences differ in more than one place (words between spaces).
    - `flag_insertion_only`: they differ by words that only one of them has.
    - `flag_annotators_disagree`: at most one of the annotators chose the pair's bias type.
    - `flag_changed_in_revised`: Névéol et al. (2022) changed a sentence of the pair, or left the
      pair out.

    Args:
        row: Column -> text; `annotations` need not be there.
        revised: Number of each revised pair -> its sentences; None where they are not at hand.
        number: Of this pair.
        where: File and pair, for the message.

    Raises:
        InputError: `annotations` is no list of lists.
    """
    sentences = (row["sent_more"], row["sent_less"])
    changes = _changes(*sentences)
    return {
        "flag_not_minimal": len(changes) > 1,
        "flag_insertion_only": all(change in ("insert", "delete") for change in changes),
        "flag_annotators_disagree": _disagree(row, where),
        "flag_changed_in_revised": None if revised is None else revised.get(number) != sentences,
    }


def read_revised(
    path: str | None, number: str, locate: Callable[[str], Path]
) -> dict[str, Sentences] | None:
    """Read the revised pairs, if they are at hand.

    Args:
        path: In the data layout; None for no revised file.
        number: Name of the column with the pairs' numbers.
        locate: Finds data files.

    Returns:
        Number -> sentences; None where the file cannot be had.

    Raises:
        InputError: The file is there and malformed.
    """
    if path is None:
        return None
    try:
        found = locate(path)
    except InputError:  # it is not published at an address that could be pinned
        return None
    rows = read_csv(found, (number, "sent_more", "sent_less"), delimiter="\t", unique=number)
    return {row[number]: (row["sent_more"], row["sent_less"]) for row in rows}


def _changes(more: str, less: str) -> list[str]:
    matcher = difflib.SequenceMatcher(None, more.split(), less.split(), autojunk=False)
    return [tag for tag, *_ in matcher.get_opcodes() if tag != "equal"]


def _disagree(row: Mapping[str, str], where: str) -> bool | None:
    text = row.get("annotations", "").strip()
    if not text:
        return None
    try:
        chosen = ast.literal_eval(text)
        return sum(row["bias_type"] in set(one) for one in chosen) <= FEW
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{where}, column 'annotations': {text[:60]!r} is no list with a list for each "
            "annotator; correct it or leave the column out."
        ) from error
