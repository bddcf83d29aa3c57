"""Tables 7, 8 and 9: SEAT effect sizes of masked models, by test."""

from collections.abc import Callable

from src.report.paper.cells import PaperCells
from src.report.paper.masked_rows import MaskedTable, masked_table
from src.report.paper.table import Column, PaperTable
from src.report.paper.writing import table

TESTS = {
    "gender": ("weat6", "weat6b", "weat7", "weat7b", "weat8", "weat8b"),
    "race": (
        *("angry_black_woman_stereotype", "angry_black_woman_stereotype_b"),
        *("weat3", "weat3b", "weat4", "weat5", "weat5b"),
    ),
    "religion": ("religion1", "religion1b", "religion2", "religion2b"),
}
"""The tests of each category in the order of the paper's columns, without "sent-"."""
SHORT = {"angry_black_woman_stereotype": "ABWS", "angry_black_woman_stereotype_b": "ABWS-b"}
AVERAGE = "mean |d|"
REMARKS = (
    "* p < 0.01 in a one-sided permutation test, not adjusted for the other tests. It takes "
    "sentences as independent, which those of one word or template are not; the intervals do not.",
    "The change beside a mean is plain, against the base model of the family. A mean of absolute "
    "effect sizes is too large where effects are small, as chance has no sign in it.",
)


def _seat(name: str, category: str) -> Callable[[PaperCells], PaperTable]:
    @table(name, needs=("masked",))
    def make(found: PaperCells) -> PaperTable:
        columns = [
            *(
                Column(SHORT.get(test, test), f"{category}/sent-{test}", "effect_size", 3)
                for test in TESTS[category]
            ),
            Column(AVERAGE, category, "mean_abs_effect_size", 3),
        ]
        title = f"SEAT effect sizes of masked language models, {category}; 0 is unbiased"
        return masked_table(MaskedTable(name, title, columns, REMARKS), found)

    return make


table7 = _seat("table7", "gender")
table8 = _seat("table8", "race")
table9 = _seat("table9", "religion")
