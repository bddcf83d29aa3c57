"""SparseGPT (Frantar and Alistarh, 2023): prune a layer and let its other weights make up for it.

Weights are removed column by column. What a removed weight contributed is taken over, as well as
least squares can, by the weights of the same row in the columns to its right: the Optimal Brain
Surgeon's update, restricted to columns that are still to come, so that all rows share one inverse.
"""

from typing import NamedTuple

import torch

from src.compression.pruning.masks import smallest, smallest_of_every


class Pattern(NamedTuple):
    """What is to be removed.

    Attributes:
        share: Share of the weights, where `n` is 0.
        n: So many of every `m` neighbours in a row; 0 for no such pattern.
        m: See `n`.
    """

    share: float
    n: int = 0
    m: int = 0

    def of(self, scores: torch.Tensor) -> torch.Tensor:
        """Mark what is removed of a matrix with these scores, (rows, columns)."""
        if self.n:
            return smallest_of_every(scores, self.n, self.m)
        return smallest([scores], self.share)[0]


def prune_and_update(
    weight: torch.Tensor,
    moment: torch.Tensor,
    pattern: Pattern,
    damping: float = 0.01,
    block: int = 128,
) -> torch.Tensor:
    """Prune a weight for inputs with a known second moment.

    Args:
        weight: (out, in).
        moment: X'X of the layer's inputs X (tokens, in), up to a factor; (in, in).
        pattern: What to remove. A share is that of each block of columns.
        damping: Added to the moment's diagonal, as a share of the diagonal's mean.
        block: Columns whose removals are chosen together; a multiple of the pattern's m.

    Returns:
        The new weight, fp32, (out, in).

    Raises:
        ArithmeticError: The inputs depend on each other; more damping helps.
    """
    new = weight.detach().float().clone()
    factor = inverse_factor(moment, damping)
    for start in range(0, new.shape[1], block):
        end = min(start + block, new.shape[1])
        errors = _prune_block(new[:, start:end], factor[start:end, start:end], pattern)
        new[:, end:] -= errors @ factor[start:end, end:]
    return new


def inverse_factor(moment: torch.Tensor, damping: float) -> torch.Tensor:
    """Factor the inverse of a second moment.

    Args:
        moment: Symmetric, (in, in).
        damping: As for `prune_and_update`.

    Returns:
        Upper triangular U with U'U the inverse of the damped moment, fp32: row j, divided by its
        diagonal entry, says how the columns after j make up for column j, and that entry squared is
        the j-th diagonal entry of the inverse of the moment without the columns before j.

    Raises:
        ArithmeticError: The inputs depend on each other, so that there is no inverse.
    """
    damped = moment.double().clone()
    diagonal = damped.diagonal()  # a view
    diagonal += damping * diagonal.mean()
    # fp64, because inputs of later layers are nearly dependent, and the sizes are a layer's width.
    lower, failed = torch.linalg.cholesky_ex(damped)
    upper, failed_again = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    if bool(failed) or bool(failed_again):
        raise ArithmeticError("the second moment is not positive definite")
    factor: torch.Tensor = upper.float()
    return factor


def _prune_block(weight: torch.Tensor, factor: torch.Tensor, pattern: Pattern) -> torch.Tensor:
    """Prune a block of columns in place; return what the columns behind it have to make up for."""
    scale, columns = factor.diagonal(), weight.shape[1]
    errors, marked = torch.zeros_like(weight), torch.empty(0)
    together = pattern.m if pattern.n else columns
    for column in range(columns):
        if column % together == 0:  # chosen by the weights as they are now
            group = slice(column, column + together)
            marked = pattern.of(weight[:, group] ** 2 / scale[group] ** 2)
        gone = marked[:, column % together]
        errors[:, column] = torch.where(gone, weight[:, column], 0) / scale[column]
        weight[:, column:] -= errors[:, column, None] * factor[column, column:]
        weight[gone, column] = 0  # not only up to rounding
    return errors
