"""Whether a model can do what it is to be scored for, and its tokenizer belongs to it."""

import json
import shutil

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    FunnelForMaskedLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from src.errors import InputError, Unsupported
from src.models.causality import refuse_look_ahead
from src.models.config import DTYPES, ModelConfig
from src.models.load import load_subject, max_length
from tests.checkpoints import BERT, CAUSAL, build, byte_level, wordpiece
from tests.models.folders import open_folder

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*CAUSAL, "gpt_neo"])
def test_causal_models_do_not_look_ahead(name, dtype, checkpoint):
    assert open_folder(checkpoint(name), dtype=dtype).objective == "causal"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_masked_models_have_no_causal_scores(name, dtype, tmp_path):
    # Saved by the causal class, so that all weights are there and nothing else is at fault.
    model, tokenizer = build(name)
    AutoModelForCausalLM.from_config(model.config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(Unsupported, match=r"looks ahead.*use model\.objective=masked"):
        open_folder(tmp_path, dtype=dtype, objective="causal")


def test_xlnet_looks_ahead_and_has_no_masked_class(checkpoint):
    with pytest.raises(Unsupported, match=r"XLNetLMHeadModel looks ahead.*cannot score it"):
        open_folder(checkpoint("xlnet"))


@pytest.mark.parametrize("deviation", [0.02, 0.2])
def test_a_bert_that_is_a_decoder_does_not_look_ahead(deviation):
    """The smaller deviation is BERT's own: a model before training is judged rightly too."""
    tokenizer = wordpiece()
    for decoder in (True, False):
        config = BertConfig(
            **BERT,
            vocab_size=len(tokenizer),
            initializer_range=deviation,
            is_decoder=decoder,
            use_cache=False,
        )
        torch.manual_seed(0)
        model = BertLMHeadModel(config).eval()
        if decoder:
            refuse_look_ahead(model, tokenizer, CPU)
        else:
            with pytest.raises(Unsupported, match="looks ahead"):
                refuse_look_ahead(model, tokenizer, CPU)


def test_rounding_of_experts_is_no_look_ahead():
    # An expert's inputs are batched: another last token changes the shapes of the products.
    tokenizer = byte_level(False)
    for seed in range(3):
        torch.manual_seed(seed)
        config = MixtralConfig(
            **BERT, vocab_size=len(tokenizer), num_key_value_heads=2, initializer_range=0.2
        )
        refuse_look_ahead(MixtralForCausalLM(config).eval(), tokenizer, CPU)


def test_funnel_has_two_base_classes(checkpoint):
    assert isinstance(open_folder(checkpoint("funnel")).model, FunnelForMaskedLM)


@pytest.mark.parametrize(("limit", "wanted"), [(-1, None), (0, None), (1, 1)])
def test_a_limit_below_one_is_none(limit, wanted, load):
    model = load("llama").model
    model.config.max_position_embeddings = limit
    assert max_length(model) == wanted


def test_xlnet_has_no_limit(checkpoint):
    assert max_length(build("xlnet")[0]) is None


@pytest.mark.parametrize(("model", "other"), [("bert", "gpt2"), ("bert", "roberta")])
def test_tokenizer_of_another_model_is_refused(model, other, copied, checkpoint):
    folder = copied(model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint(other) / name, folder / name)
    with pytest.raises(InputError, match="another model's tokenizer"):
        open_folder(folder)


@pytest.fixture
def padded(copied):
    """A Llama whose tokenizer got a token that its embeddings did not."""

    def add(**tokens):
        folder = copied("llama")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_special_tokens(tokens)
        tokenizer.save_pretrained(folder)
        rows = json.loads((folder / "config.json").read_text())["vocab_size"]
        assert max(tokenizer.get_vocab().values()) == rows
        return folder, rows

    return add


def test_an_added_token_without_embedding(padded):
    folder, rows = padded(pad_token="[PAD]")
    text = open_folder(folder).text
    assert max(text.encode("The nurse was kind.")) < rows
    with pytest.raises(InputError, match=rf"token '\[PAD\]' \(id {rows}\) in 'kind \[PAD\] men'"):
        text.encode("kind [PAD] men")


def test_a_mask_token_without_embedding(padded):
    folder, _ = padded(mask_token="<mask>")
    with pytest.raises(InputError, match=r"'<mask>' .* in a masked text has no embedding"):
        open_folder(folder).text.mask()


def test_a_start_token_without_embedding(padded):
    folder, _ = padded(bos_token="<start>")
    # The end-of-sequence token takes its place, as where there is none.
    assert open_folder(folder).text.traits.start_id == 0
    with pytest.raises(InputError, match="<start> is not a token of this model"):
        load_subject(ModelConfig(name="m", id=str(folder)), CPU, "<start>")
