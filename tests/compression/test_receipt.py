"""Receipts say what was done: sizes as saved, errors against the original, each step of a stack."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from src.compression import storage
from src.compression.bnb import BitsAndBytesConfig
from src.compression.casting import CastConfig
from src.compression.drop_layers import DropLayersConfig
from src.compression.linears import dense_weight
from src.compression.low_rank import LowRankConfig
from src.compression.none import NoneConfig
from src.compression.ptq import PtqConfig
from src.compression.receipt import describe_change
from src.compression.registry import METHODS, Outcome, compress, compression
from src.compression.stack import StackConfig, kinds_of, plain_settings
from src.compression.uniform import UniformConfig
from src.errors import InputError, Unsupported
from src.tracking.plain import plain


@pytest.fixture
def method():
    """Register methods for one test."""
    before = set(METHODS)

    def add(kind, transform, **options):
        compression(kind, Settings, **options)(transform)
        return Settings(kind, kind)

    yield add
    for kind in set(METHODS) - before:
        del METHODS[kind]


@dataclass
class Settings:
    """Of a method that is made up for a test."""

    kind: str
    name: str


def zero_small(subject, settings):
    """Prune half of every linear layer of the blocks in place, by hand."""
    changes = []
    for name, module in subject.model.named_modules():
        if type(module) is nn.Linear and "layer." in name:
            before = module.weight.detach().clone()
            flat = module.weight.data.view(-1)
            flat[flat.abs().argsort()[: flat.numel() // 2]] = 0
            changes.append(describe_change(name, "Linear", before, module.weight, bits=32.0))
    return Outcome(tuple(changes), {}, {"half": True})


def test_a_change_by_hand(monkeypatch):
    before, after = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[3.0, 0.0], [1.0, 2.0]])
    change = describe_change("m", "Linear", before, after, bits=4.5)
    assert change.norm == 5
    monkeypatch.setattr("src.compression.receipt.PART", 3)
    assert describe_change("m", "Linear", before, after, bits=4.5) == change
    assert change.relative_error == pytest.approx(5**0.5 / 5)
    assert (change.elements, change.bits, change.sparsity) == (4, 4.5, 0.25)
    assert math.isnan(describe_change("m", "Linear", before, None, bits=4).relative_error)


SAVED = {
    "none": NoneConfig(),
    "ptq": PtqConfig(),
    "uniform 3": UniformConfig(weight_bits=3, granularity="group"),
    "fp8": CastConfig(format="fp8_e4m3"),
    "bf16": CastConfig(format="bf16", mode="model"),
    "nf4": BitsAndBytesConfig(),
}


@pytest.mark.parametrize("settings", SAVED.values(), ids=SAVED)
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_disk_bytes_are_those_of_a_saved_file(name, settings, load, tmp_path):
    subject = load(name)
    receipt = compress(subject, settings)
    state = dict(storage._distinct(iter(subject.model.state_dict().items())))
    save_file({key: value.clone() for key, value in state.items()}, tmp_path / "x")
    assert receipt.disk_bytes == (tmp_path / "x").stat().st_size


def test_names_that_json_escapes_count_as_saved(tmp_path):
    state = {'a"\u00e9': torch.zeros(0, 3), "b": torch.zeros((), dtype=torch.bool)}
    save_file(state, tmp_path / "x")
    model = SimpleNamespace(state_dict=lambda: state)
    assert storage.disk_bytes(model) == (tmp_path / "x").stat().st_size


def test_a_dtype_that_no_file_holds_is_refused():
    model = SimpleNamespace(state_dict=lambda: {"a": torch.zeros(2, dtype=torch.complex128)})
    with pytest.raises(Unsupported, match="complex128"):
        storage.disk_bytes(model)


def test_the_hash_tells_names_dtypes_shapes_and_values_apart():
    def hashed(name="weight", **changes):
        module = nn.Module()
        settings = {"values": [1.0, 2.0, 3.0, 4.0], "dtype": torch.float32, "shape": (2, 2)}
        settings |= changes
        values = torch.tensor(settings["values"], dtype=settings["dtype"])
        module.register_buffer(name, values.reshape(settings["shape"]))
        return storage.digest(module)

    different = [
        hashed(),
        hashed("other"),
        hashed(dtype=torch.float64),
        hashed(shape=(4,)),
        hashed(values=[1.0, 2.0, 4.0, 3.0]),
    ]
    assert len(set(different)) == 5
    assert hashed() == different[0]


def test_what_a_receipt_claims_is_in_the_file(load):
    subject = load("bert")
    receipt = compress(subject, PtqConfig())
    claimed = sum(change.elements * change.bits / 8 for change in receipt.changes)
    replaced = sum(change.elements * 4 for change in receipt.changes if not change.untied_from)
    expected = receipt.memory_bytes_before - replaced + claimed
    assert receipt.memory_bytes_after == pytest.approx(expected, abs=1e-6)
    header = receipt.disk_bytes - receipt.memory_bytes_after  # and a buffer that is not saved
    assert abs(header) < 200 * len(list(storage.tensors(subject.model)))
    assert receipt.nominal_bits == 8
    assert 8 < receipt.stored_bits < 8.1  # a scale of 32 bits a layer
    assert receipt.steps == ()


def test_a_stack_shows_each_step_and_the_error_against_the_original(load, method):
    subject, untouched = load("bert"), load("bert")
    steps = {"half": method("half", zero_small), "ptq": PtqConfig()}
    receipt = compress(subject, StackConfig(steps))
    assert [step.step for step in receipt.steps] == ["half", "ptq"]
    first, second = receipt.steps
    assert first.hash_before == receipt.hash_before
    assert first.hash_after == second.hash_before != second.hash_after == receipt.hash_after
    assert first.sparsity == pytest.approx(0.5, abs=0.01)
    assert receipt.method == "half+ptq"
    assert receipt.details == {"half": {"half": True}, "ptq": {}}
    assert {change.module for change in receipt.changes} == {c.module for c in second.changes}
    assert receipt.changes[-1].untied_from or receipt.changes[-2].untied_from
    for change in receipt.changes:
        old = dense_weight(untouched.model.get_submodule(change.module)).double()
        new = dense_weight(subject.model.get_submodule(change.module)).double()
        error = float((old - new).norm() / old.norm())
        assert change.relative_error == pytest.approx(error, rel=1e-6)
    norms = {change.module: change.norm for change in receipt.changes}
    squares = sum((c.relative_error * norms[c.module]) ** 2 for c in receipt.changes)
    total = math.sqrt(squares / sum(norm**2 for norm in norms.values()))
    assert receipt.relative_error == pytest.approx(total)
    assert receipt.relative_error > second.relative_error
    plain(receipt)


def test_modules_are_followed_through_steps_that_rename_them(load):
    subject, untouched = load("bert"), load("bert")
    drop = DropLayersConfig(which="first", layers=1)
    receipt = compress(subject, StackConfig({"drop": drop, "ptq": PtqConfig()}))
    changes = {change.module: change for change in receipt.changes}
    gone = changes["bert.encoder.layer.0.output.dense"]
    assert (gone.relative_error, gone.bits, gone.sparsity) == (1, 0, 1)
    kept = changes["bert.encoder.layer.1.output.dense"]
    old = dense_weight(untouched.model.bert.encoder.layer[1].output.dense).double()
    new = dense_weight(subject.model.bert.encoder.layer[0].output.dense).double()
    assert kept.relative_error == pytest.approx(float((old - new).norm() / old.norm()))
    assert kept.relative_error < 0.1
    assert kept.bits == pytest.approx(8 + 32 / old.numel())


def test_parts_of_a_layer_count_for_the_layer(load):
    subject, untouched = load("bert"), load("bert")
    steps = {"low_rank": LowRankConfig(rank=0.25), "uniform": UniformConfig(weight_bits=4)}
    receipt = compress(subject, StackConfig(steps))
    changes = {change.module: change for change in receipt.changes}
    name = "bert.encoder.layer.0.output.dense"
    old = dense_weight(untouched.model.get_submodule(name)).double()
    new = dense_weight(subject.model.get_submodule(name)).double()
    assert changes[name].relative_error == pytest.approx(float((old - new).norm() / old.norm()))
    assert changes[name].bits < 4
    assert f"{name}.0" not in changes


def test_a_model_that_is_replaced_has_no_error_to_tell(load, method):
    def swap(subject, settings):
        subject.model = load("distilbert").model
        return Outcome((), {}, {"student": "distilbert"})

    receipt = compress(load("bert"), method("swap", swap))
    assert receipt.changed
    assert math.isnan(receipt.relative_error)
    assert receipt.memory_bytes_after < receipt.memory_bytes_before
    assert plain(receipt)["relative_error"] is None
    student = load("distilbert")
    swap_ = Settings("swap", "swap")
    receipt = compress(load("bert"), StackConfig({"swap": swap_, "ptq": PtqConfig()}))
    assert math.isnan(receipt.relative_error)
    assert [c.module for c in receipt.changes] == [
        name for name, module in student.model.named_modules() if type(module) is nn.Linear
    ]
    assert all(0 < change.relative_error < 0.1 for change in receipt.changes)
    assert [c.untied_from for c in receipt.changes if c.untied_from] == ["input embeddings"]


def test_a_step_that_changes_nothing_is_an_error(load, method):
    idle = method("idle", lambda *_: Outcome((), {"all": "no reason"}))
    with pytest.raises(InputError, match="compression=idle changed no weight"):
        compress(load("bert"), StackConfig({"ptq": PtqConfig(), "idle": idle}))
    with pytest.raises(InputError, match=r"changed no weight.*compressed already"):
        compress(load("bert"), StackConfig({"fp16": CastConfig(), "ptq": PtqConfig()}))


def test_calibrated_methods_get_their_own_calibration(load, method):
    seen = []

    def look(subject, settings, calibration):
        seen.append(calibration)
        return Outcome((), {})

    look_ = method("look", look, calibrated=True, may_change_nothing=True)
    with pytest.raises(InputError, match="needs a calibration text"):
        compress(load("bert"), look_)
    compress(load("bert"), look_, "text")
    compress(load("bert"), StackConfig({"ptq": PtqConfig(), "look": look_}), {"look": "other"})
    assert seen == ["text", "other"]


def test_settings_of_a_stack_say_their_order():
    steps = {"fp16": CastConfig(), "ptq": PtqConfig()}
    one, other = (
        plain_settings(StackConfig(dict(order)))
        for order in (steps.items(), [*steps.items()][::-1])
    )
    assert one["ptq"] == other["ptq"]
    assert one["order"] == other["order"][::-1] == ["fp16", "ptq"]
    assert kinds_of(StackConfig(steps)) == {"cast", "ptq"}
