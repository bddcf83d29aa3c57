import random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from src.training.architecture import build
from src.training.config import ArchitectureConfig

WORDS = [f"w{number}" for number in range(60)]
SPECIAL = {
    "gpt_neox": {"bos_token": "<s>", "eos_token": "<s>", "unk_token": "<s>"},
    "bert": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "roberta": {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    },
}


@pytest.fixture(scope="session")
def tokenizer():
    """A tokenizer of sixty words by kind of architecture, without a word about how it encodes."""

    def made(kind):
        tokens = [*dict.fromkeys(SPECIAL[kind].values()), *WORDS]
        core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(tokens)}, tokens[0]))
        core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return PreTrainedTokenizerFast(tokenizer_object=core, **SPECIAL[kind])

    return made


@pytest.fixture(scope="session")
def rows(tokenizer):
    """Rows in which a word is mostly followed by the next one, of four lengths, by kind."""

    def made(kind, seed=0, each=40, lengths=(8, 9, 12, 16)):
        rng, known = random.Random(seed), tokenizer(kind)
        masked = known.mask_token_id is not None
        start = [known.cls_token_id if masked else known.bos_token_id]
        end = [known.sep_token_id] if masked else []
        first = len(known) - len(WORDS)

        def row(length):
            word, ids = rng.randrange(len(WORDS)), []
            while len(start) + len(ids) + len(end) < length:
                ids.append(first + word)
                word = (word + 1 if rng.random() < 0.9 else rng.randrange(99)) % len(WORDS)
            return [*start, *ids, *end]

        return {
            length: torch.tensor([row(length) for _ in range(each)], dtype=torch.int32)
            for length in lengths
        }

    return made


@pytest.fixture(scope="session")
def untrained(tokenizer):
    """A small random model by kind of architecture."""

    def made(kind, seed=0, **changes):
        shape = {"hidden_size": 16, "layers": 2, "heads": 2, "positions": 32, **changes}
        config = ArchitectureConfig(kind=kind, **shape)
        return build(config, tokenizer(kind), torch.device("cpu"), seed)

    return made


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """Sixty documents of made-up words."""
    rng = random.Random(0)
    words = ["".join(rng.choices("aeiounrstlmdk", k=rng.randint(2, 7))) for _ in range(200)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(
        "\n\n".join(
            " ".join(f"The {' '.join(rng.choices(words, k=8))}." for _ in range(10))
            for _ in range(60)
        )
    )
    return path
