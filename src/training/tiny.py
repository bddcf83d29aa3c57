"""The recipe of the embedded tiny models: `python -m src.training.tiny --help`.

One process, one thread, one seed: with `--steps` a run is repeatable on the same machine;
`--seconds` ends at the clock, and the learning rate decays by it.
"""

import argparse
import json
import math
import random
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from src.errors import InputError
from src.training import tiny_text as text
from src.training.loop import Objective, Recipe, fit, held_out_loss

CONTEXT = 512
"""Positions of the model; it is trained on much shorter rows."""
HELD_OUT = 0.01
"""Share of the documents kept from training."""
TOKENIZER_CHARS = 20_000_000
"""The tokenizer is learned from about this much of the text."""


def build(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Make the untrained model; its random weights come from torch's global generator."""
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": recipe.hidden,
        "intermediate_size": 4 * recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "max_position_embeddings": CONTEXT,
        "attn_implementation": "eager",  # the fused one's backward is slower at these lengths
        "tie_word_embeddings": True,
    }
    if recipe.kind == "causal":
        start = tokenizer.bos_token_id
        return GPTNeoXForCausalLM(GPTNeoXConfig(bos_token_id=start, eos_token_id=start, **shape))
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(pad_token_id=tokenizer.pad_token_id, **no_dropout, **shape)
    model = BertForMaskedLM(config)
    look_near(model)
    return model


@torch.no_grad()
def look_near(model: BertForMaskedLM) -> None:
    """Start a masked model with attention to near places, which it is slow to find by itself.

    Until it finds its neighbours it predicts word frequencies, for thousands of steps. So:
    sinusoidal positions, larger than the words' embeddings; queries equal to keys, so that near
    places match best (mimetic initialisation, Trockman and Kolter 2023); other matrices at a
    scale for this width (BERT's 0.02 is meant for 768 columns).
    """
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed" not in name:
            weight.mul_(2.5)
    positions = model.bert.embeddings.position_embeddings.weight
    places, width = positions.shape
    waves = 100.0 ** (-torch.arange(width // 2) / (width // 2))
    angles = torch.arange(places)[:, None] * waves
    positions.copy_(torch.cat([angles.sin(), angles.cos()], dim=1) * 0.04 * math.sqrt(2))
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        attention.query.weight.normal_(0, 0.8 / math.sqrt(width))
        attention.key.weight.copy_(attention.query.weight)


def train(corpus: Path, out: Path, recipe: Recipe) -> dict[str, Any]:
    """Learn a tokenizer and a model from `corpus`; write an ordinary transformers folder, fp16.

    Returns:
        What is written to training.json: recipe, steps, loss curve (nats a token), held-out loss
        and perplexity of the fp16 weights read in fp32.

    Raises:
        InputError: `out` exists, or the corpus is missing or too small.
    """
    if out.exists():
        raise InputError(f"{out} exists: choose a new folder for --out, or move that one away")
    documents = text.read_documents(corpus)
    random.Random(recipe.seed).shuffle(documents)
    torch.manual_seed(recipe.seed)
    learn = text.causal_tokenizer if recipe.kind == "causal" else text.masked_tokenizer
    share = min(1.0, TOKENIZER_CHARS / sum(map(len, documents)))
    tokenizer = learn(documents[: math.ceil(share * len(documents))], recipe.vocab, CONTEXT)
    cut = max(1, int(HELD_OUT * len(documents)))
    rng = random.Random(recipe.seed)
    unseen, seen = (
        text.encode_rows(part, tokenizer, recipe.length, rng)
        for part in (documents[-cut:], documents[:-cut])
    )
    model = build(recipe, tokenizer)
    generator = torch.Generator().manual_seed(recipe.seed)
    check = list(islice(text.batches(unseen, recipe.batch, generator), 50))
    objective = Objective(recipe, tokenizer, recipe.seed)
    curve = fit(model, objective, text.batches(seen, recipe.batch, generator), recipe)
    model.half().float().eval()
    loss = held_out_loss(model, Objective(recipe, tokenizer, recipe.seed), check)
    record = {**vars(recipe), "trained_steps": curve[-1]["step"], "held_out_loss": loss}
    record |= {"held_out_perplexity": math.exp(loss), "curve": curve}
    save(model, tokenizer, record, out)
    return record


def save(model: Any, tokenizer: PreTrainedTokenizerFast, record: dict[str, Any], out: Path) -> None:
    """Write the folder under another name and rename it, so that `out` is whole or absent."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".tiny-") as scratch:
        folder = Path(scratch) / "model"
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        content = json.dumps(record, indent=1) + "\n"
        (folder / "training.json").write_text(content, encoding="utf-8")
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.rename(out)


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description="Train one of the embedded tiny models.")
    parser.add_argument("--corpus", type=Path, required=True, help="text, documents by blank line")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--kind", choices=("causal", "masked"), required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float)
    for name in ("seed", "vocab", "hidden", "layers", "heads", "length", "batch"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe, name))
    parser.add_argument("--bf16", action="store_true", help="where the CPU has AVX512-BF16")
    for name in ("lr", "muon_lr", "mask"):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=getattr(Recipe, name)
        )
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    try:
        record = train(arguments.pop("corpus"), arguments.pop("out"), Recipe(**arguments))
    except InputError as error:
        parser.error(str(error))
    print(f"held-out loss {record['held_out_loss']:.4f}")


if __name__ == "__main__":
    main()
