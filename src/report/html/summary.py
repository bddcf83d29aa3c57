"""What a sweep found, in sentences; every one is made of its comparisons, none is a judgement."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from src.report.comparison_table import joint_readings, listed
from src.report.comparisons import Sweep
from src.statistics.config import StatisticsConfig
from src.tracking.keys import HEADLINES

Row = Mapping[str, Any]
TONES = {
    "better": "nearer to the ideal, or a higher LM score",
    "worse": "farther from the ideal, or a lower LM score",
    "broken": "nearer to the ideal, but with a loss of LM score",
    "moved": "changed; nearer or farther is undecided",
    "same": "no change larger than the margin",
    "undecided": "undecided",
    "undefined": "not compared",
}
"""How a comparison is marked -> what the mark means."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about a compressed cell.

    Attributes:
        tone: One of `TONES`.
        cell: The cell, as its label names it.
        text: What may be concluded.
    """

    tone: str
    cell: str
    text: str


def tone(row: Row, alpha: float) -> str:
    """Give a comparison its mark: what changed, and whether that is nearer to the ideal.

    Args:
        row: As in comparisons.json.
        alpha: Level of the tests.
    """
    if not str(row["verdict"]).startswith("changed"):
        return str(row["verdict"])
    if row["kind"] == "lm":
        return "better" if row["difference"] > 0 else "worse"
    if (row.get("joint") or {}).get("breakage"):
        return "broken"
    away, p = row.get("distance_difference"), row.get("distance_p_holm")
    if away is None or p is None or p >= alpha:
        return "moved"
    return "better" if away < 0 else "worse"


def headline_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Give the comparisons of the headline family."""
    return [row for row in sweep.rows if row["family"] == "headline"]


def tally(sweep: Sweep) -> dict[str, int]:
    """Count the headline comparisons by mark, in the order of `TONES`, those there are."""
    counts = Counter(tone(row, _alpha(sweep)) for row in headline_rows(sweep))
    return {name: counts[name] for name in TONES if counts[name]}


def changes(sweep: Sweep) -> list[Finding]:
    """List the headline numbers that changed, the smallest Holm-adjusted p first."""
    found = [
        (row["p_holm"], Finding(mark, _after(row), f"{_where(row)}: {row['conclusion']}"))
        for row in headline_rows(sweep)
        if (mark := tone(row, _alpha(sweep))) not in ("same", "undecided", "undefined")
    ]
    return [finding for _, finding in sorted(found, key=lambda each: each[0])]


def unchanged(sweep: Sweep) -> list[Finding]:
    """Say for each compressed cell which numbers moved by no more than the margin."""
    by_cell: dict[str, dict[str, list[str]]] = {}
    tested: Counter[Any] = Counter()
    for row in headline_rows(sweep):
        metric = f"{row['benchmark']} {HEADLINES[row['metric']]}"
        tested.update([_after(row), (_after(row), metric)])
        if row["verdict"] == "same":
            by_cell.setdefault(_after(row), {}).setdefault(metric, []).append(row["category"])
    return [
        Finding(
            "same",
            cell,
            f"{sum(map(len, metrics.values()))} of {tested[cell]} numbers: "
            + "; ".join(
                f"{metric} {listed(known, tested[cell, metric])}"
                for metric, known in metrics.items()
            ),
        )
        for cell, metrics in by_cell.items()
    ]


def _after(row: Row) -> str:
    """Name the compressed cell of a comparison."""
    return str(row["pair"]).partition(" -> ")[2]


def _where(row: Row) -> str:
    return f"{row['benchmark']} {HEADLINES[row['metric']]} {row['category']}"


def answer(sweep: Sweep) -> str:
    """Answer in a sentence whether anything changed, by more than noise."""
    counts = tally(sweep)
    total = sum(counts.values())
    if not total:
        return (
            "Nothing was compared: no finished compressed cell has its uncompressed twin in this "
            "sweep."
        )
    changed = sum(counts.get(mark, 0) for mark in ("better", "worse", "broken", "moved"))
    pairs = len({row["cell_b"] for row in headline_rows(sweep)})
    settings = sweep.settings or StatisticsConfig()
    unknown = counts.get("undecided", 0)
    parts = [
        f"{changed or 'none'} changed by more than noise",
        f"{counts.get('same') or 'none'} moved by no more than {settings.margin:g} points "
        f"({settings.margin_sd:g} sd)",
        f"{unknown or 'none'} {'is' if unknown == 1 else 'are'} undecided",
    ]
    compared = f"{pairs} compressed cell{'s' * (pairs != 1)}"
    return (
        f"Of {total} headline numbers of {compared}, each against the same model uncompressed, "
        f"{', '.join(parts[:-1])} and {parts[-1]}."
    )


def cautions(sweep: Sweep) -> Iterator[str]:
    """Say which changes of bias are to be read together with the LM score, and what is unknown."""
    for reading, pairs in joint_readings(headline_rows(sweep)).items():
        told = " · ".join(
            f"{pair.partition(' -> ')[2]}: {numbers}" for pair, numbers in pairs.items()
        )
        yield f"{reading[:1].upper()}{reading[1:]}. {told}. By unadjusted intervals."
    if sweep.settings and tally(sweep).get("undecided"):
        yield from _undecided(sweep)


def _undecided(sweep: Sweep) -> Iterator[str]:
    """Say how large a change the undecided comparisons could have shown."""
    power = sweep.settings.power if sweep.settings else StatisticsConfig().power
    rows = [row for row in headline_rows(sweep) if row["verdict"] == "undecided"]
    for unit in dict.fromkeys(row["unit"] for row in rows):
        asked = [row.get("mde") for row in rows if row["unit"] == unit]
        sizes = sorted(size for size in asked if size is not None)
        if not sizes:
            continue
        form, name = (".1f", "points") if unit == "%" else (".2f", unit)
        least, most = f"{sizes[0]:{form}}", f"{sizes[-1]:{form}}"
        unknown = len(asked) - len(sizes)
        yield (
            "Undecided is not unchanged: "
            + (f"{len(sizes)} of {len(asked)}" if unknown else "what is undecided")
            + f" would have been found with power {power:g} from a change of {least} {name} on"
            + (f" in the best case, of {most} in the worst" if most != least else "")
            + ("; in the others too little changed to tell." if unknown else ".")
        )


def _alpha(sweep: Sweep) -> float:
    return sweep.settings.alpha if sweep.settings else StatisticsConfig().alpha
