"""The precision ladder: bits against weight error, drift, language modelling and bias."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.report.figures import style
from src.report.figures.material import Material
from src.report.figures.registry import NotDrawn, add
from src.statistics.series import BITS_OF
from src.tracking.fingerprint import flatten
from src.tracking.read import Cell

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ERROR, DRIFT = "relative_error", "mean_kl"
PANELS = {
    ERROR: "relative weight error",
    DRIFT: "KL divergence from dense (nats)",
    "lm_score": "StereoSet LM score (%)",
    "stereotype_score": "CrowS-Pairs SS (%)",
    "ss": "StereoSet SS (%)",
    "mean_abs_effect_size": "SEAT mean |d| (sd)",
}
"""What is drawn -> label; the first two are of receipt.json and have no interval."""
TICKS = (1, 2, 3, 4, 6, 8, 16, 32)
FEWEST = 2
ACROSS = 3


def ladder_data(material: Material) -> pd.DataFrame:
    """Give a row a cell and number, by the bits that a changed weight is stored in.

    Of a model with several checkpoints the last one is taken. Cells of a model that differ in
    their bits only are of one `ladder`, of which the dense cell is the end, at the bits of its
    dtype.

    Raises:
        NotDrawn: No model has two compressed cells of known bits that differ.
    """
    places = material.places
    last = places.groupby(["model", "compression"])["step"].transform("max")
    places = places[places["step"].isna() | (places["step"] == last)]
    bits = places["cell"].map(lambda at: _bits(material.cells[at]))
    kinds = places["cell"].map(lambda at: _ladder(material.cells[at]))
    places = places.assign(bits=bits, ladder=kinds + " " + places["settings"])
    compressed = places[~places["is_dense"] & places["bits"].notna()]
    differ = compressed.groupby("model")["bits"].nunique()
    several = differ[differ >= FEWEST].index
    if not len(several):
        raise NotDrawn("no model has compressed cells at two different numbers of bits.")
    chosen = places[places["model"].isin(several) & places["bits"].notna()]
    chosen = chosen.assign(ladder=chosen["ladder"].where(~chosen["is_dense"], "dense"))
    long = pd.concat([_receipts(chosen, material), _scores(chosen, material)], ignore_index=True)
    order = long["number"].map(list(PANELS).index)
    return (
        long.assign(order=order)
        .sort_values(["order", "model", "ladder", "bits"], kind="stable")
        .drop(columns=["order", "cell", "size"])
        .reset_index(drop=True)
    )


def _bits(cell: Cell) -> float | None:
    """Give the bits a changed weight is stored in, scales included; of a dense cell its dtype's."""
    if cell.receipt.get("method") == "none":
        return BITS_OF.get(str(cell.config["model"].get("dtype")))
    # A method that changes values and not their storage (pruning) is on no ladder of bits.
    stored = cell.receipt.get("stored_bits") if cell.receipt.get("nominal_bits") else None
    return float(stored) if stored else None


def _ladder(cell: Cell) -> str:
    """Write down what cells of one ladder have in common: all of a compression but its bits."""
    settings = flatten(cell.config.get("compression") or {})
    rest = {k: v for k, v in settings.items() if k not in ("name", "weight_bits", "bits")}
    return json.dumps(rest, sort_keys=True, default=str)


def _receipts(places: pd.DataFrame, material: Material) -> pd.DataFrame:
    rows: list[dict[Any, Any]] = []
    for place in places[~places["is_dense"]].to_dict("records"):
        receipt = material.cells[place["cell"]].receipt
        drift = receipt.get("drift")
        drift = drift if isinstance(drift, Mapping) else {}
        for number, value in ((ERROR, receipt.get(ERROR)), (DRIFT, drift.get(DRIFT))):
            if value is not None:
                rows.append({**place, "number": number, "value": float(value)})
    return pd.DataFrame(rows, columns=[*places.columns, "number", "value"])


def _scores(places: pd.DataFrame, material: Material) -> pd.DataFrame:
    numbers = material.numbers.query("category == 'overall'")
    wanted = numbers[["cell", "metric", "value", "ci_low", "ci_high", "ideal"]]
    found = places.merge(wanted.rename(columns={"metric": "number"}), on="cell")
    return found[found["number"].isin(PANELS)]


