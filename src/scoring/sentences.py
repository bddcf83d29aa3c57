"""The sentences of an item, by the name of the score that each of them gets."""

from src.benchmarks.items import Discourse, FillIn, SentencePair
from src.models.traits import TextSide
from src.scoring.plans import ended, shared_prefix


def sentences(item: SentencePair | FillIn | Discourse) -> dict[str, str]:
    """Give the whole texts that are compared; a next sentence stands behind its context."""
    if isinstance(item, SentencePair):
        return {"more": item.more, "less": item.less}
    before = f"{ended(item.context)} " if isinstance(item, Discourse) else ""
    return {candidate.id: f"{before}{candidate.sentence}" for candidate in item.candidates}


def own_tokens(item: SentencePair | FillIn | Discourse, text: TextSide) -> dict[str, list[int]]:
    """Find the tokens that a masked scorer scores: no special ones, and none of a context.

    Returns:
        For each of `sentences(item)` positions in its encoding with special tokens. A next
        sentence begins with the first token that the context alone does not have.
    """
    found = {}
    for name, sentence in sentences(item).items():
        positions = text.content(sentence)
        if isinstance(item, Discourse):
            ids = text.encode(sentence)
            context = text.encode(ended(item.context), special=False)
            positions = positions[shared_prefix(context, tuple(ids[at] for at in positions)) :]
        found[name] = positions
    return found
