"""Pruned models: how many zeros and where, against plain statements of each method's rule."""

import numpy as np
import pytest
import torch
from torch import nn

from src.compression.calibration import Calibration, CalibrationConfig
from src.compression.linears import find_linears, linear_weight
from src.compression.prune import PruneConfig
from src.compression.registry import METHODS, compress
from src.compression.sparsegpt import SparseGptConfig
from src.compression.wanda import WandaConfig
from src.errors import InputError
from src.models.blocks import block_names
from tests.checkpoints import CAUSAL, MASKED, TEXT
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

METHOD = {"prune": PruneConfig, "wanda": WandaConfig, "sparsegpt": SparseGptConfig}


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXT * 4), encoding="utf-8")
    return Calibration(CalibrationConfig(samples=12, length=16), path)


def weights(subject):
    linears, _ = find_linears(subject, conv1d=True)
    return {name: linear_weight(module).clone() for name, module in linears.items()}


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
@pytest.mark.parametrize(
    ("method", "pattern"), [("prune", "2:4"), ("wanda", "unstructured"), ("sparsegpt", "2:4")]
)
def test_the_blocks_get_as_many_zeros_as_asked_for(name, method, pattern, load, calibration):
    subject = load(name)
    before, state = weights(subject), subject.model.state_dict()
    state = {key: value.clone() for key, value in state.items()}
    share = 0.3 if pattern == "unstructured" else 0.5
    settings = METHOD[method](sparsity=share, pattern=pattern)
    receipt = compress(subject, settings, calibration if METHODS[method].calibrated else None)
    after = weights(subject)
    changed = {change.module: change for change in receipt.changes}
    assert set(changed) == set(block_names(subject.model, before))
    assert set(before) - set(changed) <= set(receipt.skipped)
    for layer, change in changed.items():
        old, new = before[layer].double(), after[layer].double()
        zeros = (new == 0).sum().item()
        assert abs(zeros - share * new.numel()) <= new.shape[0] / 2 + 1
        assert change.sparsity == pytest.approx(zeros / new.numel())
        assert change.relative_error == pytest.approx(float((old - new).norm() / old.norm()))
        assert change.bits == 32
        if pattern == "2:4":
            assert ((new.reshape(-1, 4) == 0).sum(1) == 2).all()
    assert receipt.sparsity == pytest.approx(share, abs=0.02)
    assert receipt.memory_bytes_before == receipt.memory_bytes_after
    for key, value in subject.model.state_dict().items():
        if key.removesuffix(".weight") not in changed:
            assert torch.equal(value, state[key]), key
    for score in scored(subject, PAIRS[:1], "bias_bench", 100):
        assert np.isfinite(list(score.values())).all()


@pytest.mark.parametrize("method", METHOD)
def test_errors_grow_with_sparsity(method, load, calibration):
    errors = []
    for sparsity in (0.1, 0.3, 0.5, 0.8):
        receipt = compress(load("gpt2"), METHOD[method](sparsity=sparsity), calibration)
        errors.append(receipt.relative_error)
    assert errors == sorted(errors)
    assert errors[0] < 0.5 * errors[-1]


def inputs_of(subject, layer, calibration):
    seen = []
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, -2)))
    with torch.no_grad():
        for ids in calibration.samples(subject):
            subject.model(input_ids=ids[None])
    handle.remove()
    return torch.cat(seen)


def test_magnitude_over_all_layers_is_one_threshold(load):
    subject = load("bert")
    before = weights(subject)
    compress(subject, PruneConfig(scope="global", sparsity=0.4))
    blocks = block_names(subject.model, before)
    sizes = torch.cat([before[name].abs().flatten() for name in blocks])
    threshold = sizes.sort().values[round(0.4 * sizes.numel()) - 1]
    for name, weight in weights(subject).items():
        expected = before[name]
        if name in blocks:
            expected = expected.masked_fill(expected.abs() <= threshold, 0)
        assert torch.equal(weight, expected)


