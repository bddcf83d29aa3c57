"""Masks by hand and against torch's own, SparseGPT against dense least squares."""

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

from src.compression.pruning.masks import smallest, smallest_in_rows, smallest_of_every
from src.compression.pruning.obs import Pattern, inverse_factor, prune_and_update


def test_the_smallest_entries_of_all_tensors_together():
    one, other = torch.tensor([[3.0, 1.0], [5.0, 1.0]]), torch.tensor([1.0, 0.5, 9.0, 8.0])
    first, second = smallest([one, other], 3 / 8)
    assert first.tolist() == [[False, True], [False, True]]  # of three equal ones the first two
    assert second.tolist() == [False, True, False, False]
    nothing, _ = smallest([one, other], 0.01)
    assert not nothing.any()
    everything, _ = smallest([one, other], 1.0)
    assert everything.all()


@pytest.mark.parametrize("share", [0.1, 0.37, 0.9])
def test_magnitude_is_what_torch_prunes(share):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(13, 7), torch.nn.Linear(5, 11)]
    alone = [smallest([layer.weight.abs()], share)[0] for layer in layers]
    together = smallest([layer.weight.abs() for layer in layers], share)
    for layer, mask in zip(layers, alone, strict=True):
        keep = prune.L1Unstructured(share).compute_mask(layer.weight, torch.ones_like(layer.weight))
        assert torch.equal(mask, keep == 0)
    prune.global_unstructured(
        [(layer, "weight") for layer in layers], pruning_method=prune.L1Unstructured, amount=share
    )
    for layer, mask in zip(layers, together, strict=True):
        assert torch.equal(mask, layer.weight_mask == 0)


def test_rows_and_groups_by_hand():
    scores = torch.tensor([[4.0, 1, 3, 2, 9, 9, 0, 0], [1, 2, 3, 4, 8, 7, 6, 5]])
    assert smallest_in_rows(scores, 0.25).nonzero().tolist() == [[0, 6], [0, 7], [1, 0], [1, 1]]
    marked = smallest_of_every(scores, 2, 4)
    assert marked.int().tolist() == [[0, 1, 0, 1, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0, 1, 1]]


def moment_of(seed, tokens, size):
    inputs = np.random.default_rng(seed).normal(size=(tokens, size))
    inputs[:, 1:] += 0.7 * inputs[:, :-1]  # neighbours are correlated
    return inputs.T @ inputs


def dense(weight, moment, mask):
    """Go through the columns; fit all that are still to come to the first weight's outputs."""
    new = weight.copy()
    for row, gone in zip(new, mask, strict=True):
        wanted = row.copy()
        for column in range(row.size):
            fixed, free = np.arange(column), np.arange(column, row.size)
            pull = moment[np.ix_(free, fixed)] @ (row[fixed] - wanted[fixed])
            row[free] = wanted[free] - np.linalg.solve(moment[np.ix_(free, free)], pull)
            if gone[column]:
                row[column] = 0
    return new


@pytest.mark.parametrize(("share", "n", "m"), [(0.5, 0, 0), (0.25, 0, 0), (0.0, 2, 4)])
@pytest.mark.parametrize("block", [4, 8, 128])
def test_the_update_is_the_one_of_dense_least_squares(share, n, m, block):
    weight = np.random.default_rng(1).normal(size=(5, 12))
    moment = moment_of(2, 40, 12)
    pattern = Pattern(share, n, m)
    ours = prune_and_update(
        torch.tensor(weight), torch.tensor(moment), pattern, damping=0, block=block
    ).numpy()
    mask = ours == 0
    assert mask.sum() == weight.size * (share or n / m)
    np.testing.assert_allclose(ours, dense(weight, moment, mask), atol=1e-5)


def test_what_comes_before_all_others_is_made_up_for_exactly():
    """Nothing kept lies to the left of the pruned columns: the plain least-squares optimum."""
    weight, moment = np.array([[0.1, 0.2, 3.0, -2.0, 1.0]]), moment_of(3, 30, 5)
    new = prune_and_update(torch.tensor(weight), torch.tensor(moment), Pattern(0.4), 0.0).numpy()
    best = np.linalg.solve(moment[2:, 2:], moment[2:] @ weight[0])
    np.testing.assert_allclose(new[0], [0, 0, *best], atol=1e-5)


def test_what_is_removed_first_does_the_least_harm():
    """Saliency is w² over the inverse moment's diagonal, without the columns before."""
    weight, moment = np.random.default_rng(5).normal(size=(3, 6)), moment_of(6, 50, 6)
    factor = inverse_factor(torch.tensor(moment), 0.0)
    for column in range(6):
        inverse = np.linalg.inv(moment[column:, column:])
        assert float(factor[column, column]) ** 2 == pytest.approx(inverse[0, 0], rel=1e-4)
    harm = [
        [w**2 / np.linalg.inv(moment[j:, j:])[0, 0] for j, w in enumerate(row)] for row in weight
    ]
    ours = prune_and_update(torch.tensor(weight), torch.tensor(moment), Pattern(1 / 3), 0.0)
    expected = smallest([torch.tensor(harm)], 1 / 3)[0]
    assert torch.equal(ours == 0, expected)


def test_it_harms_outputs_less_than_zeroing_and_copes_with_inputs_that_are_never_there():
    weight, moment = np.random.default_rng(7).normal(size=(8, 16)), moment_of(8, 200, 16)
    moment[:, 3] = moment[3] = 0
    ours = prune_and_update(torch.tensor(weight), torch.tensor(moment), Pattern(0.5)).numpy()
    assert (ours[:, 3] == 0).all()
    plain = np.where(smallest([torch.tensor(weight).abs()], 0.5)[0].numpy(), 0, weight)

    def harm(new):
        return np.trace((new - weight) @ moment @ (new - weight).T)

    assert harm(ours) < 0.8 * harm(plain)
