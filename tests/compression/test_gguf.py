"""GGUF files written here, tensor by tensor as llama.cpp has them, against the same weights."""

import json

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type

from src.compression.pretrained import QuantizedConfig
from src.compression.registry import compress
from src.scoring.scorer import load_scorers
from tests.compression.test_pretrained import open_folder
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored

load_scorers()
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
BLOCK = 32


def name_of(key):
    key = key.removesuffix(".weight")
    if key in WHOLE:
        return f"{WHOLE[key]}.weight"
    _, _, number, rest = key.split(".", 3)
    return f"blk.{number}.{NAMES[rest]}.weight"


def eight_bits(weight):
    """Round blocks of 32 weights to 255 levels with a half-precision scale (Q8_0)."""
    blocks = weight.reshape(-1, BLOCK)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    values = torch.round(blocks / scale.clamp(min=1e-30))
    return (values * scale.half().float()).reshape(weight.shape)


def has_eight_bits(key, weight):
    """Rows that hold no whole blocks, and norms, stay as they are."""
    return weight.dim() == 2 and weight.shape[1] % BLOCK == 0 and "embed" not in key


def write(folder, subject, eight):
    """Write a Llama as GGUF, its matrices in 8 bits or all in fp32; give the stored bytes."""
    config, tokenizer = subject.model.config, subject.text.tokenizer
    file = gguf.GGUFWriter(folder / "model.gguf", "llama")
    file.add_context_length(config.max_position_embeddings)
    file.add_embedding_length(config.hidden_size)
    file.add_block_count(config.num_hidden_layers)
    file.add_feed_forward_length(config.intermediate_size)
    file.add_head_count(config.num_attention_heads)
    file.add_head_count_kv(config.num_key_value_heads)
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    file.add_rope_freq_base(config.rope_parameters["rope_theta"])
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    file.add_tokenizer_model("gpt2")
    file.add_token_list(sorted(state["vocab"], key=state["vocab"].get))
    file.add_token_types([1] * len(state["vocab"]))
    file.add_token_merges([" ".join(pair) for pair in state["merges"]])
    file.add_bos_token_id(tokenizer.bos_token_id)
    file.add_eos_token_id(tokenizer.eos_token_id)
    size = 0
    for key, weight in subject.model.state_dict().items():
        data = weight.numpy()
        for part, heads in (
            ("q_proj", config.num_attention_heads),
            ("k_proj", config.num_key_value_heads),
        ):
            if part in key:  # rotary halves side by side, as llama.cpp turns them
                shape = (heads, 2, len(data) // heads // 2, -1)
                data = data.reshape(shape).swapaxes(1, 2).reshape(data.shape)
        kind = Type.Q8_0 if eight and has_eight_bits(key, weight) else Type.F32
        size += weight.numel() // BLOCK * (BLOCK + 2) if kind == Type.Q8_0 else 4 * weight.numel()
        stored = gguf.quantize(np.ascontiguousarray(data), kind)
        file.add_tensor(name_of(key), stored, raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return size


@pytest.fixture
def folders(checkpoint, load, tmp_path):
    """GGUF files of the small Llama in fp32 and in 8 bits, and their stored bytes."""
    sizes = {}
    for name, eight in (("plain", False), ("eight", True)):
        (tmp_path / name).mkdir()
        sizes[name] = write(tmp_path / name, load("llama"), eight)
    return tmp_path, sizes


def measure(folder):
    subject = open_folder(folder, gguf="model.gguf")
    return subject, compress(subject, QuantizedConfig())


def test_floats_score_as_the_same_weights_loaded_ordinarily(folders, load):
    subject, receipt = measure(folders[0] / "plain")
    expected = scored(load("llama"), PAIRS, "bias_bench", 100)
    for one, other in zip(scored(subject, PAIRS, "bias_bench", 100), expected, strict=True):
        assert one == pytest.approx(other, rel=1e-6) if hasattr(other, "keys") else one == other
    elements = sum(weight.numel() for weight in load("llama").model.state_dict().values())
    assert receipt.nominal_bits == 32
    assert receipt.details["elements_by_type"] == {"F32": elements}
    assert receipt.details["tensor_bytes"] == folders[1]["plain"] == 4 * elements


def test_eight_bits_are_the_rounded_weights_and_the_receipt_has_the_files_size(folders, load):
    subject, receipt = measure(folders[0] / "eight")
    rounded, dense = load("llama"), load("llama").model.state_dict()
    changed = 0
    for key, weight in rounded.model.state_dict().items():
        if has_eight_bits(key, weight):
            weight.copy_(eight_bits(weight))
            changed += weight.numel()
    for key, weight in subject.model.state_dict().items():
        torch.testing.assert_close(weight, rounded.model.state_dict()[key], rtol=1e-5, atol=1e-6)
    expected = scored(rounded, PAIRS, "bias_bench", 100)
    for one, other in zip(scored(subject, PAIRS, "bias_bench", 100), expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4) if hasattr(other, "keys") else one == other
    elements = sum(weight.numel() for weight in dense.values())
    assert changed > elements / 3
    assert receipt.details["elements_by_type"] == {"F32": elements - changed, "Q8_0": changed}
    stored = folders[1]["eight"]
    assert stored == 4 * (elements - changed) + changed * 34 // 32
    assert receipt.details["tensor_bytes"] == stored
    assert receipt.nominal_bits == pytest.approx(8 * stored / elements)
    file = (folders[0] / "eight" / "model.gguf").stat().st_size
    assert receipt.details["checkpoint_bytes"] == file > stored
    assert receipt.details["in_memory"] == "as float32 numbers"


def test_in_a_models_place_it_has_the_errors_of_its_weights(folders, load):
    subject = load("llama")
    settings = QuantizedConfig(id=str(folders[0] / "eight"), gguf="model.gguf")
    receipt = compress(subject, settings)
    assert 0.002 < receipt.relative_error < 0.01
    errors = {change.module: change.relative_error for change in receipt.changes}
    assert errors["model.layers.0.mlp.down_proj"] == pytest.approx(0, abs=1e-7)
    weight = load("llama").model.model.layers[1].self_attn.q_proj.weight
    error = float((weight - eight_bits(weight)).norm() / weight.norm())
    assert errors["model.layers.1.self_attn.q_proj"] == pytest.approx(error, rel=1e-3)
