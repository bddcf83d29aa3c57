"""Which weights are set to zero, given a score for each: the smallest of some, or n of every m."""

from collections.abc import Sequence

import torch


def smallest(scores: Sequence[torch.Tensor], share: float) -> list[torch.Tensor]:
    """Mark the smallest entries of several tensors taken together.

    Args:
        scores: Tensors of any shape on one device; all of them compete.
        share: Which share is marked: exactly round(share * entries). Of equal entries the first
            ones go (weights of half-precision checkpoints have many equals).

    Returns:
        Boolean tensors of the same shapes, true where an entry is marked.
    """
    flat = torch.cat([score.float().flatten() for score in scores])
    wanted = round(share * flat.numel())
    if wanted == 0:
        return [torch.zeros_like(score, dtype=torch.bool) for score in scores]
    threshold = flat.kthvalue(wanted).values
    below = flat < threshold
    equal = flat == threshold
    marked = below | (equal & (equal.cumsum(0) <= wanted - below.sum()))
    parts = marked.split([score.numel() for score in scores])
    return [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]


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
