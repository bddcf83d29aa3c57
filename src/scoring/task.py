"""What a task's head reads: one hidden state a text, the same under every scorer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.benchmarks.base import Scores, Skipped
from src.benchmarks.items import Labelled
from src.models.traits import TextSide
from src.scoring.requests import Answer, Embedding
from src.scoring.scorer import Plan, scorer

if TYPE_CHECKING:
    from src.scoring.scorer import Rule


def hidden_state(example: Labelled, text: TextSide) -> Plan | Skipped:
    """Ask for the hidden state that the head of the example's task was trained on."""
    ids = text.encode_pair(example.first, example.second, example.longest)

    def combine(answers: Sequence[Answer]) -> Scores:
        return {"state": answers[0]}

    return Plan((Embedding(ids, example.pooling),), combine)


# A task is scored by its head, so the scorer of the bias benchmarks makes no difference to it.
_RULE: "Rule" = hidden_state
for _name in (
    *("bias_bench", "original", "pll", "pll_word_l2r", "aul", "aula"),
    *("sum", "mean", "conditional"),
):
    scorer(_name, Labelled, "masked", "causal")(_RULE)
