"""Scorers of whole sentences equal a plain statement of theirs; words; several scorers at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from src.benchmarks.base import Skipped
from src.benchmarks.items import SentencePair
from src.errors import InputError, Unsupported
from src.models.traits import TextSide, find_traits
from src.scoring.attention import received_attention
from src.scoring.batching import merge
from src.scoring.engine import Engine
from src.scoring.requests import Attention, LogProbs
from src.scoring.scorer import Plan, find_scorer, load_scorers, plan_items
from tests.checkpoints import CAUSAL, MASKED, TEXT
from tests.scoring import plain
from tests.scoring.items import CLUSTERS, DISCOURSES, PAIRS, TESTS
from tests.scoring.test_exactness import scored

load_scorers()
CLOSE = {"rel": 1e-5, "abs": 1e-5}
MASKED_SCORERS = {
    "pll": lambda model, tokenizer, one: plain.pll(model, tokenizer, one, False),
    "pll_word_l2r": lambda model, tokenizer, one: plain.pll(model, tokenizer, one, True),
    "aul": lambda model, tokenizer, one: plain.aul(model, tokenizer, one, False),
    "aula": lambda model, tokenizer, one: plain.aul(model, tokenizer, one, True),
}
ALTERNATIVES = [
    *({"more": pair.more, "less": pair.less} for pair in PAIRS),
    *({one.id: one.sentence for one in cluster.candidates} for cluster in CLUSTERS),
]


@pytest.mark.parametrize("budget", [1, 10_000])
@pytest.mark.parametrize("scorer", MASKED_SCORERS)
@pytest.mark.parametrize("name", MASKED)
def test_masked(name, scorer, budget, subject):
    loaded = subject(name)
    found = [
        *scored(loaded, PAIRS, scorer, budget),
        *scored(loaded, CLUSTERS, scorer, budget),
    ]
    for scores, alternatives in zip(found, ALTERNATIVES, strict=True):
        assert set(scores) == set(alternatives)
        for key, sentence in alternatives.items():
            wanted = MASKED_SCORERS[scorer](loaded.model, loaded.text.tokenizer, sentence)
            assert scores[key] == pytest.approx(wanted, **CLOSE)


@pytest.mark.parametrize("start", ["auto", None])
@pytest.mark.parametrize("name", CAUSAL)
def test_causal(name, start, subject):
    loaded = subject(name)
    if start is None:
        text = TextSide(loaded.text.tokenizer, replace(loaded.text.traits, start_id=None))
        loaded = replace(loaded, text=text)
    model, tokenizer, start_id = loaded.model, loaded.text.tokenizer, loaded.text.traits.start_id
    assert (start_id is None) == (start is None)
    found = {
        scorer: [*scored(loaded, PAIRS, scorer, 1), *scored(loaded, CLUSTERS, scorer, 10_000)]
        for scorer in ("sum", "mean", "conditional")
    }
    for index, alternatives in enumerate(ALTERNATIVES):
        logs = {
            key: plain.log_likelihoods(model, tokenizer, sentence, start_id)
            for key, sentence in alternatives.items()
        }
        ids = [tokenizer.encode(one, add_special_tokens=False) for one in alternatives.values()]
        alike = 0
        while len({tuple(one[: alike + 1]) for one in ids}) == 1:
            alike += 1
        # Without a start token the first token has no probability, alike or not.
        skipped = alike if start_id is not None else max(alike - 1, 0)
        for key, values in logs.items():
            assert found["sum"][index][key] == pytest.approx(sum(values), **CLOSE)
            assert found["mean"][index][key] == pytest.approx(np.mean(values), **CLOSE)
            rest = values[skipped:]
            assert found["conditional"][index][key] == pytest.approx(np.mean(rest), **CLOSE)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_next_sentences_causal(name, subject):
    loaded = subject(name)
    start, tokenizer = loaded.text.traits.start_id, loaded.text.tokenizer
    found = {
        scorer: scored(loaded, DISCOURSES, scorer, 100) for scorer in ("sum", "mean", "conditional")
    }
    context = "The nurse was late."
    before = len(tokenizer.encode(context, add_special_tokens=False))
    for candidate in DISCOURSES[0].candidates:
        whole = plain.log_likelihoods(
            loaded.model, tokenizer, f"{context} {candidate.sentence}", start
        )
        assert found["sum"][0][candidate.id] == pytest.approx(sum(whole[before:]), **CLOSE)
        for scorer in ("mean", "conditional"):
            assert found[scorer][0][candidate.id] == pytest.approx(np.mean(whole[before:]), **CLOSE)


@pytest.mark.parametrize("scorer", ["pll", "pll_word_l2r"])
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_next_sentences_masked(name, scorer, subject):
    loaded = subject(name)
    tokenizer = loaded.text.tokenizer
    scores = scored(loaded, DISCOURSES, scorer, 100)[0]
    context = "The nurse was late."
    before = len(tokenizer.encode(context, add_special_tokens=False))
    for candidate in DISCOURSES[0].candidates:
        encoded = tokenizer(f"{context} {candidate.sentence}")
        ids, words = encoded["input_ids"], encoded.word_ids()
        total = 0.0
        for at in range(1 + before, len(ids) - 1):
            masked = list(ids)
            for later in range(at, len(ids)):
                if later == at or (scorer == "pll_word_l2r" and words[later] == words[at]):
                    masked[later] = tokenizer.mask_token_id
            total += plain.log_softmax(loaded.model, masked)[at, ids[at]].item()
        assert scores[candidate.id] == pytest.approx(total, **CLOSE)


def test_alternatives_of_which_one_ends_where_the_others_go_on_are_skipped(subject):
    pair = SentencePair("0", "age", "0", "The nurse was late", "The nurse was late, but", "stereo")
    assert isinstance(scored(subject("gpt2"), [pair], "conditional", 100)[0], Skipped)
    assert not isinstance(scored(subject("gpt2"), [pair], "sum", 100)[0], Skipped)


def test_a_start_token_counts_towards_the_longest_text(subject):
    tokenizer = subject("gpt2").text.tokenizer
    length = len(tokenizer.encode(PAIRS[0].more))
    full = TextSide(tokenizer, find_traits(tokenizer, length))
    assert len(full.encode(PAIRS[0].more, special=False)) == length
    with pytest.raises(InputError, match=f"a text of {length + 1} tokens is longer"):
        full.encode_after_start(PAIRS[0].more)


@pytest.mark.parametrize("scorer", [*MASKED_SCORERS, "sum", "mean", "conditional"])
def test_embeddings_are_no_business_of_theirs(scorer):
    objective = "masked" if scorer in MASKED_SCORERS else "causal"
    assert find_scorer(scorer, SentencePair, objective).decimals is None
    with pytest.raises(Unsupported, match=f"scorer={scorer} has no rule for SEAT"):
        find_scorer(scorer, type(TESTS[0]), objective)


def test_words_are_what_the_tokenizer_cuts_no_further(subject):
    sentence = "The unemployed actor's crocheting, mountainside."
    for name in ("bert", "roberta"):
        text = subject(name).text
        words = text.words(sentence)
        wanted = text.tokenizer(sentence).word_ids()
        assert [a == b for a in words for b in words] == [a == b for a in wanted for b in wanted]
        assert text.content(sentence) == list(range(1, len(wanted) - 1))
        assert len(set(wanted)) < len(wanted) - 2  # some words have several tokens


def test_words_of_a_tokenizer_that_takes_a_text_whole_end_at_spaces():
    # As Llama's: the space is a character of the vocabulary, and nothing is cut beforehand.
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    characters = sorted({*"".join(TEXT).replace(" ", "▁")})
    trainer = trainers.BpeTrainer(
        vocab_size=90,
        special_tokens=["<unk>"],
        initial_alphabet=characters,
        show_progress=False,
        max_token_length=4,
    )
    tokenizer.train_from_iterator(["nurse", "farmer", "late"], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    text = TextSide(wrapped, find_traits(wrapped, None))
    tokens = wrapped.convert_ids_to_tokens(text.encode("The nurse was  late,"))
    assert set(wrapped("The nurse was  late,").word_ids()) == {0}
    words = text.words("The nurse was  late,")
    grouped = {}
    for token, word in zip(tokens, words, strict=True):
        grouped[word] = grouped.get(word, "") + token
    assert list(grouped.values()) == ["▁The", "▁nurse", "▁was", "▁▁late,"]


def test_a_tokenizer_without_offsets_has_no_words(subject):
    class Slow:
        is_fast = False

    text = TextSide(Slow(), subject("bert").text.traits)
    with pytest.raises(Unsupported, match="which tokens are parts of one word"):
        text.words("The nurse")


@pytest.mark.parametrize("name", MASKED)
def test_attention_changes_nothing_else_and_does_not_depend_on_company(name, subject):
    loaded = subject(name)
    ids = [loaded.text.encode(pair.more) for pair in PAIRS]
    before = loaded.model.config._attn_implementation
    logits = loaded.model(torch.tensor([ids[0]])).logits
    requests = [*map(Attention, ids), Attention(ids[0]), LogProbs(ids[0], (1,), (7,))]
    forwards, _ = merge(requests)
    assert len(forwards) == len(ids) + 1
    together = Engine(loaded, 10_000, 10**8).run(forwards)
    for one, answer in zip(ids, together, strict=False):
        alone = received_attention(loaded.model, torch.tensor([one]))[0]
        np.testing.assert_allclose(answer, alone.detach().numpy(), rtol=1e-5, atol=1e-7)
        assert answer.shape == (len(one),)
        assert answer.sum() == pytest.approx(1, abs=1e-5)
    assert loaded.model.config._attn_implementation == before
    assert torch.equal(loaded.model(torch.tensor([ids[0]])).logits, logits)


def test_pooled_attention_is_refused(subject):
    with pytest.raises(Unsupported, match="scorer aula needs; aul does without"):
        received_attention(subject("funnel").model, torch.tensor([[2, 6, 7, 8, 3]]))


def test_what_two_scorers_ask_runs_once(subject):
    text = subject("bert").text

    def forwards(*scorers):
        plans = [p for name in scorers for p in plan_items(PAIRS, text, name, "masked")[0]]
        requests = [r for plan in plans if isinstance(plan, Plan) for r in plan.requests]
        return len(merge(requests)[0])

    # All that bias_bench and original mask is among what pll masks.
    assert forwards("bias_bench", "original", "pll") == forwards("pll")
    assert forwards("aul", "aula") == 2 * forwards("aul")
    single = forwards("pll") + forwards("pll_word_l2r")
    assert forwards("pll") < forwards("pll", "pll_word_l2r") < single


def test_word_l2r_is_lower_for_words_of_several_tokens_only(subject):
    """One token a word: nothing else to mask, so the same requests."""
    text = subject("bert").text
    tokenizer = text.tokenizer
    sentence = next(
        one for one in ("the", "she .", ",") if len(text.content(one)) == len(one.split())
    )
    pair = SentencePair("0", "age", "0", sentence, sentence, "stereo")
    (pll,), (l2r,) = (
        plan_items([pair], text, name, "masked")[0] for name in ("pll", "pll_word_l2r")
    )
    assert pll.requests == l2r.requests
    (pll,), (l2r,) = (
        plan_items([PAIRS[3]], text, name, "masked")[0] for name in ("pll", "pll_word_l2r")
    )
    assert pll.requests != l2r.requests
    masks = [request.ids.count(tokenizer.mask_token_id) for request in l2r.requests]
    assert max(masks) > 1
    assert {r.ids.count(tokenizer.mask_token_id) for r in pll.requests} == {1}
