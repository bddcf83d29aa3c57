"""A tokenizer of another model is seen, and answers that depend on no text are refused."""

import math

import pytest
import torch

from src.benchmarks.items import Labelled
from src.errors import InputError
from src.scoring.batching import merge
from src.scoring.engine import Engine
from src.scoring.fit import misfit, refuse_constant
from src.scoring.requests import LogProbs
from src.scoring.scorer import Plan, load_scorers, plan_items
from tests.models.folders import TINY, open_folder, swapped
from tests.scoring.items import CLUSTERS, DISCOURSES, PAIRS, TESTS

load_scorers()
CAUSAL = "pythia-0.4m/step5100"
BUDGET = (2048, 2**25)
ITEMS = [PAIRS, CLUSTERS, DISCOURSES, TESTS]


@pytest.mark.parametrize(
    "name", ["bert", "distilbert", "roberta", CAUSAL, "pythia-0.4m/step16", "pythia-0.4m/step256"]
)
def test_models_fit_their_own_tokenizers(name):
    """However little they were trained."""
    subject = open_folder(TINY / name)
    assert misfit(subject, ITEMS, BUDGET) is None
    assert misfit(subject, [TESTS], BUDGET) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [("bert", "roberta"), ("roberta", "bert"), (CAUSAL, "roberta"), (CAUSAL, "bert")],
)
def test_a_tokenizer_of_another_model_is_noticed(name, other, tmp_path):
    """All of these have 4096 tokens, so that every id has an embedding."""
    subject = open_folder(swapped(name, other, tmp_path / "model"))
    for items in (ITEMS, [PAIRS], [TESTS]):
        assert "Its tokenizer is probably another model's" in misfit(subject, items, BUDGET)


def test_values_that_are_not_finite_are_for_the_benchmarks_to_tell(load):
    """Their scorer may not be for such a model at all, which is no failure."""
    broken = load("gpt2")
    broken.model.transformer.ln_f.weight.fill_(torch.nan)
    assert misfit(broken, ITEMS, BUDGET) is None


def test_a_task_has_no_text_that_its_model_predicts(subject):
    task = [Labelled("0", "sst2", "0", task="sst2", first="good", second=None, label=1.0)]
    assert misfit(subject("gpt2"), [task], BUDGET) is None


def test_the_surprise_is_that_of_transformers_own_loss(subject, monkeypatch):
    monkeypatch.setattr("src.scoring.fit.MARGIN", -math.inf)  # so that it is always told
    random = subject("gpt2")
    total, tokens = 0.0, 0
    for pair in PAIRS:
        start = random.text.traits.start_id
        ids = torch.tensor([[start, *random.text.tokenizer.encode(pair.more)]])
        with torch.inference_mode():
            total += float(random.model(input_ids=ids, labels=ids).loss) * (ids.numel() - 1)
        tokens += ids.numel() - 1
    told = misfit(random, [PAIRS], BUDGET)
    assert f"({total / tokens:.1f} nats a token)" in told
    assert f"({math.log(len(random.text.tokenizer)):.1f})" in told


def answered(subject, items, scorer="bias_bench"):
    plans, _ = plan_items(items, subject.text, scorer, subject.objective)
    forwards, _ = merge(r for plan in plans if isinstance(plan, Plan) for r in plan.requests)
    return forwards, Engine(subject, *BUDGET).run(forwards)


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("items", [PAIRS, CLUSTERS, TESTS], ids=["pairs", "clusters", "seat"])
def test_weights_that_are_zero(name, items, load):
    subject = load(name)
    refuse_constant(subject, *answered(subject, items))
    for weight in subject.model.parameters():
        weight.zero_()
    with pytest.raises(InputError, match="do not depend on the text"):
        refuse_constant(subject, *answered(subject, items * 3))


def test_a_head_with_a_bias_only(load):
    """Its probabilities differ from token to token, but not from text to text."""
    subject = load("bert")
    for weight in subject.model.parameters():
        weight.zero_()
    bias = subject.model.cls.predictions.bias
    bias.copy_(torch.linspace(-2, 2, len(bias)))
    with pytest.raises(InputError, match="do not depend on the text"):
        refuse_constant(subject, *answered(subject, PAIRS, "pll"))


def test_texts_that_begin_alike_are_no_fault(subject):
    """A causal model gives what they share one probability, which is right."""
    gpt = subject("gpt2")
    shared = tuple(range(5, 25))
    requests = [
        LogProbs((*shared, last), tuple(range(20)), (*shared[1:], last)) for last in (30, 31)
    ]
    forwards, _ = merge(requests)
    refuse_constant(gpt, forwards, Engine(gpt, *BUDGET).run(forwards))
