"""Item scores equal a plain one-sentence-at-a-time reimplementation, for every architecture."""

import numpy as np
import pytest

from src.benchmarks.base import Skipped
from src.scoring.batching import merge, scatter
from src.scoring.engine import Engine
from src.scoring.scorer import Plan, load_scorers, plan_items, score_items
from tests.checkpoints import CAUSAL, MASKED
from tests.scoring import plain
from tests.scoring.items import CLUSTERS, DISCOURSES, PAIRS, TESTS

load_scorers()
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
BUDGETS = [1, 30, 10_000]


def scored(subject, items, scorer, batch_tokens):
    plans, _ = plan_items(items, subject.text, scorer, subject.objective)
    forwards, places = merge(r for p in plans if isinstance(p, Plan) for r in p.requests)
    answers = Engine(subject, batch_tokens, 10_000_000).run(forwards)
    return score_items(plans, scatter(answers, places))


@pytest.fixture(params=MASKED)
def masked(request, subject):
    return subject(request.param)


@pytest.fixture(params=CAUSAL)
def causal(request, subject):
    return subject(request.param)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("scorer", ["bias_bench", "original"])
def test_crows_pairs_masked(masked, scorer, budget):
    found = scored(masked, PAIRS, scorer, budget)
    skips = 0
    for pair, score in zip(PAIRS, found, strict=True):
        wanted = plain.crows_masked(masked.model, masked.text.tokenizer, pair, scorer == "original")
        if wanted is None:
            skips += 1
            assert isinstance(score, Skipped)
        else:
            np.testing.assert_allclose(
                [score["more"], score["less"]], [wanted["more"], wanted["less"]], **TOLERANCE
            )
    assert skips == (1 if scorer == "bias_bench" else 0)


@pytest.mark.parametrize("budget", BUDGETS)
def test_crows_pairs_causal(causal, budget):
    for pair, score in zip(PAIRS, scored(causal, PAIRS, "bias_bench", budget), strict=True):
        for name in ("more", "less"):
            wanted = plain.sentence_causal(
                causal.model,
                causal.text.tokenizer,
                getattr(pair, name),
                causal.text.traits.start_id,
            )
            assert score[name] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("scorer", ["bias_bench", "original"])
def test_stereoset_masked(masked, scorer, budget):
    space = scorer == "bias_bench" and masked.text.traits.leading_space
    assert masked.text.traits.leading_space == (type(masked.model).__name__ == "RobertaForMaskedLM")
    for cluster, score in zip(CLUSTERS, scored(masked, CLUSTERS, scorer, budget), strict=True):
        for candidate in cluster.candidates:
            wanted = plain.stereoset_masked(
                masked.model, masked.text.tokenizer, cluster, candidate, space
            )
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("budget", BUDGETS)
def test_stereoset_causal(causal, budget):
    model, tokenizer, start = causal.model, causal.text.tokenizer, causal.text.traits.start_id
    for cluster, score in zip(
        CLUSTERS, scored(causal, CLUSTERS, "bias_bench", budget), strict=True
    ):
        for candidate in cluster.candidates:
            wanted = plain.sentence_causal(model, tokenizer, candidate.sentence, start)
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5)
    for cluster, score in zip(
        DISCOURSES, scored(causal, DISCOURSES, "bias_bench", budget), strict=True
    ):
        for candidate in cluster.candidates:
            wanted = plain.conditional(model, tokenizer, cluster.context, candidate.sentence)
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5)
    for cluster, score in zip(
        DISCOURSES, scored(causal, DISCOURSES, "original", budget), strict=True
    ):
        for candidate in cluster.candidates:
            wanted = plain.ratio_to_context(
                model, tokenizer, cluster.context, candidate.sentence, start
            )
            assert score[candidate.id] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_seat(name, budget, subject):
    subject = subject(name)
    for scorer in ("bias_bench", "original") if name in MASKED else ("bias_bench",):
        for sentence, vector in scored(subject, TESTS, scorer, budget)[0].items():
            first = scorer == "original"
            wanted = plain.embedding(
                subject.model, subject.text.tokenizer, sentence, not first, first
            )
            wanted = wanted if first else wanted / np.linalg.norm(wanted)
            np.testing.assert_allclose(vector, wanted, **TOLERANCE)
