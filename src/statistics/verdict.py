"""What may be concluded from a comparison, in one sentence and one mark."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """A conclusion.

    Attributes:
        mark: "changed", "same" (equivalent), "changed, small" (both), "undecided" or "undefined".
        sentence: What may be concluded.
    """

    mark: str
    sentence: str


MARKS = {
    "changed": "*",
    "changed, small": "*≈",
    "same": "≈",
    "undecided": "?",
    "undefined": "",
}
"""Mark -> what stands for it behind a number in a table."""


def verdict(row: Mapping[str, Any], alpha: float) -> Verdict:
    """Conclude from one comparison.

    A difference is found where its Holm-adjusted p is below alpha; none larger than the margin
    where two one-sided tests say so. Both can be true: a change that is real and too small to
    matter. Where neither is, nothing is concluded, and least of all that nothing changed.

    Args:
        row: A comparison with `p_holm`, as in comparisons.json; an undefined number is None.
        alpha: Level of the tests.
    """
    if row.get("reason") or row.get("difference") is None:
        return Verdict("undefined", f"not compared: {row.get('reason') or 'undefined'}")
    found = row.get("p_holm") is not None and row["p_holm"] < alpha
    if found:
        sentence = _moved(row, alpha)
        if (row.get("joint") or {}).get("breakage"):
            sentence += "; the LM score fell as well: breakage, not a gain"
        if row.get("equivalent"):
            return Verdict("changed, small", f"{sentence}; by less than {_margin(row)}")
        return Verdict("changed", sentence)
    if row.get("equivalent"):
        return Verdict("same", f"no change larger than {_margin(row)}")
    return Verdict("undecided", _undecided(row, alpha))


def _moved(row: Mapping[str, Any], alpha: float) -> str:
    """Say what moved: the bias, where the distance from the ideal did; otherwise the score."""
    away, p = row.get("distance_difference"), row.get("distance_p_holm")
    if row["kind"] == "bias" and away is not None and p is not None and p < alpha:
        ends = _ends(row["distance_ci_low"], row["distance_ci_high"], away < 0, row["unit"])
        return f"bias {'fell' if away < 0 else 'rose'} by {_size(away, row)}{ends} {_unit(row)}"
    change = row["difference"]
    ends = _ends(row["ci_low"], row["ci_high"], change < 0, row["unit"])
    said = f"{'fell' if change < 0 else 'rose'} by {_size(change, row)}{ends} {_unit(row)}"
    if row["kind"] != "bias" or row.get("ideal") is None:
        return said
    ideal = f"{row['ideal']:g}"
    return f"score {said}; whether it is nearer to or farther from {ideal} is undecided"


def _undecided(row: Mapping[str, Any], alpha: float) -> str:
    low, high = row.get("ci_low"), row.get("ci_high")
    if low is None or high is None:
        said = f"undecided: no interval ({str(row.get('ci_method')).removeprefix('none: ')})"
    else:
        said = f"undecided: could be anything from {_signed(low, row)} to {_signed(high, row)}"
    if row.get("p_smallest") is not None and row["p_smallest"] >= alpha:
        said += "; too few items or terms changed for any test"
    elif row.get("mde") is not None:
        said += f"; this design detects {_size(row['mde'], row)}"
    elif low is not None:
        said += "; this design detects no change of any size"
    if row.get("p") is not None and row["p"] < alpha:
        said += f" (p={row['p']:.3f} alone, {row['p_holm']:.2f} among {row['family_size']} tests)"
    return said


def _unit(row: Mapping[str, Any]) -> str:
    return "points" if row["unit"] == "%" else str(row["unit"])


def _margin(row: Mapping[str, Any]) -> str:
    return f"{row['margin']:g} {_unit(row)}"


def _form(unit: str) -> str:
    return ".1f" if unit == "%" else ".2f"


def _size(value: float, row: Mapping[str, Any]) -> str:
    return format(abs(value), _form(row["unit"]))


def _signed(value: float, row: Mapping[str, Any]) -> str:
    # + 0.0 makes -0.0 a plain 0.
    return format(round(value, 1 if row["unit"] == "%" else 2) + 0.0, f"+{_form(row['unit'])}")


def _ends(low: float | None, high: float | None, fell: bool, unit: str) -> str:
    """Give an interval's ends as sizes of the change that is told."""
    if low is None or high is None or math.isnan(low):
        return ""
    low, high = (-high, -low) if fell else (low, high)
    return f" [{low:{_form(unit)}}, {high:{_form(unit)}}]"
