"""Which weights a checkpoint may hold beside its model's, and which of its files count."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from src.errors import InputError
from src.models.config import ModelConfig
from src.models.load import load_subject, with_weight_files
from src.models.source import find_source, weight_files
from tests.checkpoints import build
from tests.models.folders import edit_weights, open_folder

MASK = torch.ones(8, 8).tril()[None, None]


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).logits


# Names and shapes as in the hub's gpt2, EleutherAI/gpt-neo-125m, EleutherAI/pythia-70m,
# facebook/opt-125m and bert-base-uncased.
@pytest.mark.parametrize(
    ("name", "leftovers"),
    [
        ("gpt2", {"h.0.attn.bias": MASK, "h.1.attn.masked_bias": torch.tensor(-1e4)}),
        (
            "gpt2",
            {
                "transformer.h.0.attn.bias": MASK.to(torch.uint8),
                "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
            },
        ),
        (
            "gpt_neo",
            {
                "transformer.h.0.attn.attention.bias": MASK.bool(),
                "transformer.h.1.attn.attention.masked_bias": torch.tensor(-1e9),
            },
        ),
        (
            "gpt_neox",
            {
                "gpt_neox.layers.0.attention.bias": MASK.bool(),
                "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
                "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(4),
            },
        ),
        ("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
        ("opt", {"decoder.version": torch.tensor([3.0])}),
        ("opt", {"model.decoder.version": torch.tensor([3.0])}),
        ("bert", {"bert.embeddings.position_ids": torch.arange(64)[None]}),
        ("electra", {"electra.embeddings.position_ids": torch.arange(64)[None]}),
        ("distilbert", {"distilbert.embeddings.position_ids": torch.arange(64)[None]}),
    ],
)
def test_constants_of_older_versions_change_nothing(name, leftovers, copied, subject):
    folder = copied(name)
    edit_weights(folder, lambda weights: weights.update(leftovers))
    assert leftovers.keys() <= load_file(folder / "model.safetensors").keys()
    assert torch.equal(logits(open_folder(folder).model), logits(subject(name).model))


def test_a_causal_mask_in_a_bin_file(copied):
    folder = copied("gpt_neo")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weights["transformer.h.0.attn.attention.bias"] = MASK
    torch.save(weights, folder / "pytorch_model.bin")
    assert open_folder(folder).source.weight_files == ("pytorch_model.bin",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # A bias of that name is a vector.
        ("transformer.h.0.attn.attention.bias", torch.ones(32)),
        ("transformer.h.0.attn.attention.bias", torch.ones(1, 4, 8, 8)),
        ("transformer.h.0.attn.attention.c_proj.bias", torch.ones(32)),
        ("transformer.h.0.attn.attention.q_proj.bias", MASK),
        ("transformer.h.0.my_attn.bias", MASK),
        ("transformer.h.0.unmasked_bias", torch.ones(1)),
        ("transformer.relative_position_ids", torch.ones(1)),
        ("transformer.version", torch.ones(1)),
    ],
)
def test_other_names_and_shapes_are_refused(key, value, copied):
    folder = copied("gpt_neo")
    edit_weights(folder, lambda weights: weights.update({key: value}))
    with pytest.raises(InputError, match=rf"1 unexpected \(first: {key}\)") as refused:
        open_folder(folder)
    assert "random" not in str(refused.value)


def test_only_missing_weights_are_random(copied):
    folder = copied("llama")

    def rename(weights):
        weights["model.layers.1.mlp.mine.weight"] = weights.pop("model.layers.1.mlp.up_proj.weight")

    edit_weights(folder, rename)
    with pytest.raises(InputError, match=r"1 missing .*; 1 unexpected .*measure random weights"):
        open_folder(folder)


def add_other_files(folder):
    """What hub repositories hold beside the weights that are loaded."""
    for name in ("adapter_model", "model.fp16", "consolidated", "model-00001-of-00009"):
        save_file({"other": torch.ones(7)}, folder / f"{name}.safetensors")
    for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot"):
        (folder / name).write_bytes(b"never read")


def test_one_file_among_other_formats(copied):
    folder = copied("gpt2")
    plain = open_folder(folder).source
    add_other_files(folder)
    source = open_folder(folder).source
    assert source.weight_files == ("model.safetensors",)
    assert source.weight_bytes == (folder / "model.safetensors").stat().st_size
    assert source.digest == plain.digest


@pytest.fixture
def shards(tmp_path):
    model, tokenizer = build("gpt2")
    model.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    tokenizer.save_pretrained(tmp_path / "shards")
    return tmp_path / "shards"


def test_shards_are_those_of_the_index(shards):
    index = json.loads((shards / "model.safetensors.index.json").read_text())
    names = sorted(set(index["weight_map"].values()))
    assert len(names) > 1
    add_other_files(shards)
    source = open_folder(shards).source
    assert list(source.weight_files) == names
    assert source.weight_bytes == sum((shards / name).stat().st_size for name in names)


def test_a_shard_that_is_not_there(shards):
    missing = weight_files(shards)[1]
    missing.unlink()
    with pytest.raises(InputError, match=rf"names {missing.name}, which is not there"):
        open_folder(shards)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_an_index_that_is_none(shards, text):
    (shards / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match="is no index of a checkpoint's shards"):
        open_folder(shards)


def test_hub_checkpoint_counts_what_was_loaded(checkpoint, tmp_path, monkeypatch):
    """A hub cache with two weight formats and a causal mask, as the hub's gpt2 has."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--some--gpt"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit
    shutil.copytree(checkpoint("gpt_neo"), folder)
    edit_weights(folder, lambda w: w.update({"transformer.h.0.attn.attention.bias": MASK}))
    add_other_files(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    config = ModelConfig(name="m", id="some/gpt")
    source = with_weight_files(load_subject(config, torch.device("cpu"), "auto").source)
    assert (source.commit, source.weight_files) == (commit, ("model.safetensors",))
    assert source.weight_bytes == (folder / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    "name",
    ["tokenizer.model", "tokenizer.model.v3", "qwen.tiktoken", "vocab.txt", "merges.txt",
     "bpe.codes", "generation_config.json"],
)  # fmt: skip
def test_digest_covers_the_tokenizers_files(name, copied):
    folder = copied("gpt2")
    digests = set()
    for content in ("{}", "{ }"):
        (folder / name).write_text(content)
        digests.add(find_source(ModelConfig(name="m", id=str(folder)))[0].digest)
    assert len(digests) == 2


def test_home_folder_is_found(copied, monkeypatch):
    folder = copied("bert")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_folder("~/bert").source.id == "~/bert"
