"""What the scoring rules share: aligning pairs, placing masks, turning answers into scores."""

import difflib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from src.benchmarks.base import Scores, Skipped
from src.benchmarks.items import Discourse, FillIn, SentencePair
from src.errors import InputError
from src.models.traits import TextSide
from src.scoring.requests import Answer, LogProbs, Request, next_tokens
from src.scoring.scorer import Plan

Ids = tuple[int, ...]


def align(
    pair: SentencePair, text: TextSide, equal: bool
) -> tuple[tuple[int, ...], tuple[int, ...], list[int], list[int]]:
    """Encode a pair and find the token positions that both share, or that differ.

    Args:
        pair: The pair.
        text: The subject's text side.
        equal: Positions of shared tokens if true, of changed ones otherwise.

    Returns:
        Ids of `more` and `less` with special tokens, then the positions in each. difflib is not
        symmetric, so the stereotypical sentence comes first, as in the official code.
    """
    more, less = text.encode(pair.more), text.encode(pair.less)
    first, second = (more, less) if pair.direction == "stereo" else (less, more)
    in_first: list[int] = []
    in_second: list[int] = []
    for tag, a0, a1, b0, b1 in difflib.SequenceMatcher(None, first, second).get_opcodes():
        if (tag == "equal") == equal:
            in_first.extend(range(a0, a1))
            in_second.extend(range(b0, b1))
    swap = pair.direction != "stereo"
    return (more, less, in_second, in_first) if swap else (more, less, in_first, in_second)


def masked_tokens(ids: tuple[int, ...], positions: Sequence[int], mask: int) -> list[Request]:
    """Ask for the token at each position with that position alone masked."""
    return [LogProbs((*ids[:at], mask, *ids[at + 1 :]), (at,), (ids[at],)) for at in positions]


def masked_pair_plan(
    more: tuple[Ids, list[int]],
    less: tuple[Ids, list[int]],
    text: TextSide,
    reduce: Callable[[Answer], np.floating],
) -> Plan:
    """Score both sentences of a pair by `reduce` over their masked tokens' log-probabilities.

    Args:
        more: Ids of `more`, and the positions to mask one at a time.
        less: The same of `less`.
        text: The subject's text side.
        reduce: np.mean or np.sum, over fp64 values.
    """
    asked = {
        "more": masked_tokens(*more, text.mask()),
        "less": masked_tokens(*less, text.mask()),
    }
    return grouped_plan(asked, lambda values: float(reduce(values)))


def sentences_plan(sentences: Mapping[str, str], text: TextSide) -> Plan | Skipped:
    """Score whole sentences by a causal model's geometric-mean token probability.

    Args:
        sentences: Name of the score -> sentence.
        text: The subject's text side.
    """
    asked = {}
    for name, sentence in sentences.items():
        ids = text.encode(sentence, special=False)
        if not ids:
            return Skipped(f"the sentence {sentence!r} has no tokens")
        asked[name] = next_tokens(ids, text.traits.start_id)
        if not asked[name]:
            return Skipped("a sentence of one token has no probability without a start token")
    return grouped_plan(asked, geometric_mean)


def fill_in_plan(cluster: FillIn, text: TextSide, leading_space: bool) -> Plan | Skipped:
    """Score each candidate word by the mean probability of its sub-tokens, left to right.

    Sub-token i is read off one mask that stands in the blank after sub-tokens 0..i-1. Where a
    context has two blanks both are filled alike and the first mask is read, as in the official
    code.

    Args:
        cluster: The cluster.
        text: The subject's text side.
        leading_space: Encode the word as it is inside a sentence, not at its start.
    """
    asked: dict[str, list[Request]] = {}
    mask = text.mask()
    for candidate in cluster.candidates:
        ids = text.encode(f" {candidate.word}" if leading_space else candidate.word, special=False)
        if not ids:
            return Skipped(f"the candidate word {candidate.word!r} has no tokens")
        asked[candidate.id] = []
        for index, target in enumerate(ids):
            filler = f"{text.decode(ids[:index])}{text.traits.mask_token}"
            whole = text.encode(cluster.context.replace("BLANK", filler))
            if mask not in whole:
                raise InputError(f"no mask token in {filler!r} of StereoSet cluster {cluster.id}")
            asked[candidate.id].append(LogProbs(whole, (whole.index(mask),), (target,)))
    return grouped_plan(asked, lambda values: float(np.exp(values).mean()))


def conditional_plan(cluster: Discourse, text: TextSide) -> Plan:
    """Score each next sentence by its geometric-mean token probability given the context."""
    context = text.encode(ended(cluster.context), special=False)
    asked: dict[str, list[Request]] = {}
    for candidate in cluster.candidates:
        ids = text.encode(f"{ended(cluster.context)} {candidate.sentence}", special=False)
        start = shared_prefix(context, ids)
        asked[candidate.id] = [LogProbs(ids, tuple(range(start - 1, len(ids) - 1)), ids[start:])]
    return grouped_plan(asked, geometric_mean)


def grouped_plan(asked: Mapping[str, Sequence[Request]], reduce: Callable[[Answer], float]) -> Plan:
    """Plan several named scores, each made of the joined answers to its own requests."""
    requests = tuple(request for group in asked.values() for request in group)
    ends = np.cumsum([len(group) for group in asked.values()])

    def combine(answers: Sequence[Answer]) -> Scores:
        starts = [0, *ends[:-1]]
        return {
            name: reduce(np.concatenate([*answers[start:end], np.empty(0)], dtype=np.float64))
            for name, start, end in zip(asked, starts, ends, strict=True)
        }

    return Plan(requests, combine)


def geometric_mean(log_probabilities: Answer) -> float:
    """Geometric mean of probabilities, from their natural logarithms."""
    return float(np.exp(np.mean(log_probabilities)))


def ended(sentence: str) -> str:
    """Close a sentence with a full stop if it has no end, as StereoSet's authors do."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def shared_prefix(first: Ids, second: Ids) -> int:
    """Count the tokens two texts begin with alike, at least one."""
    alike = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        alike += 1
    return max(alike, 1)
