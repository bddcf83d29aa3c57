"""Checkpoints that are quantized already, as the model and in a dense model's place."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from src.compression.bnb import BitsAndBytesConfig
from src.compression.none import NoneConfig
from src.compression.pretrained import QuantizedConfig
from src.compression.registry import compress
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.models.load import load_subject
from src.scoring.scorer import load_scorers
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

load_scorers()
CPU = torch.device("cpu")
GROUP = 16


def open_folder(folder, **settings):
    return load_subject(ModelConfig(name="m", id=str(folder), **settings), CPU, "auto")


def packed_words(values, bits=4):
    """Pack (n, m) integers along n into 32-bit words, the first in the lowest bits."""
    flat = values.reshape(-1, 32 // bits, values.shape[1]).to(torch.int64)
    shifts = (torch.arange(32 // bits) * bits).view(1, -1, 1)
    return torch.from_numpy((flat << shifts).sum(1).numpy().astype(np.uint32).view(np.int32))


def round_to_groups(weight):
    """4-bit symmetric rounding: integers 0 to 15 (out, in), scales (out, groups), dense weight."""
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    scale = (groups.abs().amax(-1, keepdim=True) / 7.5).half().float()
    values = (torch.round(groups / scale) + 8).clamp(0, 15)
    return (
        values.reshape(weight.shape),
        scale.squeeze(-1),
        ((values - 8) * scale).reshape_as(weight),
    )


@pytest.fixture
def gptq(checkpoint, tmp_path):
    """A GPTQ checkpoint of the small Llama, packed here, and its dense twin as another folder."""
    folder, dense = tmp_path / "packed", tmp_path / "dense"
    for copy in (folder, dense):
        shutil.copytree(checkpoint("llama"), copy)
    weights = load_file(folder / "model.safetensors")
    plain = dict(weights)
    for key in [key for key in weights if key.endswith("_proj.weight")]:
        name = key.removesuffix(".weight")
        values, scales, plain[key] = round_to_groups(weights.pop(key).float())
        weights[f"{name}.qweight"] = packed_words(values.t())
        weights[f"{name}.qzeros"] = packed_words(torch.full_like(scales, 7)).t().contiguous()
        weights[f"{name}.scales"] = scales.t().half().contiguous()
        weights[f"{name}.g_idx"] = (torch.arange(values.shape[1]) // GROUP).int()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(plain, dense / "model.safetensors", metadata={"format": "pt"})
    say(folder, bits=4, group_size=GROUP, quant_method="gptq", desc_act=False, sym=True)
    return folder, dense


def say(folder, **quantization):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = config.get("quantization_config", {}) | quantization
    (folder / "config.json").write_text(json.dumps(config))


def test_a_gptq_checkpoint_scores_as_its_dense_twin(gptq):
    folder, dense = gptq
    subject = open_folder(folder)
    receipt = compress(subject, QuantizedConfig())
    assert scored(subject, PAIRS, "bias_bench", 100) == scored(
        open_folder(dense), PAIRS, "bias_bench", 100
    )
    assert len(receipt.changes) == 14
    assert receipt.nominal_bits == 4
    # A half and a quarter of a byte for 16 weights more, and an index for each input.
    assert 5.25 < receipt.stored_bits < 7
    assert math.isnan(receipt.relative_error)
    assert receipt.details["errors_of_weights"] == "not known"
    size = (folder / "model.safetensors").stat().st_size
    assert receipt.details["checkpoint_bytes"] == size
    assert receipt.disk_bytes == pytest.approx(size, rel=0.01)


def test_in_a_models_place_it_has_the_errors_of_its_weights(gptq, load):
    folder, dense = gptq
    subject = load("llama")
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    after = load_file(dense / "model.safetensors")
    receipt = compress(subject, QuantizedConfig(id=str(folder)))
    assert subject.source.id == str(folder)
    for change in receipt.changes:
        old, new = before[f"{change.module}.weight"], after[f"{change.module}.weight"]
        assert change.relative_error == pytest.approx(
            float((old - new).norm() / old.norm()), rel=1e-4
        )
    assert receipt.hash_before != receipt.hash_after


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint_format": "marlin"}, "layout 'marlin'"),
        ({"bits": 5}, "of 5 bits"),
        ({"quant_method": "awq", "version": "GEMV"}, "layout 'gemv'"),
    ],
)
def test_layouts_that_are_not_read_are_unsupported(gptq, settings, message):
    say(gptq[0], **settings)
    with pytest.raises(Unsupported, match=message):
        open_folder(gptq[0])


def test_a_packed_checkpoint_with_a_part_missing_is_refused(gptq):
    weights = load_file(gptq[0] / "model.safetensors")
    weights = {key: value for key, value in weights.items() if "layers.1.mlp.up_proj" not in key}
    save_file(weights, gptq[0] / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 missing \(first: model.layers.1.mlp.up_proj.weight\)"):
        open_folder(gptq[0])


def test_a_quantized_model_is_called_what_it_is(gptq, load):
    with pytest.raises(InputError, match=r"quantized already \(gptq\).*compression=pretrained"):
        compress(open_folder(gptq[0]), NoneConfig())
    with pytest.raises(InputError, match="is not quantized; compression=pretrained takes"):
        compress(load("llama"), QuantizedConfig())
    with pytest.raises(InputError, match=r"compression\.id=.* is not quantized"):
        compress(load("llama"), QuantizedConfig(id=str(gptq[1])))
    with pytest.raises(InputError, match=r"is not a version of .* another architecture"):
        compress(load("gpt_neox"), QuantizedConfig(id=str(gptq[0])))


@pytest.mark.parametrize("name", ["bert", "gpt_neox"])
@pytest.mark.parametrize("scheme", ["int8", "nf4"])
def test_bitsandbytes_checkpoints_score_as_the_method_itself(
    name, scheme, checkpoint, load, tmp_path
):
    """Written by transformers, which leaves the same layers alone."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
    from transformers import BitsAndBytesConfig as Written

    written = {
        "int8": {"load_in_8bit": True},
        "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    }
    kind = AutoModelForMaskedLM if name == "bert" else AutoModelForCausalLM
    ours = load(name)
    receipt = compress(ours, BitsAndBytesConfig(scheme=scheme))
    left_alone = [n for n, m in ours.model.named_modules() if type(m) is torch.nn.Linear]
    model = kind.from_pretrained(
        checkpoint(name),
        quantization_config=Written(**written[scheme], llm_int8_skip_modules=left_alone),
        dtype=torch.float32,
        device_map="cpu",
    )
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(checkpoint(name)).save_pretrained(tmp_path)
    subject = load(name)
    swapped = compress(subject, QuantizedConfig(id=str(tmp_path)))
    assert swapped.relative_error == pytest.approx(receipt.relative_error, rel=1e-4)
    assert swapped.nominal_bits == receipt.nominal_bits
    wanted = scored(ours, PAIRS, "bias_bench", 100)
    for budget in (1, 10_000):
        for one, other in zip(scored(subject, PAIRS, "bias_bench", budget), wanted, strict=True):
            assert one == pytest.approx(other, rel=1e-5) if hasattr(other, "keys") else one == other


def test_torchao_checkpoints_load(checkpoint, load, tmp_path):
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TorchAoConfig

    model = AutoModelForCausalLM.from_pretrained(
        checkpoint("llama"),
        quantization_config=TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False)),
        dtype=torch.float32,
        device_map="cpu",
    )
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(checkpoint("llama")).save_pretrained(tmp_path)
    receipt = compress(load("llama"), QuantizedConfig(id=str(tmp_path)))
    assert len(receipt.changes) == 14
    assert 0 < receipt.relative_error < 0.01
    assert 8 < receipt.stored_bits < 10


def test_gguf_file_that_is_not_there(checkpoint):
    with pytest.raises(InputError, match=r"nothing\.gguf"):
        open_folder(checkpoint("llama"), gguf="nothing.gguf")


REAL = Path(__file__).parents[3] / "shared" / "models" / "stories15M"


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/models")
def test_a_real_checkpoint_in_4_bits(tmp_path):
    ours = open_folder(REAL)
    dense = scored(ours, PAIRS, "bias_bench", 4096)
    receipt = compress(ours, BitsAndBytesConfig(scheme="nf4"))
    assert 0.05 < receipt.relative_error < 0.12
    assert receipt.disk_bytes < 0.75 * receipt.memory_bytes_before
    for one, other in zip(scored(ours, PAIRS, "bias_bench", 4096), dense, strict=True):
        assert one != other
        assert one == pytest.approx(other, rel=0.5)
