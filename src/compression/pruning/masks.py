"""Which weights are set to zero, given a score for each: the smallest of some, or n of every m."""

from collections.abc import Sequence

import torch


def smallest(scores: Sequence[torch.Tensor], share: float) -> list[torch.Tensor]:
    """Mark the smallest entries of several tensors taken together.

    Args:
        scores: Tensors of any shape, not negative; all of them compete.
        share: Which share is marked: exactly round(share * entries). Of equal entries the first
            ones go (weights of half-precision checkpoints have many equals).

    Returns:
        Boolean tensors of the same shapes, true where an entry is marked.
    """
    wanted = round(share * sum(score.numel() for score in scores))
    if wanted == 0:
        return [torch.zeros_like(score, dtype=torch.bool) for score in scores]
    threshold = _at(scores, wanted)
    marked = [(score.float() < threshold).contiguous() for score in scores]
    left = wanted - sum(int(mask.sum()) for mask in marked)
    for mask, score in zip(marked, scores, strict=True):
        equal = (score.float() == threshold).flatten().nonzero().flatten()[:left]
        mask.view(-1)[equal] = True
        left -= len(equal)
    return marked


def _at(scores: Sequence[torch.Tensor], place: int) -> float:
    """Give the entry that has so many, itself included, that are no larger.

    By halving the range, so that nothing the size of all scores together is needed beside them: as
    integers, the bits of fp32 numbers that are not negative have the numbers' order.
    """
    low, high = 0, int(_bits(torch.tensor(torch.inf)))
    while low < high:
        middle = (low + high) // 2
        if sum(int((_bits(score) <= middle).sum()) for score in scores) < place:
            low = middle + 1
        else:
            high = middle
    return float(torch.tensor(low, dtype=torch.int32).view(torch.float32))


def _bits(scores: torch.Tensor) -> torch.Tensor:
    return scores.float().contiguous().view(torch.int32)


def smallest_in_rows(scores: torch.Tensor, share: float) -> torch.Tensor:
    """Mark the smallest entries of each row: round(share * columns) of them.

    Args:
        scores: (rows, columns).
        share: Which share of each row.

    Returns:
        Boolean, (rows, columns).
    """
    chosen = scores.argsort(dim=1, stable=True)[:, : round(share * scores.shape[1])]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, chosen, True)


def smallest_of_every(scores: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Mark the n smallest of every m neighbours in a row, as GPUs' sparse kernels want (2 of 4).

    Args:
        scores: (rows, columns), columns a multiple of m.
        n: How many of a group are marked.
        m: Size of a group.

    Returns:
        Boolean, (rows, columns).
    """
    groups = scores.reshape(-1, m)
    chosen = groups.argsort(dim=1, stable=True)[:, :n]
    marked = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, chosen, True)
    return marked.view(scores.shape)
