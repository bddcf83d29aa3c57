"""The losses of distillation against slow versions of their definitions; the student."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import nn

from src.errors import InputError
from src.training.config import DistillationConfig
from src.training.distillation import Distillation, cosine_loss, soft_loss
from src.training.objectives import MaskedTokens, NextTokens
from src.training.student import chosen_layers, make_student
from tests import checkpoints


def settings(**changes):
    return DistillationConfig(teacher="none", **changes)


@pytest.fixture
def pair(untrained):
    """A student and a teacher with random weights of their own."""

    def made(kind):
        teacher = untrained(kind, seed=1, layers=4).eval()
        return untrained(kind, seed=2).eval(), teacher

    return made


def batch_of(kind, tokenizer, rows, length=12):
    ids = rows(kind)[length].long()
    change = NextTokens(0) if kind == "gpt_neox" else MaskedTokens(tokenizer(kind), 0.3, 0)
    return change(ids, 0)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_loss_is_the_kl_of_scipy(temperature):
    generator = torch.Generator().manual_seed(0)
    logits, wanted = (3 * torch.randn((2, 5, 7), generator=generator) for _ in range(2))
    total = 0.0
    for row in range(2):
        for place in range(5):
            p = softmax(wanted[row, place].numpy().astype(float) / temperature)
            q = softmax(logits[row, place].numpy().astype(float) / temperature)
            total += rel_entr(p, q).sum() * temperature**2
    assert soft_loss(logits, wanted, temperature).item() == pytest.approx(total / 10, rel=1e-5)
    assert soft_loss(wanted, wanted, temperature).item() == pytest.approx(0, abs=1e-6)


def test_a_high_temperature_keeps_the_size_of_the_gradient():
    """At a high T it is that of half the squared difference of logits (Hinton et al. 2015)."""
    generator = torch.Generator().manual_seed(0)
    logits, wanted = (torch.randn((1, 1, 6), generator=generator) for _ in range(2))
    logits.requires_grad_()
    soft_loss(logits, wanted, 1000.0).backward()
    centred = (logits - logits.mean(-1, keepdim=True)) - (wanted - wanted.mean(-1, keepdim=True))
    assert torch.allclose(logits.grad, centred.detach() / 6, atol=1e-3)


def test_cosine_loss_is_torchs():
    generator = torch.Generator().manual_seed(0)
    states, meant = (torch.randn((3, 4, 8), generator=generator) for _ in range(2))
    wanted = nn.CosineEmbeddingLoss()(states.view(-1, 8), meant.view(-1, 8), torch.ones(12))
    assert cosine_loss(states, meant).item() == pytest.approx(wanted.item(), abs=1e-6)


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
@pytest.mark.parametrize("soft_targets", ["predicted", "all"])
def test_the_loss_is_its_definition(kind, soft_targets, pair, tokenizer, rows):
    """Against a loop over places that knows nothing of hooks or gathering."""
    student, teacher = pair(kind)
    batch = batch_of(kind, tokenizer, rows)
    with torch.no_grad():
        mine, theirs = (
            model(input_ids=batch["ids"], output_hidden_states=True) for model in (student, teacher)
        )
    p, q = (softmax(out.logits.double().numpy() / 2, axis=-1) for out in (theirs, mine))
    likelihood = mine.logits.double().log_softmax(-1).numpy()
    kl, hard, cosine = [], [], []
    for row, ids in enumerate(batch["ids"].tolist()):
        places = batch["places"][row].tolist() if kind != "gpt_neox" else range(len(ids))
        for place, target in zip(places, batch["targets"][row].tolist(), strict=True):
            hard.append(-likelihood[row, place, target])
        for place in range(len(ids)):
            if soft_targets == "all" or place in places:
                kl.append(4 * rel_entr(p[row, place], q[row, place]).sum())
            a, b = (out.hidden_states[-1][row, place].double().numpy() for out in (mine, theirs))
            cosine.append(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    wanted = 5 * np.mean(kl) + 2 * np.mean(hard) + np.mean(cosine)
    loss = Distillation(student, teacher, settings(soft_targets=soft_targets))
    assert loss(student, batch).item() == pytest.approx(wanted, rel=1e-5)
    assert loss.text(student, batch).item() == pytest.approx(np.mean(hard), rel=1e-5)


def test_each_weight_is_of_its_own_loss(pair, tokenizer, rows):
    student, teacher = pair("bert")
    batch = batch_of("bert", tokenizer, rows)

    def loss(soft, hard, cosine):
        weights = settings(soft=soft, hard=hard, cosine=cosine)
        return Distillation(student, teacher, weights)(student, batch).item()

    parts = [loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)]
    assert all(part > 0 for part in parts)
    assert len({round(part, 3) for part in parts}) == 3
    assert loss(3, 5, 7) == pytest.approx(3 * parts[0] + 5 * parts[1] + 7 * parts[2], rel=1e-5)


def test_only_the_student_learns(pair, tokenizer, rows):
    student, teacher = pair("bert")
    Distillation(student, teacher, settings())(
        student, batch_of("bert", tokenizer, rows)
    ).backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize(
    ("count", "share", "layers"),
    [
        (12, 0.5, [0, 2, 4, 7, 9, 11]),  # as in DistilBERT and DistilGPT2
        (24, 0.25, [0, 5, 9, 14, 18, 23]),
        (4, 0.5, [0, 3]),
        (6, 0.5, [0, 2, 5]),
        (3, 1.0, [0, 1, 2]),
        (4, 0.1, [0]),
    ],
)
def test_layers_are_evenly_spaced(count, share, layers):
    assert chosen_layers(settings(layers=share), count) == layers


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
def test_a_student_is_its_teacher_with_fewer_layers(kind, pair, tokenizer, rows):
    _, teacher = pair(kind)
    batch = batch_of(kind, tokenizer, rows)
    every = make_student(teacher, settings(layers=1.0), 0).eval()
    loss = Distillation(every, teacher, settings(hard=0))
    assert loss(every, batch).item() == pytest.approx(0, abs=1e-5)
    some = make_student(teacher, settings(teacher_layers=[1, 3]), 0).eval()
    assert some.config.num_hidden_layers == 2
    mine, theirs = (
        [next(iter(layer.state_dict().values())) for layer in layers(model)]
        for model in (some, teacher)
    )
    assert torch.equal(mine[0], theirs[1])
    assert torch.equal(mine[1], theirs[3])
    assert torch.equal(some.get_input_embeddings().weight, teacher.get_input_embeddings().weight)
    assert some.get_output_embeddings().weight is some.get_input_embeddings().weight
    with torch.no_grad():  # it computes with its layers, and is no copy that shares weights
        next(some.parameters()).add_(1.0)
    assert not torch.equal(next(some.parameters()), next(teacher.parameters()))
    assert some(batch["ids"]).logits.shape[-1] == len(tokenizer(kind))


def layers(model):
    base = model.base_model
    return base.encoder.layer if hasattr(base, "encoder") else base.layers


@pytest.mark.parametrize("name", [*checkpoints.MASKED, *checkpoints.CAUSAL, "gpt_neo", "funnel"])
def test_teachers_of_any_architecture(name, load):
    """A student of half the layers learns with all it has; one of all of them has no loss."""
    subject = load(name)
    teacher = subject.model
    if name in ("albert", "funnel"):
        with pytest.raises(InputError, match="do not lie in one list"):
            make_student(teacher, settings(), 0)
        return
    known = subject.text.tokenizer
    ids = torch.randint(6, 60, (3, 12), generator=torch.Generator().manual_seed(0))
    change = MaskedTokens(known, 0.3, 0) if subject.objective == "masked" else NextTokens(0)
    student = make_student(teacher, settings(), 0)
    assert student.config.num_hidden_layers == 1
    Distillation(student, teacher, settings())(student, change(ids, 0)).backward()
    assert all(p.grad is not None for p in student.parameters())
    every = make_student(teacher, settings(layers=1.0), 0).eval()
    loss = Distillation(every, teacher, settings(hard=0))(every, change(ids, 0))
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_a_random_student_has_weights_of_its_own_seed(pair):
    _, teacher = pair("bert")
    first, again, other = (
        make_student(teacher, settings(start="random"), seed) for seed in (0, 0, 1)
    )
    weight = [model.get_input_embeddings().weight for model in (first, again, other, teacher)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2])
    assert not torch.equal(weight[0], weight[3])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"soft": 0, "hard": 0, "cosine": 0}, "nothing is learned"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"layers": 0}, "layers=0"),
        ({"start": "nothing"}, "teacher, random"),
    ],
)
def test_impossible_settings_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        settings(**changes)


def test_what_does_not_fit_is_refused(untrained):
    teacher = untrained("bert", layers=4)
    for layers_, said in [([0, 4], "0 to 3"), ([2, 1], "ascending"), ([], "ascending")]:
        with pytest.raises(InputError, match=said):
            make_student(teacher, settings(teacher_layers=layers_), 0)
    with pytest.raises(InputError, match="columns"):
        Distillation(untrained("bert", hidden_size=32), teacher, settings())
    with pytest.raises(InputError, match="vocabularies"):
        Distillation(untrained("gpt_neox"), teacher, settings())
    narrow = Distillation(untrained("bert", hidden_size=32), teacher, settings(cosine=0))
    assert math.isfinite(narrow.settings.soft)
