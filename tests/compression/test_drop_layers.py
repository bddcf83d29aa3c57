"""Models with fewer layers: the same as ones built from the layers that are left."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from src.compression.drop_layers import DropLayersConfig, chosen
from src.compression.registry import compress
from src.errors import InputError, Unsupported
from src.models.load import find_class
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored


def test_which_layers_go():
    def of_12(which, layers):
        return chosen(DropLayersConfig(which=which, layers=layers), 12)

    assert of_12("first", 2) == [0, 1]
    assert of_12("last", 3) == [9, 10, 11]
    assert of_12("alternate", 4) == [5, 7, 9, 11]
    assert of_12("alternate", 6) == [1, 3, 5, 7, 9, 11]
    for which, layers in (("last", 12), ("first", 13), ("alternate", 7)):
        with pytest.raises(Unsupported, match=rf"layers={layers} \({which}\) cannot be left out"):
            of_12(which, layers)
    with pytest.raises(InputError, match=r"compression\.layers=0"):
        DropLayersConfig(layers=0)
    with pytest.raises(InputError, match="first, last, alternate"):
        DropLayersConfig(which="middle")


def bypassed(model, path):
    """Let the block at `path` give back what it is given: an independent way to leave it out."""

    def through(module, args, kwargs, output):
        given = args[0] if args else kwargs["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    model.get_submodule(path).register_forward_hook(through, with_kwargs=True)


PATHS = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "electra": "electra.encoder.layer",
    "mobilebert": "mobilebert.encoder.layer",
    "gpt2": "transformer.h",
    "gpt_neox": "gpt_neox.layers",
    "llama": "model.layers",
    "opt": "model.decoder.layers",
    "gpt_neo": "transformer.h",
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(("which", "index"), [("first", 0), ("last", 1)])
def test_the_rest_computes_as_if_the_layer_passed_its_input_on(name, which, index, load, tmp_path):
    subject, whole = load(name), load(name)
    lost = whole.model.get_submodule(f"{PATHS[name]}.{index}")
    bypassed(whole.model, f"{PATHS[name]}.{index}")
    receipt = compress(subject, DropLayersConfig(which=which))
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad():
        ours, expected = (one.model(input_ids=ids).logits for one in (subject, whole))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert receipt.details["dropped"] == [index]
    elements = sum(parameter.numel() for parameter in lost.parameters())
    assert sum(change.elements for change in receipt.changes) == elements
    assert {(c.bits, c.relative_error, c.sparsity) for c in receipt.changes if c.norm} == {
        (0.0, 1.0, 1.0)
    }
    before, after = receipt.memory_bytes_before, receipt.memory_bytes_after
    assert 4 * elements <= before - after <= 4 * elements + 20_000  # GPT-Neo's masks are buffers
    # What is saved is a model of its own, which transformers builds with these layers.
    subject.model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.num_hidden_layers == 1
    again = find_class(config, subject.objective)[1].from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=ids).logits, ours, rtol=0, atol=0)


def test_the_cache_of_keys_and_values_is_filled_from_layer_0_on(load):
    for name in CAUSAL:
        subject = load(name)
        compress(subject, DropLayersConfig(which="first"))
        ids = torch.tensor([[5, 6, 7, 8, 9]])
        with torch.no_grad():
            whole = subject.model(input_ids=ids).logits[:, -1]
            past = subject.model(input_ids=ids[:, :-1], use_cache=True).past_key_values
            step = subject.model(input_ids=ids[:, -1:], past_key_values=past).logits[:, -1]
        assert len(past) == 1
        torch.testing.assert_close(step, whole, rtol=1e-4, atol=1e-4)


def test_albert_repeats_its_one_layer_less_often(load):
    subject, whole = load("albert"), load("albert")
    receipt = compress(subject, DropLayersConfig())
    assert receipt.details["shared_weights"]
    assert receipt.details["layers_after"] == 1
    assert not receipt.changes
    assert receipt.memory_bytes_before == receipt.memory_bytes_after
    whole.model.albert.encoder.config = copy.deepcopy(whole.model.config)
    whole.model.albert.encoder.config.num_hidden_layers = 1
    assert scored(subject, PAIRS, "bias_bench", 100) == scored(whole, PAIRS, "bias_bench", 100)
    assert scored(subject, PAIRS, "bias_bench", 100) != scored(
        load("albert"), PAIRS, "bias_bench", 100
    )


def test_settings_by_layer_lose_those_that_went(load):
    subject = load("gpt_neo")
    assert subject.model.config.attention_layers == ["global", "local"]
    compress(subject, DropLayersConfig(which="first"))
    assert subject.model.config.attention_layers == ["local"]
    subject = load("llama")
    subject.model.config.layer_types = ["one", "other"]
    compress(subject, DropLayersConfig(which="last"))
    assert subject.model.config.layer_types == ["one"]


def test_models_whose_layers_cannot_be_left_out_say_so(load):
    with pytest.raises(Unsupported, match="do not lie in one list"):
        compress(load("funnel"), DropLayersConfig())
    subject = load("gpt2")
    subject.model.config.scale_attn_by_inverse_layer_idx = True
    with pytest.raises(Unsupported, match="scales its attention"):
        compress(subject, DropLayersConfig())
    assert len(subject.model.transformer.h) == 2


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_scores_can_be_had(name, load):
    subject = load(name)
    assert any(isinstance(module, nn.ModuleList) for module in subject.model.modules())
    compress(subject, DropLayersConfig(which="alternate"))
    assert len(scored(subject, PAIRS, "bias_bench", 100)) == len(PAIRS)
