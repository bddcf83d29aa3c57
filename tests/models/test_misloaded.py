"""The paper's "DistilBERT": its checkpoint in a BERT that takes none of its weights."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from src.errors import InputError
from src.models.load import load_subject
from src.models.misloaded import MisloadedConfig
from src.models.source import find_source
from tests.models.folders import edit_weights

CPU = torch.device("cpu")


@pytest.fixture
def paper(checkpoint):
    return MisloadedConfig(
        name="distilbert_paper",
        id=str(checkpoint("distilbert")),
        objective="masked",
        load_as="bert",
    )


def test_it_is_a_bert_base_of_twelve_layers_of_which_nothing_was_loaded(paper, checkpoint):
    loaded = load_subject(paper, CPU, "auto")
    assert type(loaded.model) is BertForMaskedLM
    own = json.loads((checkpoint("distilbert") / "config.json").read_text())
    standard = BertConfig(vocab_size=own["vocab_size"], max_position_embeddings=64)
    with torch.device("meta"):
        expected = BertForMaskedLM(standard).state_dict()
    state = loaded.model.state_dict()
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in expected.items()
    }
    assert loaded.model.config.num_hidden_layers == 12
    # As BERT initialises: normal with the config's deviation (DistilBERT's), biases 0, norms 1.
    weights = state["bert.encoder.layer.7.intermediate.dense.weight"]
    assert weights.std().item() == pytest.approx(own["initializer_range"], rel=0.01)
    assert not state["bert.encoder.layer.7.intermediate.dense.bias"].any()
    assert (state["bert.encoder.layer.7.output.LayerNorm.weight"] == 1).all()


def test_the_seed_decides_the_weights_and_nothing_else_does(paper):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = load_subject(paper, CPU, "auto").model.state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    again = load_subject(paper, CPU, "auto").model.state_dict()
    other = load_subject(replace(paper, seed=1), CPU, "auto").model.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    key = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(first[key], other[key])


def test_it_is_the_checkpoint_that_transformers_makes_of_the_papers_call(paper):
    """`BertForMaskedLM.from_pretrained("distilbert-base-uncased")`, with the seed set before."""
    torch.manual_seed(0)
    theirs = BertForMaskedLM.from_pretrained(paper.id, dtype=torch.float32).state_dict()
    ours = load_subject(paper, CPU, "auto").model.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_a_checkpoint_that_fits_after_all_is_refused(paper, copied):
    folder = copied("distilbert")
    key = "cls.predictions.transform.LayerNorm.weight"
    edit_weights(folder, lambda weights: weights.update({key: torch.ones(768)}))
    with pytest.raises(InputError, match=f"1 weights of a BertForMaskedLM .*{key}"):
        load_subject(replace(paper, id=str(folder)), CPU, "auto")


def test_an_unknown_type_is_named(paper):
    with pytest.raises(InputError, match=r"model\.load_as=berd"):
        find_source(replace(paper, load_as="berd"))
