"""What layers see: against hooks on whole forward passes, and with earlier blocks changed."""

import pytest
import torch

from src.compression.linears import find_linears
from src.compression.pruning.inputs import by_block, products, squares
from src.models.blocks import block_names
from tests.checkpoints import CAUSAL, MASKED


def batches(subject):
    generator = torch.Generator().manual_seed(0)
    rows = subject.text.traits.embeddings
    return [torch.randint(rows, (2, 9), generator=generator) for _ in range(2)]


def plain(model, linears, ids):
    """X'X of every layer from plain forward passes through the whole model."""
    seen = {name: [] for name in linears}

    def keep(name):
        return lambda module, args: seen[name].append(args[0].detach().flatten(0, -2))

    handles = [module.register_forward_pre_hook(keep(n)) for n, module in linears.items()]
    with torch.no_grad():
        for batch in ids:
            model(input_ids=batch)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts).T @ torch.cat(parts) for name, parts in seen.items()}


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_second_moments_are_those_of_whole_passes(name, subject):
    loaded = subject(name)
    linears, _ = find_linears(loaded, conv1d=True)
    expected = plain(loaded.model, linears, batches(loaded))
    groups = list(by_block(loaded.model, linears, batches(loaded), products))
    diagonals = list(by_block(loaded.model, linears, batches(loaded), squares))
    found = {name: moment for _, moments in groups for name, moment in moments.items()}
    assert set(found) == set(linears)
    for layer, moment in found.items():
        torch.testing.assert_close(moment, expected[layer], rtol=1e-4, atol=1e-3)
    for (_, moments), (_, sums) in zip(groups, diagonals, strict=True):
        for layer, moment in moments.items():
            torch.testing.assert_close(sums[layer], moment.diagonal(), rtol=1e-4, atol=1e-3)
    blocks = block_names(loaded.model, linears)
    assert len(set(blocks.values())) == (1 if name == "albert" else 2)
    for layers, _ in groups:
        assert len({blocks.get(layer, layer) for layer in layers}) == 1


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_later_blocks_see_what_the_changed_ones_before_them_give(name, load):
    subject = load(name)
    linears, _ = find_linears(subject, conv1d=True)
    ids = batches(subject)
    blocks = block_names(subject.model, linears)
    last = {n: module for n, module in linears.items() if blocks.get(n, "").endswith(".1")}
    dense = plain(subject.model, last, ids)
    for layers, moments in by_block(subject.model, linears, ids, products):
        if last.keys() & moments.keys():
            now = plain(subject.model, last, ids)
            for layer, moment in moments.items():
                torch.testing.assert_close(moment, now[layer], rtol=1e-4, atol=1e-3)
                assert not torch.allclose(moment, dense[layer], rtol=1e-2)
        else:
            for module in layers.values():
                module.weight.data.mul_(0.5)
