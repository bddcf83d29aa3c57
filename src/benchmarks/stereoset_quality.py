"""What is doubtful about a StereoSet blank and the sentences that fill it."""

import re
from collections.abc import Iterable

from src.benchmarks.items import Flags


def blank_flags(context: str, sentences: Iterable[str], blank: str) -> Flags:
    """Judge one intrasentence cluster.

    - `flag_two_blanks`: the context has more than one blank, and the rules fill all alike.
    - `flag_blank_first`: it begins with the blank, so nothing stands before the word.
    - `flag_template_mismatch`: a candidate is not the context with the blank filled, so it
      differs from the others in more than the word.
    - `flag_case_mismatch`: a candidate is that only where upper and lower case are not told
      apart; nothing for an uncased model.

    Args:
        context: With the blank in it.
        sentences: The candidates.
        blank: The word that stands for it.
    """
    pattern = "(.+)".join(map(re.escape, context.split(blank)))
    found = [match_of(pattern, sentence) for sentence in sentences]
    return {
        "flag_two_blanks": context.count(blank) > 1,
        "flag_blank_first": context.startswith(blank),
        "flag_template_mismatch": "none" in found,
        "flag_case_mismatch": "case" in found,
    }


def match_of(pattern: str, sentence: str) -> str:
    """Say how a sentence fits a template: "exact", "case" (ignoring case only) or "none"."""
    if re.fullmatch(pattern, sentence, re.DOTALL):
        return "exact"
    return "case" if re.fullmatch(pattern, sentence, re.DOTALL | re.IGNORECASE) else "none"
