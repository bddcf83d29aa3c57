"""A checkpoint is loaded as what it is, or refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForMaskedLM, DistilBertForMaskedLM

from src.errors import InputError, Unsupported
from src.models.config import ModelConfig, PythiaConfig
from src.models.load import load_subject
from src.models.source import find_source
from tests.checkpoints import CAUSAL, MASKED
from tests.models.folders import edit_weights, open_folder

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_class_and_objective_come_from_the_checkpoint(name, subject):
    loaded = subject(name)
    assert loaded.objective == ("masked" if name in MASKED else "causal")
    assert loaded.model.config.model_type.replace("-", "_") == name
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_distilbert_is_a_distilbert_and_not_a_random_bert(subject, copied):
    assert isinstance(subject("distilbert").model, DistilBertForMaskedLM)
    # What the paper's code did: DistilBERT's weights in a BERT, none of them fitting.
    folder = copied("distilbert")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 32}
    config |= {"num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"does not hold a BertForMaskedLM: weights \d+ missing"):
        open_folder(folder)


def test_pretraining_heads_are_explained(subject):
    # Saved as BertForPreTraining: pooler and next-sentence head are no part of the masked model.
    assert isinstance(subject("bert").model, BertForMaskedLM)


def test_missing_weight_is_refused(copied):
    folder = copied("gpt_neox")
    edit_weights(folder, lambda w: w.pop(next(key for key in w if "layers.1" in key)))
    with pytest.raises(InputError, match="1 missing"):
        open_folder(folder)


def test_unexpected_weight_is_refused(copied):
    folder = copied("llama")
    edit_weights(folder, lambda w: w.update({"model.adapter.weight": torch.ones(2)}))
    with pytest.raises(InputError, match=r"1 unexpected \(first: model.adapter.weight\)"):
        open_folder(folder)


def test_weight_of_another_shape_is_refused(copied):
    folder = copied("gpt2")
    edit_weights(folder, lambda w: w.update({"transformer.wpe.weight": torch.ones(9, 32)}))
    told = (
        r"1 of another shape \(first: transformer.wpe.weight: \(9, 32\) in the file, \(\d+, 32\) by"
    )
    with pytest.raises(InputError, match=told):
        open_folder(folder)


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt_neox"])
def test_folder_without_a_tokenizer(name, copied):
    # transformers makes one of special tokens for it: [UNK] for every word, or no token at all.
    folder = copied(name)
    for file in {*folder.glob("*token*"), *folder.glob("vocab*"), *folder.glob("merges*")}:
        file.unlink()
    with pytest.raises(InputError, match=f"{name}: its tokenizer knows no words, only"):
        open_folder(folder)


def test_folder_without_a_config(copied):
    folder = copied("bert")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"bert: the folder holds no config\.json"):
        open_folder(folder)


def test_config_of_a_wrong_type(copied):
    folder = copied("bert")
    config = json.loads((folder / "config.json").read_text()) | {"hidden_size": "big"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json cannot be used \(.*'hidden_size'.*'big'"):
        open_folder(folder)


def test_folder_without_weights(copied):
    folder = copied("bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        open_folder(folder)


def test_truncated_weights(copied):
    folder = copied("bert")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be loaded"):
        open_folder(folder)


def test_bin_weights_load_only_as_weights(copied):
    folder = copied("bert")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert open_folder(folder).source.weight_files == ("pytorch_model.bin",)

    class Code:
        def __reduce__(self):
            return (print, ("code from a checkpoint was run",))

    torch.save({**weights, "code": Code()}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        open_folder(folder)


def test_remote_code_is_never_run(copied):
    folder = copied("bert")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('remote code was run')")
    with pytest.raises(InputError):
        open_folder(folder)


def test_architecture_without_a_language_model_head(copied):
    folder = copied("bert")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(Unsupported, match=r"neither a masked nor a causal.*model\.objective"):
        open_folder(folder)
    assert open_folder(folder, objective="masked").objective == "masked"


def test_objective_that_does_not_exist(checkpoint):
    with pytest.raises(Unsupported, match="gpt_neox has no masked"):
        open_folder(checkpoint("gpt_neox"), objective="masked")


def test_no_such_folder():
    with pytest.raises(InputError, match="there is no such folder"):
        open_folder("./nowhere")


def test_no_network_is_one_clear_sentence():
    # HF_HUB_OFFLINE is set for all tests.
    with pytest.raises(InputError, match=r"nobody/nothing at model\.revision=main is no local"):
        open_folder("nobody/nothing")


def test_pythia_resolves_size_and_step(checkpoint, tmp_path, monkeypatch):
    """A hub cache laid out as the hub library does is the stand-in for the hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    config = PythiaConfig(
        name="p",
        id="EleutherAI/pythia-70m-deduped",
        revision="step3000",
        size="70m",
        step=3000,
    )
    repository = tmp_path / "models--EleutherAI--pythia-70m-deduped"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "step3000").write_text(commit)
    shutil.copytree(checkpoint("gpt_neox"), repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    source, _ = find_source(config)
    assert (source.commit, source.revision) == (commit, "step3000")
    loaded = load_subject(config, CPU, "auto")
    assert loaded.model.config.model_type == "gpt_neox"
    with pytest.raises(InputError, match="step4000"):
        find_source(PythiaConfig(name="p", id=config.id, revision="step4000"))


def test_local_digest_changes_with_the_weights(copied):
    folder = copied("opt")
    before = open_folder(folder).source
    edit_weights(folder, lambda w: w[next(iter(w))].add_(1))
    after = open_folder(folder).source
    assert before.digest != after.digest
    assert before.weight_bytes == (folder / "model.safetensors").stat().st_size


@pytest.mark.parametrize(("given", "wanted"), [("auto", 0), ("none", None), ("<|endoftext|>", 0)])
def test_start_token(given, wanted, checkpoint):
    config = ModelConfig(name="m", id=str(checkpoint("gpt2")))
    assert load_subject(config, CPU, given).text.traits.start_id == wanted


def test_unknown_start_token(checkpoint):
    config = ModelConfig(name="m", id=str(checkpoint("gpt2")))
    with pytest.raises(InputError, match=r"scorer\.start_token=<start>"):
        load_subject(config, CPU, "<start>")


def test_too_long_a_text(subject):
    with pytest.raises(InputError, match="longer than the 64 this model takes"):
        subject("roberta").text.encode("kind " * 70)
    assert len(subject("roberta").text.encode("kind " * 10)) < 64
