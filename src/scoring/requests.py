"""What can be asked of a subject. Plain data: no benchmark in it, and no torch."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Answer = npt.NDArray[np.float32]
"""The engine's answer: log-probabilities, shape (targets,), an embedding, shape (hidden,), or
attention, shape (length,)."""


@dataclass(frozen=True, slots=True)
class LogProbs:
    """Natural log-probabilities of tokens, read off one forward pass.

    Attributes:
        ids: The whole input, special tokens and masks in place.
        rows: Positions whose output distribution is read, one for each target.
        targets: Token ids; the answer's k-th value is log P(targets[k]) at position rows[k].
    """

    ids: tuple[int, ...]
    rows: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A sentence embedding from the last hidden states (after a final layer norm, if any).

    Attributes:
        ids: The whole input.
        pooling: "mean" over all tokens, special ones included, or the "first" or "last" token only.
    """

    ids: tuple[int, ...]
    pooling: str = "mean"


@dataclass(frozen=True, slots=True)
class Attention:
    """How much attention each token receives, averaged over layers, heads and queries.

    The answer has shape (length,) and sums to 1: special tokens are among its queries and keys.

    Attributes:
        ids: The whole input.
    """

    pooling: ClassVar[str] = "attention"
    ids: tuple[int, ...]


Request = LogProbs | Embedding | Attention


def later_tokens(ids: tuple[int, ...], start: int) -> list[Request]:
    """Ask a causal model for the tokens of a text from one position on, in one pass.

    Args:
        ids: The text with all that is before it.
        start: Position of the first token asked for. The very first token of all has nothing
            before it and is left out.

    Returns:
        One request, or none where no token is left.
    """
    first = max(start, 1)
    if first >= len(ids):
        return []
    return [LogProbs(ids, tuple(range(first - 1, len(ids) - 1)), ids[first:])]


def next_tokens(ids: tuple[int, ...], start_id: int | None) -> list[Request]:
    """Ask a causal model for every token of a text.

    The first token's probability comes from a pass over the start token alone, and the text itself
    is read without it: the rule of StereoSet's and the paper's official code. All of the text is
    in the input, the last token too, because the activation range of int8 spans it.

    Args:
        ids: The text, without special tokens; not empty.
        start_id: The start token; None leaves the first token out.

    Returns:
        Requests whose answers, joined, are log P of each token (of all but the first without a
        start token).
    """
    requests: list[Request] = []
    if start_id is not None:
        requests.append(LogProbs((start_id,), (0,), (ids[0],)))
    if len(ids) > 1:
        requests.append(LogProbs(ids, tuple(range(len(ids) - 1)), ids[1:]))
    return requests
