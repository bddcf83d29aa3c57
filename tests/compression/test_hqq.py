"""HQQ against its arithmetic by hand; `make setup` does not install it, for it slows imports."""

import pytest
import torch

from src.benchmarks.base import Skipped
from src.compression.half_quadratic import HqqConfig
from src.compression.linears import dense_weight
from src.compression.registry import compress
from src.scoring.scorer import load_scorers
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

pytest.importorskip("hqq", reason="pip install -c requirements.lock -e '.[hqq]'")
pytestmark = pytest.mark.slow
BITS = (8, 6, 5, 4, 3, 2, 1.58, 1)
load_scorers()


@pytest.mark.parametrize("bits", BITS)
def test_it_computes_with_the_integers_it_stores(layer, bits):
    from hqq.core.quantize import Quantizer

    new, _, bias = layer(HqqConfig(weight_bits=bits, group_size=32))
    integers = Quantizer.unpack[new.meta["packing"]](new.W_q, dtype=torch.float32)[:96]
    assert integers.unique().numel() <= round(2**bits)
    by_hand = ((integers - new.meta["zero"]) * new.meta["scale"]).reshape(48, 64)
    torch.testing.assert_close(dense_weight(new), by_hand)
    x = torch.randn(2, 5, 64)
    torch.testing.assert_close(new(x), x @ by_hand.t() + bias)


def test_errors_grow_as_bits_fall(load):
    settings = [HqqConfig(weight_bits=bits, group_size=16) for bits in BITS]
    errors = [compress(load("llama"), one).relative_error for one in settings]
    assert errors == sorted(errors)
    assert errors[0] < 0.01
    assert errors[-1] > 0.3


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "opt"])
def test_receipt_and_batches(name, load):
    subject = load(name)
    receipt = compress(subject, HqqConfig(group_size=16, modules="with_head"))
    assert receipt.nominal_bits == 4
    assert 8 < receipt.stored_bits < 10  # two fp32 numbers for 16 weights, and some settings
    assert receipt.memory_bytes_after < receipt.memory_bytes_before
    assert sum(bool(change.untied_from) for change in receipt.changes) == 1 - (name == "llama")
    one_by_one, together = (scored(subject, PAIRS, "bias_bench", budget) for budget in (1, 10_000))
    for alone, company in zip(one_by_one, together, strict=True):
        if not isinstance(alone, Skipped):
            assert alone == pytest.approx(company, rel=1e-5)
