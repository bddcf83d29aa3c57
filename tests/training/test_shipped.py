"""The models that ship with the project."""

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import src.models

AUTO = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM}
SHIPPED = Path(src.models.__file__).parent / "tiny"
ENGLISH = [
    "The little boy went to the market with his mother.",
    "She said that the meeting would begin in the morning.",
    "The company was founded in the city in the nineteenth century.",
    "He opened the door and looked at the people in the room.",
    "Most of the students at the school live in the same town.",
    "The river runs through the valley and into the sea.",
]


def one_by_one(model, tokenizer, sentence):
    """Mean log-probability of a sentence's tokens, a token at a time, by the plain definition."""
    ids = tokenizer(sentence, return_tensors="pt").input_ids
    special = set(tokenizer.all_special_ids)
    total, count = 0.0, 0
    for place, token in enumerate(ids[0].tolist()):
        if token in special:
            continue
        if tokenizer.mask_token:
            asked = ids.clone()
            asked[0, place] = tokenizer.mask_token_id
            logits = model(asked).logits[0, place]
        else:
            before = [tokenizer.bos_token_id, *ids[0, :place].tolist()]
            logits = model(torch.tensor([before])).logits[0, -1]
        total, count = total + logits.log_softmax(-1)[token].item(), count + 1
    return total / count


def check_loads(folder, kind):
    """Load through the Auto classes; no key is missing or left over; fp16 on disk."""
    model, info = AUTO[kind].from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert (
        type(model).__name__ == json.loads((folder / "config.json").read_text())["architectures"][0]
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert set(tokenizer("The cat.")) <= {"input_ids", "attention_mask"}
    return model.eval(), tokenizer


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_shipped_model_is_trained(kind):
    """It loads cleanly, is small, and knows English word order: no random model does."""
    folder = SHIPPED / kind
    model, tokenizer = check_loads(folder, kind)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    rng = random.Random(0)
    better = []
    with torch.inference_mode():
        for sentence in ENGLISH:
            words = sentence.split()
            for _ in range(2):
                shuffled = " ".join(rng.sample(words, len(words)))
                scores = [one_by_one(model, tokenizer, text) for text in (sentence, shuffled)]
                assert scores[0] > -6.0
                better.append(scores[0] > scores[1])
    assert sum(better) >= 11, better
