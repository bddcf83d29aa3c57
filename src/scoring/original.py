"""Scorer `original`: what each benchmark's own authors did."""

from collections.abc import Sequence

import numpy as np

from src.benchmarks.base import Scores, Skipped
from src.benchmarks.items import AssociationTest, Discourse, FillIn, SentencePair
from src.models.traits import TextSide
from src.scoring.plans import align, ended, fill_in_plan, grouped_plan, masked_pair_plan
from src.scoring.requests import Answer, Embedding, Request, next_tokens
from src.scoring.scorer import Plan, scorer


@scorer("original", SentencePair, "masked", decimals=3)
def shared_tokens(pair: SentencePair, text: TextSide) -> Plan | Skipped:
    """Sum of the log-probabilities of the shared tokens, masked one at a time (Nangia et al. 2020).

    The first and last shared token are left out: [CLS] and [SEP].
    """
    more, less, shared_more, shared_less = align(pair, text, equal=True)
    return masked_pair_plan((more, shared_more[1:-1]), (less, shared_less[1:-1]), text, np.sum)


@scorer("original", FillIn, "masked")
def fill_in_word(cluster: FillIn, text: TextSide) -> Plan | Skipped:
    """As `bias_bench`, but the word is encoded without the space before it (Nadeem et al. 2021).

    For byte-level tokenizers (RoBERTa) that is another token than the word has in a sentence; it
    costs about 18 points of LM score, and is kept here only.
    """
    return fill_in_plan(cluster, text, leading_space=False)


@scorer("original", Discourse, "causal")
def unconditional_over_context(cluster: Discourse, text: TextSide) -> Plan | Skipped:
    """Mean log-probability of the next sentence *alone* over that of the context.

    What StereoSet's published likelihood code computes, to the letter: the next sentence is never
    read after its context, and as both means are negative, the ratio is larger for the *less*
    likely sentence. `bias_bench` scores the sentence given its context instead.
    """
    start = text.traits.start_id
    context = next_tokens(text.encode(ended(cluster.context), special=False), start)
    asked: dict[str, list[Request]] = {"context": context}
    for candidate in cluster.candidates:
        asked[candidate.id] = next_tokens(text.encode(candidate.sentence, special=False), start)
    if not all(asked.values()):
        return Skipped("a sentence of one token has no probability without a start token")
    means = grouped_plan(asked, lambda values: float(np.mean(values)))

    def combine(answers: Sequence[Answer]) -> Scores:
        found = dict(means.combine(answers))
        below = found.pop("context")
        return {name: mean / below for name, mean in found.items()}

    return Plan(means.requests, combine)


@scorer("original", AssociationTest, "masked")
def first_token(test: AssociationTest, text: TextSide) -> Plan | Skipped:
    """The first token's last hidden state, no special tokens added (May et al. 2019).

    Without special tokens the first token is a word of the sentence and not [CLS].
    """
    sentences = list(dict.fromkeys((*test.x, *test.y, *test.a, *test.b)))
    requests = tuple(Embedding(text.encode(one, special=False), "first") for one in sentences)

    def combine(answers: Sequence[Answer]) -> Scores:
        return dict(zip(sentences, answers, strict=True))

    return Plan(requests, combine)