@pytest.mark.parametrize(
    ("name", "path"),
    [("gpt2", "transformer.h.0.attn.c_attn"), ("bert", "bert.encoder.layer.0.attention.self.key")],
)
def test_wanda_by_its_rule(name, path, load, calibration):
    """Per output, the weights of smallest |w| times the 2-norm of their input; GPT-2 transposes."""
    subject = load(name)
    layer = subject.model.get_submodule(path)
    old = layer.weight.detach().clone()
    norms = inputs_of(subject, layer, calibration).norm(dim=0)
    compress(subject, WandaConfig(sparsity=0.25), calibration)
    rows = old if isinstance(layer, nn.Linear) else old.T
    expected = rows.clone()
    for row in expected:
        row[(row.abs() * norms).argsort()[: round(0.25 * len(row))]] = 0
    assert torch.equal(layer.weight if isinstance(layer, nn.Linear) else layer.weight.T, expected)


@pytest.mark.parametrize("name", ["gpt2", "bert", "albert", "llama"])
def test_sparsegpt_keeps_outputs_better_than_the_others(name, load, calibration):
    def harm(settings):
        subject, dense = load(name), load(name)
        compress(subject, settings, calibration)
        linears, _ = find_linears(dense, conv1d=True)
        path = next(iter(block_names(dense.model, linears)))
        seen = inputs_of(dense, dense.model.get_submodule(path), calibration)
        old, new = (linear_weight(one.model.get_submodule(path)) for one in (dense, subject))
        return float((seen @ (old - new).T).norm() / (seen @ old.T).norm())

    magnitude, wanda, obs = (harm(METHOD[method]()) for method in METHOD)
    assert obs < wanda
    assert obs < magnitude


def test_a_tied_head_is_pruned_with_the_embeddings_or_not_at_all(load):
    subject = load("llama")
    subject.model.lm_head.weight = subject.model.model.embed_tokens.weight
    receipt = compress(subject, PruneConfig(modules="linears"))
    assert "lm_head" in {change.module for change in receipt.changes}
    assert receipt.details["kept_tied"] == ["lm_head"]
    assert subject.model.lm_head.weight is subject.model.model.embed_tokens.weight
    assert float((subject.model.lm_head.weight == 0).float().mean()) == pytest.approx(0.5)
    assert compress(load("gpt2"), PruneConfig()).details["kept_tied"] == []


def test_layers_that_a_pattern_does_not_fit_are_left_alone(load):
    subject = load("bert")
    odd = nn.Linear(30, 32)
    subject.model.bert.encoder.layer[0].output.dense = odd
    subject.model.bert.encoder.layer[0].intermediate.dense = nn.Linear(32, 30)
    receipt = compress(subject, PruneConfig(pattern="2:4"))
    assert "30 inputs cannot" in receipt.skipped["bert.encoder.layer.0.output.dense"]
    assert (odd.weight != 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("method", METHOD)
def test_half_precision_checkpoints_stay_so(method, dtype, load, calibration):
    subject = load("llama", dtype=dtype)
    receipt = compress(subject, METHOD[method](), calibration)
    assert {change.bits for change in receipt.changes} == {16.0}
    assert {str(p.dtype) for p in subject.model.parameters()} == {f"torch.{dtype}"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 0.0}, r"compression\.sparsity=0.0"),
        ({"sparsity": 1.0}, r"compression\.sparsity=1.0"),
        ({"pattern": "2:4", "sparsity": 0.3}, "whose sparsity is 0.5"),
        ({"pattern": "1:2"}, "unstructured, 2:4, 4:8"),
        ({"modules": "all"}, "blocks, linears"),
        ({"scope": "global", "pattern": "2:4"}, r"scope=global is not possible"),
        ({"scope": "row"}, "layer, global"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        PruneConfig(**settings)


def test_impossible_settings_of_sparsegpt():
    for wrong in ({"damping": -1}, {"block": 12}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            SparseGptConfig(**wrong)


def test_inputs_that_depend_on_each_other_need_damping(load, calibration):
    with pytest.raises(InputError, match=r"raise compression\.damping"):
        compress(load("gpt2"), SparseGptConfig(damping=0.0), calibration_of_one(calibration))


def calibration_of_one(calibration):
    return Calibration(CalibrationConfig(samples=1, length=4), calibration.path)
