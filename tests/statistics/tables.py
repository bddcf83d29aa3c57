"""Item tables of made-up scores, by the benchmarks' own rules."""

import numpy as np
import pandas as pd

from src.benchmarks.base import Skipped
from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.items import AssociationTest, Candidate, FillIn, SentencePair
from src.benchmarks.seat import Seat, SeatConfig
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_gold import LABELS

TESTS = {"gender": ["sent-a", "sent-b"], "religion": ["sent-c"]}
BENCHMARKS = {
    "crows_pairs": CrowsPairs(CrowsPairsConfig()),
    "stereoset": StereoSet(StereoSetConfig()),
    "seat": Seat(SeatConfig(tests=TESTS, n_permutations=100)),
}
TEMPLATES = ("This is {}.", "That is {}.", "Here is {}.", "{} is here.", "{} is a person.")


def pairs(sizes=(("gender", 40), ("race", 25), ("religion", 12))):
    return [
        SentencePair(f"{category}{i}", category, f"{category}{i}", "m", "l", direction)
        for category, n in sizes
        for i in range(n)
        for direction in [("stereo", "antistereo")[i % 4 == 3]]
    ]


def clusters(sizes=(("gender", (5, 9, 7, 2)), ("religion", (6, 8, 7, 7, 5, 9, 6, 8, 7)))):
    made = []
    for domain, terms in sizes:
        for term, n in enumerate(terms):
            for i in range(n):
                name = f"{domain}-{term}-{i}"
                candidates = tuple(
                    Candidate(f"{name}-{label}", label, "s", "w") for label in LABELS
                )
                made.append(FillIn(name, domain, f"{domain} term {term}", "BLANK", candidates))
    return made


def association_tests():
    x, y = ("John", "Paul", "Mike", "Greg"), ("Amy", "Joan", "Lisa", "Kate")
    return [
        AssociationTest("sent-a", "gender", "sent-a", said(x), said(y), said("abc"), said("de")),
        AssociationTest("sent-b", "gender", "sent-b", said(x), said(y), said("gh"), said("ij")),
        AssociationTest(
            "sent-c", "religion", "sent-c", said("vw"), said("yz"), said("k"), said("l")
        ),
    ]


def said(words):
    return tuple(template.format(word) for word in words for template in TEMPLATES)


def scores(items, rng, skip=0.05, lean=0.3):
    """Scores of any items; where `lean` is above 0 the first answer is likelier."""
    found = []
    for item in items:
        if isinstance(item, AssociationTest):
            words = sorted({*item.x, *item.y, *item.a, *item.b})
            found.append({word: rng.normal(size=8) for word in words})
        elif rng.random() < skip:
            found.append(Skipped("too long"))
        elif isinstance(item, SentencePair):
            found.append({"more": round(rng.normal(lean), 1), "less": round(rng.normal(), 1)})
        else:
            found.append({c.id: rng.normal(lean * (2 - n)) for n, c in enumerate(item.candidates)})
    return found


ITEMS = {"crows_pairs": pairs(), "stereoset": clusters(), "seat": association_tests()}


def table(name, rng, **how):
    """One benchmark's table."""
    return BENCHMARKS[name].tabulate(ITEMS[name], scores(ITEMS[name], rng, **how), None)


def cell_table(rng, **how):
    """A cell's table, as it is in items.parquet."""
    tables = [table(name, rng, **how).assign(benchmark=name, scorer="s") for name in BENCHMARKS]
    return pd.concat(tables, ignore_index=True)


def generator(seed=0):
    return np.random.default_rng(seed)
