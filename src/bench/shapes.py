"""Shapes of the models that are timed; no torch here."""

from pathlib import Path
from typing import NamedTuple

_TINY = Path(__file__).parents[1] / "models" / "tiny"
TOKENIZERS = {"masked": _TINY / "bert", "causal": _TINY / "pythia-1.3m" / "step5100"}
"""Objective -> a model that ships with the project; its tokenizer serves where none is given."""
SHAPES: dict[str, dict[str, int]] = {
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "small": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
    },
}
"""base: that of BERT base and of Pythia 160M."""
VOCABULARIES = {"masked": 30522, "causal": 50304}
"""Of the base shape; the small one takes what its tokenizer has."""
POSITIONS = {"masked": 512, "causal": 2048}


class CellShape(NamedTuple):
    """A model of the paper's grid.

    Attributes:
        objective: "masked" (BERT) or "causal" (Pythia, that is GPT-NeoX).
        width: Of hidden states; a feed-forward layer is four times as wide.
        layers: How many.
        heads: Of attention.
        vocabulary: Rows of the embedding, if the tokenizer has no more.
        checkpoints: How many of this size the paper's grid has, each dense and int8.
    """

    objective: str
    width: int
    layers: int
    heads: int
    vocabulary: int
    checkpoints: int


CELLS = {
    "small": CellShape("causal", 64, 2, 4, 1, 0),
    "bert-base": CellShape("masked", 768, 12, 12, 30522, 4),
    "bert-large": CellShape("masked", 1024, 24, 16, 30522, 2),
    "70m": CellShape("causal", 512, 6, 8, 50304, 21),
    "160m": CellShape("causal", 768, 12, 12, 50304, 21),
    "410m": CellShape("causal", 1024, 24, 16, 50304, 21),
    "1.4b": CellShape("causal", 2048, 24, 16, 50304, 21),
    "2.8b": CellShape("causal", 2560, 32, 32, 50304, 21),
    "6.9b": CellShape("causal", 4096, 32, 32, 50432, 21),
}
"""The paper's models by size: Pythia's six of 21 checkpoints each; BERT, RoBERTa and the distilled
ones as BERT base, the large two as BERT large. small is for tests and not of the paper."""
