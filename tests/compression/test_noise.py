"""Noise has the error of the method that it is a control for, layer by layer."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from src import schema, sweep
from src.compression.casting import CastConfig
from src.compression.distilled import DistilledConfig
from src.compression.linears import dense_weight
from src.compression.noise import NoiseConfig, noisy
from src.compression.none import NoneConfig
from src.compression.prune import PruneConfig
from src.compression.ptq import PtqConfig
from src.compression.registry import METHODS, Outcome, compress
from src.compression.stack import StackConfig, kinds_of
from src.compression.uniform import UniformConfig
from src.compression.wanda import WandaConfig
from src.errors import InputError, Unsupported
from src.schema import ROOT, typed

schema.register()
sweep.register()


@pytest.fixture
def composed():
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        yield lambda *overrides: typed(compose("config", [*overrides])).compression


@pytest.mark.parametrize("error", [0.0, 1e-3, 0.5, 2.0])
def test_noise_of_one_weight(error):
    weight = torch.randn(300, 200, generator=torch.Generator().manual_seed(1)) + 3
    new = noisy(weight, error, torch.Generator().manual_seed(2))
    added = (new - weight).double()
    assert float(added.norm() / weight.double().norm()) == pytest.approx(error, rel=1e-3)
    if error:
        # Gaussian: no mean, and the fourth moment of a normal distribution.
        assert abs(float(added.mean() / added.std())) < 0.02
        assert float((added / added.std()).pow(4).mean()) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize(
    "like",
    [
        PtqConfig(),
        UniformConfig(weight_bits=3, modules="with_embeddings", granularity="group"),
        PruneConfig(),
        CastConfig(mode="model"),
    ],
    ids=lambda settings: settings.name,
)
@pytest.mark.parametrize("name", ["bert", "gpt2", "opt", "mobilebert"])
def test_each_layer_has_the_error_of_the_other_method(name, like, load, subject):
    disturbed, original = load(name), subject(name).model
    receipt, wanted = compress(disturbed, NoiseConfig(like=like)), compress(load(name), like)
    assert [change.module for change in receipt.changes] == [c.module for c in wanted.changes]
    for change, other in zip(receipt.changes, wanted.changes, strict=True):
        assert change.relative_error == pytest.approx(other.relative_error, rel=1e-3, abs=1e-7)
        assert change.untied_from == other.untied_from
        assert change.bits == 32
        module = dict(disturbed.model.named_modules()).get(change.module)
        if module is not None:
            old, new = dense_weight(original.get_submodule(change.module)), dense_weight(module)
            error = float((new - old).norm() / old.norm())
            assert error == pytest.approx(other.relative_error, rel=1e-3, abs=1e-7)
    assert receipt.relative_error == pytest.approx(wanted.relative_error, rel=1e-3)
    assert receipt.memory_bytes_after >= receipt.memory_bytes_before


def test_ties_are_those_of_the_other_method(load, subject):
    embedding = subject("gpt2").model.get_input_embeddings().weight
    for like, tied in ((PtqConfig(), False), (UniformConfig(modules="with_embeddings"), True)):
        disturbed = load("gpt2")
        compress(disturbed, NoiseConfig(like=like))
        head, table = (
            disturbed.model.get_output_embeddings().weight,
            disturbed.model.get_input_embeddings().weight,
        )
        assert (head is table) == tied
        assert torch.equal(table, embedding) != tied
        assert not torch.equal(head, embedding)


def test_the_seed_decides(load):
    hashes = [
        compress(load("bert"), NoiseConfig(like=PtqConfig(), seed=seed)).hash_after
        for seed in (0, 0, 1)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_cannot_be_matched_is_refused(load, monkeypatch):
    for like in (NoneConfig(), NoiseConfig(like=PtqConfig()), {"a": PtqConfig()}):
        with pytest.raises(InputError, match="matched to one method"):
            NoiseConfig(like=like)
    method = METHODS["distilled"]._replace(transform=lambda *_: Outcome((), {}))
    monkeypatch.setitem(METHODS, "distilled", method)
    with pytest.raises(Unsupported, match="changes no layers"):
        compress(load("bert"), NoiseConfig(like=DistilledConfig()))


def test_a_calibration_is_passed_on(load, monkeypatch):
    def look(subject, settings, calibration):
        assert calibration == "text"
        return METHODS["prune"].transform(subject, PruneConfig())

    wanda = WandaConfig()
    settings = NoiseConfig(like=wanda)
    assert settings.calibration is wanda.calibration
    with pytest.raises(InputError, match="needs a calibration text"):
        compress(load("bert"), settings)
    monkeypatch.setitem(METHODS, "wanda", METHODS["wanda"]._replace(transform=look))
    assert compress(load("bert"), settings, "text").changes


def test_the_other_method_is_typed_and_swept(composed):
    assert composed("compression=noise", "compression.like.weight_bits=3") == NoiseConfig(
        like=UniformConfig(weight_bits=3)
    )
    other = composed("compression=noise", "compression@compression.like=ptq")
    assert other == NoiseConfig(like=PtqConfig())
    assert kinds_of(other) == {"noise", "ptq"}
    stack = composed("compression=[prune,noise]", "compression.noise.like.weight_bits=2")
    assert isinstance(stack, StackConfig)
    assert stack.steps["noise"].like.weight_bits == 2
    for key in ("compression", "compression.noise"):
        option = "compression=noise" if key == "compression" else "compression=[prune,noise]"
        with pytest.raises(InputError, match=rf"^{key}\.like\.weight_bits=9 is not possible"):
            composed(option, f"{key}.like.weight_bits=9")
