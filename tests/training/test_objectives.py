"""What is hidden, and losses, against transformers' own."""

import pytest
import torch
from transformers import DataCollatorForLanguageModeling, DistilBertConfig, DistilBertForMaskedLM

from src.training.objectives import IGNORED, LanguageModelling, MaskedTokens, NextTokens, Reader

SHARE = 0.25


@pytest.fixture(scope="module")
def many(rows):
    return rows("bert", each=2000, lengths=(16,))[16].long()


def shares(ids, shown, targets_at, mask_id):
    """Of the chosen places: how many are masked, changed to something else, left."""
    there = shown[targets_at]
    masked = (there == mask_id).double().mean()
    same = (there == ids[targets_at]).double().mean()
    return [targets_at.double().mean().item(), masked.item(), same.item()]


def test_tokens_are_hidden_as_the_collator_of_transformers_does(tokenizer, many):
    known = tokenizer("bert")
    batch = MaskedTokens(known, SHARE, seed=0)(many, 5)
    chosen = torch.zeros_like(many, dtype=torch.bool).scatter(1, batch["places"], True)
    ours = shares(many, batch["ids"], chosen, known.mask_token_id)
    # Two of the sixteen tokens of a row cannot be chosen, and the collator chooses of the others.
    collator = DataCollatorForLanguageModeling(known, mlm_probability=SHARE * 16 / 14, seed=0)
    other = collator(list(many))
    theirs = shares(many, other["input_ids"], other["labels"] != -100, known.mask_token_id)
    assert ours == pytest.approx(theirs, abs=0.02)
    assert ours[0] == SHARE
    assert ours[1:] == pytest.approx([0.8, 0.1 + 0.1 / 65], abs=0.01)


def test_hiding_leaves_all_else_as_it_is(tokenizer, many):
    known = tokenizer("bert")
    batch = MaskedTokens(known, SHARE, seed=0)(many, 5)
    assert torch.equal(batch["targets"], many.gather(1, batch["places"]))
    special = torch.tensor(known.all_special_ids)
    assert not torch.isin(batch["targets"], special).any()
    assert all(len(set(row)) == 4 for row in batch["places"].tolist())
    chosen = torch.zeros_like(many, dtype=torch.bool).scatter(1, batch["places"], True)
    assert torch.equal(batch["ids"][~chosen], many[~chosen])
    # Every place but the two special ones is chosen as often as the others.
    often = chosen.double().mean(0)
    assert often[1:-1].tolist() == pytest.approx([4 / 14] * 14, abs=0.05)


def test_masks_are_those_of_the_step(tokenizer, many):
    first, again = (MaskedTokens(tokenizer("bert"), SHARE, seed=1) for _ in range(2))
    first(many, 3)  # a draw before changes nothing
    assert torch.equal(first(many, 4)["ids"], again(many, 4)["ids"])
    assert not torch.equal(first(many, 4)["ids"], first(many, 5)["ids"])


def test_rows_without_enough_to_hide_count_less(tokenizer, untrained):
    known = tokenizer("bert")
    unknown, word = known.unk_token_id, len(known) - 1
    ids = torch.tensor([[known.cls_token_id, word, *[unknown] * 5, known.sep_token_id]])
    batch = MaskedTokens(known, 0.4, seed=0)(ids, 0)
    assert sorted(batch["targets"][0].tolist()) == [IGNORED, IGNORED, word]
    changed = batch["ids"] != ids
    assert not changed[0, [0, 2, 3, 4, 5, 6, 7]].any()
    model = untrained("bert").eval()
    with torch.no_grad():
        loss = LanguageModelling(Reader(model))(model, batch)
        logits = model(batch["ids"]).logits[0, 1].log_softmax(-1)
    assert loss.item() == pytest.approx(-logits[word].item() / 3, rel=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_masked_loss_is_that_of_transformers(kind, tokenizer, untrained, rows):
    known = tokenizer("bert" if kind == "distilbert" else kind)
    if kind == "distilbert":
        torch.manual_seed(0)
        size = {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}
        model = DistilBertForMaskedLM(DistilBertConfig(vocab_size=len(known), **size)).eval()
        ids = rows("bert")[12].long()
    else:
        model, ids = untrained(kind).eval(), rows(kind)[12].long()
    batch = MaskedTokens(known, SHARE, seed=0)(ids, 0)
    labels = torch.full_like(ids, -100).scatter(1, batch["places"], batch["targets"])
    with torch.no_grad():
        wanted = model(input_ids=batch["ids"], labels=labels)
        loss = LanguageModelling(Reader(model))(model, batch)
        after = model(input_ids=batch["ids"])
    assert loss.item() == pytest.approx(wanted.loss.item(), rel=1e-5)
    assert torch.equal(after.logits, wanted.logits)  # only the reader's own calls are cut short


def test_causal_loss_is_that_of_transformers_with_and_without_the_start_token(untrained, rows):
    model, ids = untrained("gpt_neox").eval(), rows("gpt_neox")[12].long()
    change, loss = NextTokens(seed=0), LanguageModelling(Reader(model))
    with torch.no_grad():
        seen = [loss(model, change(ids, step)).item() for step in range(40)]
        wanted = [model(input_ids=part, labels=part).loss.item() for part in (ids, ids[:, 1:])]
    with_start = [abs(one - wanted[0]) < abs(one - wanted[1]) for one in seen]
    assert 10 < sum(with_start) < 30
    for one, is_with in zip(seen, with_start, strict=True):
        assert one == pytest.approx(wanted[0 if is_with else 1], rel=1e-5)


def test_an_untrained_masked_model_looks_near(tokenizer, untrained):
    """The ratio of attention to the next places over that to far ones; 1 in an ordinary model."""

    def ratio(model):
        ids = torch.full((1, 30), 20)
        with torch.inference_mode():
            attention = model.eval()(ids, output_attentions=True).attentions[0][0].mean(0)
        apart = (torch.arange(30)[:, None] - torch.arange(30)).abs()
        return (attention[apart == 1].mean() / attention[apart >= 10].mean()).item()

    for kind in ("bert", "roberta"):
        assert ratio(untrained(kind, hidden_size=64, look_near=True)) > 1.5
        assert ratio(untrained(kind, hidden_size=64, look_near=False)) == pytest.approx(1, abs=0.2)
