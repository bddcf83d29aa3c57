"""Scorers `pll` and `pll_word_l2r`: pseudo-log-likelihood of a whole sentence.

A sum over its tokens, so that a longer sentence scores lower. Of a StereoSet next sentence the
tokens after the context are scored, the context in view.
"""

from collections.abc import Callable, Sequence

import numpy as np

from src.benchmarks.base import Skipped
from src.benchmarks.items import Discourse, FillIn, SentencePair
from src.models.traits import TextSide
from src.scoring.plans import grouped_plan, masked_tokens
from src.scoring.requests import LogProbs, Request
from src.scoring.scorer import Plan, scorer
from src.scoring.sentences import own_tokens, sentences

AnyText = SentencePair | FillIn | Discourse
Ask = Callable[[str, Sequence[int]], list[Request]]
"""From a sentence and the positions of its own tokens to one request a token."""


@scorer("pll", SentencePair, "masked")
@scorer("pll", FillIn, "masked")
@scorer("pll", Discourse, "masked")
def pseudo_log_likelihood(item: AnyText, text: TextSide) -> Plan | Skipped:
    """Sum of the log-probabilities of all tokens, masked one at a time (Salazar et al. 2020).

    It is too high for a word of several tokens, whose other tokens stay in view.
    """
    mask = text.mask()
    return _summed(item, text, lambda one, at: masked_tokens(text.encode(one), at, mask))


@scorer("pll_word_l2r", SentencePair, "masked")
@scorer("pll_word_l2r", FillIn, "masked")
@scorer("pll_word_l2r", Discourse, "masked")
def within_word_left_to_right(item: AnyText, text: TextSide) -> Plan | Skipped:
    """As `pll`, the later tokens of the same word masked too (Kauf and Ivanova 2023)."""
    mask = text.mask()

    def ask(sentence: str, positions: Sequence[int]) -> list[Request]:
        ids, words = text.encode(sentence), text.words(sentence)
        asked: list[Request] = []
        for at in positions:
            hidden = {later for later in positions if later >= at and words[later] == words[at]}
            masked = tuple(mask if place in hidden else one for place, one in enumerate(ids))
            asked.append(LogProbs(masked, (at,), (ids[at],)))
        return asked

    return _summed(item, text, ask)


def _summed(item: AnyText, text: TextSide, ask: Ask) -> Plan | Skipped:
    positions = own_tokens(item, text)
    if not all(positions.values()):
        return Skipped("a sentence has no tokens")
    asked = {name: ask(one, positions[name]) for name, one in sentences(item).items()}
    return grouped_plan(asked, lambda values: float(np.sum(values)))