def draw_ladder(data: pd.DataFrame, material: Material) -> "list[Figure]":
    """Draw a panel a number, a line a ladder."""
    numbers = list(data["number"].drop_duplicates())
    models = material.models(data["model"])
    names = _names(data)
    across = min(ACROSS, len(numbers))
    down = -(-len(numbers) // across)
    figure = style.page(
        0.3 + 2.0 * down,
        "The precision ladder: what each bit buys",
        _notes(data, material),
        _handles(data, models, names),
    )
    panels = figure.subplots(down, across, sharex=True, squeeze=False)
    for number, axes in zip(numbers, panels.flat, strict=False):
        _panel(axes, data[data["number"] == number], number, models, names)
        axes.set_ylabel(PANELS[number])
    for axes in panels.flat[len(numbers) :]:
        axes.remove()
    for axes in panels.flat[len(numbers) - across : len(numbers)]:
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_xlabel("stored bits a weight")
    return [figure]


def _names(data: pd.DataFrame) -> dict[str, str]:
    """Name the ladders: what their compressions begin with, told apart by letters."""
    steps = data[~data["is_dense"]].drop_duplicates(["ladder", "compression"])
    ladders = [rows for _, rows in steps.groupby("ladder", sort=False)]
    names = {
        str(rows["ladder"].iloc[0]): _name(rows)
        for rows in sorted(ladders, key=lambda rows: -len(rows))
    }
    for name in set(names.values()):
        same = [ladder for ladder, other in names.items() if other == name]
        for at, ladder in enumerate(same) if len(same) > 1 else ():
            names[ladder] = f"{name} ({chr(ord('a') + at)})"
    return names


def _name(rows: pd.DataFrame) -> str:
    """Give the words that names begin with: of uniform_2 and uniform_ternary, "uniform"."""
    settings = str(rows["settings"].iloc[0])
    names = [name.removesuffix(settings).strip() for name in rows["compression"]]
    if len(names) == 1:
        return str(rows["compression"].iloc[0])
    words = [name.replace("=", "_").split("_") for name in names]
    alike = (len(set(parts)) == 1 for parts in zip(*words, strict=False))
    shared = list(itertools.takewhile(bool, alike))
    return f"{'_'.join(words[0][: len(shared)]) or names[0]} {settings}".strip()


def _panel(
    axes: "Axes", rows: pd.DataFrame, number: str, models: list[str], names: dict[str, str]
) -> None:
    ideal = rows["ideal"].dropna()
    if len(ideal) and ideal.iloc[0] > 0:
        axes.axhline(ideal.iloc[0], color="0.45", lw=0.8, ls=(0, (1, 2)), zorder=1)
    if number in (ERROR, DRIFT) and (rows["value"] > 0).any():
        rows = rows[rows["value"] > 0]
        style.logarithmic(axes, rows["value"].max() / rows["value"].min())
    for at, model in enumerate(models):
        own = rows[rows["model"] == model]
        dense = own[own["is_dense"]]
        for which, ladder in enumerate(names):
            steps = own[own["ladder"] == ladder]
            if len(steps) > 1:
                # The dense cell is the upper end of a ladder, not of a single compression.
                end = dense[dense["settings"] == steps["settings"].iloc[0]]
                steps = pd.concat([steps, end])
            _line(axes, steps, style.look(at).colour, style.look(which + 1))
        for _, end in dense.groupby("settings"):
            _line(axes, end, style.look(at).colour, style.look(0))
    axes.set_xscale("log", base=2)
    low, high = rows["bits"].min(), rows["bits"].max()
    shown = [tick for tick in TICKS if low * 0.9 <= tick <= high * 1.1]
    axes.set_xticks(shown, [str(tick) for tick in shown], minor=False)
    axes.minorticks_off()


def _line(axes: "Axes", rows: pd.DataFrame, colour: str, seen: style.Look) -> None:
    rows = rows.sort_values("bits").dropna(subset=["value"])
    if rows.empty:
        return
    axes.vlines(rows["bits"], rows["ci_low"], rows["ci_high"], color=colour, lw=0.7, alpha=0.45)
    own = np.flatnonzero(~rows["is_dense"]) if len(rows) > 1 else None
    axes.plot(
        rows["bits"], rows["value"], color=colour, ls=seen.dashes if len(rows) > 1 else "",
        marker=seen.marker, markevery=own, markersize=3.6, markeredgewidth=0.6, zorder=3,
        markerfacecolor=colour if seen.filled else "white",
        label=str(rows["ladder"].iloc[0]),
    )  # fmt: skip


def _handles(data: pd.DataFrame, models: list[str], names: dict[str, str]) -> "list[Artist]":
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=style.look(at).colour, lw=3, label=model)
        for at, model in enumerate(models)
        if len(models) > 1
    ]
    steps = data.groupby("ladder")["compression"].nunique()
    for at, (ladder, name) in enumerate({"dense": "dense", **names}.items()):
        seen = style.look(at)
        dashes = seen.dashes if steps[ladder] > 1 else ""
        inside = "0.2" if seen.filled else "white"
        handles.append(
            Line2D(
                [], [], color="0.2", marker=seen.marker, markerfacecolor=inside, ls=dashes,
                label=name,
            )
        )  # fmt: skip
    return handles


def _notes(data: pd.DataFrame, material: Material) -> Iterator[str]:
    yield (
        "Bits: those that a changed weight is stored in, scales and zero points included; a dense "
        "cell stands at those of its dtype and has neither weight error nor drift. Overall scores. "
        f"Vertical lines: {material.settings.level:.0%} intervals over the items, which the cells "
        "share. Dotted: ideal."
    )
    if any(name.endswith(")") and name[-3] == "(" for name in _names(data).values()):
        yield "(a), (b): these differ in other settings; the column `ladder` of the .csv has them."
    zero = data[data["number"].isin([ERROR, DRIFT]) & (data["value"] <= 0)]
    if len(zero):
        yield f"Left out, as the axis is logarithmic: {len(zero)} numbers that are 0."
    yield from material.notes


add("ladder", "bits against weight error, drift, LM score and bias", ladder_data, draw_ladder)
