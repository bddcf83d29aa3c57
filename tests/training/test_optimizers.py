"""Optimisers against torch's own, and the schedule."""

import copy
import time

import pytest
import torch
from torch import nn

from src.training.config import TrainingConfig
from src.training.optimizers import Clock, StackedMuon, optimizer, schedule


def network():
    torch.manual_seed(0)
    sizes = [(8, 32), (32, 8), (8, 32), (8, 8)]
    return nn.ModuleList(nn.Linear(*size, bias=False) for size in sizes)


@pytest.mark.parametrize("nesterov", [True, False])
def test_stacked_muon_is_torchs(nesterov):
    """To the rounding of products in bfloat16, over steps."""
    ours, theirs = network(), network()
    settings = {"lr": 0.02, "weight_decay": 0.3, "nesterov": nesterov}
    settings["adjust_lr_fn"] = "match_rms_adamw"
    first = StackedMuon(ours.parameters(), **settings)
    second = torch.optim.Muon(theirs.parameters(), **settings)
    generator = torch.Generator().manual_seed(1)
    began = copy.deepcopy(list(ours.parameters()))
    for _ in range(5):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        first.step()
        second.step()
    for a, b, start in zip(ours.parameters(), theirs.parameters(), began, strict=True):
        moved = (b - start).norm()
        assert moved > 0.1
        assert (a - b).norm() < 0.01 * moved
        buffers = (one.state[w]["momentum_buffer"] for one, w in ((first, a), (second, b)))
        assert torch.allclose(*buffers, rtol=1e-5, atol=1e-6)


def test_parameters_without_a_gradient_stay():
    model = network()
    before = copy.deepcopy(model[1].weight)
    used = StackedMuon(model.parameters(), adjust_lr_fn="match_rms_adamw")
    model[0].weight.grad = torch.ones_like(model[0].weight)
    used.step()
    assert torch.equal(model[1].weight, before)


def test_muon_is_for_the_matrices_of_the_layers(untrained):
    model = untrained("bert")
    muon, rest = optimizer(model, TrainingConfig()).parts
    names = {parameter: name for name, parameter in model.named_parameters()}
    given = [names[p] for group in muon.param_groups for p in group["params"]]
    others = [names[p] for group in rest.param_groups for p in group["params"]]
    assert sorted(given + others) == sorted(names.values())
    assert all(
        name.startswith(("bert.encoder.layer", "cls.predictions.transform")) for name in given
    )
    assert all("weight" in name and "Norm" not in name for name in given)
    assert any("word_embeddings" in name for name in others)
    assert not any("dense.weight" in name for name in others)


def test_adamw_alone_decays_the_same_matrices(untrained):
    model = untrained("gpt_neox")
    muon = optimizer(model, TrainingConfig()).parts[0]
    matrices, rest = optimizer(model, TrainingConfig(optimizer="adamw")).parts
    assert matrices.param_groups[0]["params"] == muon.param_groups[0]["params"]
    decays = [part.param_groups[0]["weight_decay"] for part in (matrices, rest)]
    assert decays == [0.1, 0.0]


def test_a_state_goes_into_another_optimiser_and_the_schedule_follows(untrained):
    first, second = untrained("bert"), untrained("bert")
    mine, other = (optimizer(model, TrainingConfig()) for model in (first, second))
    for parameter in first.parameters():
        parameter.grad = torch.ones_like(parameter)
    mine.step()
    other.load_state_dict(copy.deepcopy(mine.state_dict()))
    second.load_state_dict(first.state_dict())
    for group in other.param_groups:
        group["lr"] = 1e-3
    for group in mine.param_groups:
        group["lr"] = 1e-3
    for model, used in ((first, mine), (second, other)):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
        used.step()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_learning_rates_rise_and_fall_to_zero():
    settings = TrainingConfig(steps=1000, warmup=0.1)
    factor = schedule(settings, Clock(settings))
    assert 0 < factor(0) < 0.01
    assert factor(50) == pytest.approx(0.5 * 0.95)
    assert factor(100) == pytest.approx(0.9)
    assert factor(550) == pytest.approx(0.45)
    assert factor(1000) == 0
    flat = TrainingConfig(steps=10, warmup=0.0)
    assert schedule(flat, Clock(flat))(5) == pytest.approx(0.5)


def test_a_clock_ends_a_run_before_its_steps():
    settings = TrainingConfig(steps=10**9, seconds=0.05)
    clock = Clock(settings)
    clock.start()
    assert clock.done(1) < 1
    time.sleep(0.06)
    assert clock.done(1) == 1
    assert schedule(settings, clock)(1) == 0
