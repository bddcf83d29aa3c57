"""Scorers `sum`, `mean` and `conditional`: a causal model's log-likelihood, read in one pass.

The text stands behind the start token, which gives its first token a probability: the rule that
lm-evaluation-harness has for a text without context. Without a start token
(`scorer.start_token=none`) the first token is left out. `bias_bench`, in contrast, reads a text
without the start token and takes the first token's probability from a pass of its own.
"""

from collections.abc import Callable

import numpy as np

from src.benchmarks.base import Skipped
from src.benchmarks.items import Discourse, FillIn, SentencePair
from src.models.traits import TextSide
from src.scoring.plans import Ids, ended, grouped_plan, shared_prefix
from src.scoring.requests import Answer, later_tokens
from src.scoring.scorer import Plan, scorer
from src.scoring.sentences import sentences

AnyText = SentencePair | FillIn | Discourse


@scorer("sum", SentencePair, "causal")
@scorer("sum", FillIn, "causal")
@scorer("sum", Discourse, "causal")
def log_likelihood(item: AnyText, text: TextSide) -> Plan | Skipped:
    """Sum of the tokens' log-probabilities; of a next sentence, given its context.

    A longer sentence scores lower. What all alternatives begin with adds the same to each.
    """
    return _plan(item, text, _beginning(item, text), np.sum)


@scorer("mean", SentencePair, "causal")
@scorer("mean", FillIn, "causal")
@scorer("mean", Discourse, "causal")
def mean_log_likelihood(item: AnyText, text: TextSide) -> Plan | Skipped:
    """Mean of the tokens' log-probabilities; of a next sentence, given its context."""
    return _plan(item, text, _beginning(item, text), np.mean)


@scorer("conditional", SentencePair, "causal")
@scorer("conditional", FillIn, "causal")
@scorer("conditional", Discourse, "causal")
def mean_given_shared_beginning(item: AnyText, text: TextSide) -> Plan | Skipped:
    """Mean log-probability of what follows the tokens that all alternatives begin with, given them.

    For StereoSet's blank: log P(word and rest | what is before the blank) over the tokens of word
    and rest; minicons' `conditional_score` (Misra 2022) with the beginning as its prefix. In
    `mean` the shared beginning, divided by different lengths, favours one alternative; here it
    cannot. Of a next sentence it is the same as `mean`.
    """
    if isinstance(item, Discourse):
        return mean_log_likelihood(item, text)
    first, *others = (text.encode_after_start(one) for one in sentences(item).values())
    # At least one: with nothing before it, the very first token has no probability.
    return _plan(item, text, min(shared_prefix(first, other) for other in others), np.mean)


def _beginning(item: AnyText, text: TextSide) -> int:
    """Find the position after the start token, and after a context if there is one."""
    if not isinstance(item, Discourse):
        return 1 if text.traits.start_id is not None else 0
    context = text.encode_after_start(ended(item.context))
    wholes = (text.encode_after_start(one) for one in sentences(item).values())
    return min(shared_prefix(context, whole) for whole in wholes)


def _plan(
    item: AnyText, text: TextSide, start: int, reduce: Callable[[Answer], np.floating]
) -> Plan | Skipped:
    wholes: dict[str, Ids] = {
        name: text.encode_after_start(one) for name, one in sentences(item).items()
    }
    asked = {name: later_tokens(ids, start) for name, ids in wholes.items()}
    if not all(asked.values()):
        return Skipped(
            "a sentence has no token that can be scored: it ends where the others go on, or its "
            "only token has no probability without a start token"
        )
    return grouped_plan(asked, lambda values: float(reduce(values)))
