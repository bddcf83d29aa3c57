"""Bias, language modelling and bytes at once: which cells are beaten by no other?

A cell beats another that is no smaller, no better at language modelling and no nearer to the ideal
of the bias measure, and worse in at least one of the three. Cells that none beats are the Pareto
front. Bytes are exact, the other two are not: a beaten cell may be on the front all the same unless
one that is no larger has both intervals wholly on the better side.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.report.figures import style
from src.report.figures.material import DENSE, Material
from src.report.figures.registry import NotDrawn, add

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {
    "stereotype_score": "CrowS-Pairs: points from 50",
    "ss": "StereoSet SS: points from 50",
    "mean_abs_effect_size": "SEAT: mean |d| (sd)",
}
FRONT, MAYBE, BEATEN = "front", "may be on it", "beaten"
MOST_NUMBERED = 14
"""Cells of a panel beyond which only those on the front and the dense ones are numbered."""
_Bool = npt.NDArray[np.bool_]


def pareto_data(material: Material) -> pd.DataFrame:
    """Give a row a cell and bias measure: bytes, LM score, distance from the ideal, standing.

    Of a model with several checkpoints the last one is taken, and of scorers that of most cells.

    Raises:
        NotDrawn: Fewer than two cells have bytes, LM score and a bias measure.
    """
    numbers = material.comparable.query("category == 'overall'")
    numbers = numbers[numbers["cell"].isin(_last(material.places))]
    size, measure = _bytes(material)
    keys = ["cell", "model", "compression", "step"]
    lm = numbers.query("metric == 'lm_score'")[[*keys, "value", "ci_low", "ci_high"]].rename(
        columns={"value": "lm", "ci_low": "lm_ci_low", "ci_high": "lm_ci_high"}
    )
    bias = numbers[numbers["metric"].isin(MEASURES)][
        ["cell", "metric", "value", "ideal", "ci_low", "ci_high"]
    ]
    both = lm.merge(bias, on="cell").assign(bytes=lambda rows: rows["cell"].map(size))
    both = both.assign(bytes_are=measure, **distances(both)).dropna(subset=["bytes", "lm", "bias"])
    order = {metric: at for at, metric in enumerate(MEASURES)}
    parts = [
        rows.assign(standing=standings(rows))
        for _, rows in sorted(both.groupby("metric"), key=lambda part: order[str(part[0])])
        if len(rows) > 1
    ]
    if not parts:
        raise NotDrawn(
            "fewer than two finished cells have bytes, an LM score (stereoset) and an overall bias "
            "measure."
        )
    columns = [*keys[1:], "bytes", "bytes_are", "lm", "lm_ci_low", "lm_ci_high"]
    columns += ["metric", "bias", "bias_ci_low", "bias_ci_high", "standing"]
    return pd.concat(parts, ignore_index=True)[columns]


def _last(places: pd.DataFrame) -> "pd.Series[int]":
    """Give the cells of the last checkpoint of each model and compression."""
    last = places.groupby(["model", "compression"])["step"].transform("max")
    return places["cell"][places["step"].isna() | (places["step"] == last)]


def _bytes(material: Material) -> tuple[dict[int, float], str]:
    """Give the bytes of each cell, by what most of them know: the file's, or memory's."""
    receipts = [cell.receipt for cell in material.cells]
    disk = [receipt.get("disk_bytes") for receipt in receipts]
    memory = [
        cell.system.get("model_bytes", receipt.get("memory_bytes_after"))
        for cell, receipt in zip(material.cells, receipts, strict=True)
    ]
    known = sum(value is not None for value in disk), sum(value is not None for value in memory)
    chosen, told = (disk, "file") if known[0] >= known[1] else (memory, "memory")
    return {at: float(value) for at, value in enumerate(chosen) if value is not None}, told


def distances(rows: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """Turn scores and intervals into distances from the ideal; 0 where an interval holds it."""
    low, high = (rows[end] - rows["ideal"] for end in ("ci_low", "ci_high"))
    ends = pd.concat([low.abs(), high.abs()], axis=1)
    nearest = ends.min(axis=1).where(low * high > 0, 0.0).where(low.notna())
    return {
        "bias": (rows["value"] - rows["ideal"]).abs(),
        "bias_ci_low": nearest,
        "bias_ci_high": ends.max(axis=1).where(low.notna()),
    }


def standings(rows: pd.DataFrame) -> list[str]:
    """Say of each cell whether it is on the front, may be on it, or is beaten for sure.

    Without an interval a number could be anything.

    Args:
        rows: With bytes, lm and bias, and the ends of the intervals of the latter two.
    """
    size = rows["bytes"].to_numpy(dtype=float)
    lm, bias = (rows[name].to_numpy(dtype=float) for name in ("lm", "bias"))
    beaten = _beaten(size, -lm, -lm, bias, bias)
    lm_low, lm_high, bias_low, bias_high = (
        rows[f"{name}_ci_{end}"].fillna(unknown).to_numpy(dtype=float)
        for name in ("lm", "bias")
        for end, unknown in (("low", -np.inf), ("high", np.inf))
    )
    surely = _beaten(size, -lm_low, -lm_high, bias_high, bias_low)
    return [
        FRONT if not one else BEATEN if sure else MAYBE
        for one, sure in zip(beaten, surely, strict=True)
    ]


def _beaten(size: Any, lm: Any, lm_of: Any, bias: Any, bias_of: Any) -> _Bool:
    """Say which cells another one beats, all numbers being better when smaller.

    Args:
        size: Bytes, shape (n,).
        lm: Of a cell that beats, shape (n,).
        lm_of: Of one that is beaten, shape (n,).
        bias: Of a cell that beats, shape (n,).
        bias_of: Of one that is beaten, shape (n,).
    """
    pairs = ((size, size), (lm, lm_of), (bias, bias_of))
    no_worse = np.all([a[:, None] <= b[None] for a, b in pairs], axis=0)
    better = np.any([a[:, None] < b[None] for a, b in pairs], axis=0)
    np.fill_diagonal(better, val=False)
    return np.asarray((no_worse & better).any(axis=0), dtype=np.bool_)


def draw_pareto(data: pd.DataFrame, material: Material) -> "list[Figure]":
    """Draw a column a bias measure: LM score above, distance from the ideal below, by bytes."""
    measures = list(data["metric"].drop_duplicates())
    models = material.models(data["model"])
    compressions = material.compressions(data["compression"])
    figure = style.page(
        4.3,
        "What bytes buy: language modelling and bias of each cell",
        _notes(data, material, compressions),
        _handles(data, models),
        max(4.2, min(style.WIDTH, 2.6 * len(measures))),
    )
    panels = figure.subplots(2, len(measures), squeeze=False, sharex=True)
    for at, metric in enumerate(measures):
        rows = data[data["metric"] == metric]
        for axes, number in zip(panels[:, at], ("lm", "bias"), strict=True):
            _cells(axes, rows, number, models, compressions)
        panels[0, at].set_title(MEASURES[metric].partition(":")[0])
        panels[0, at].set_ylabel("LM score (%)")
        panels[1, at].set_ylabel(MEASURES[metric].partition(": ")[2])
        most = rows[["bias", "bias_ci_high"]].max().max()
        panels[1, at].set_ylim(0, 1.1 * most if most > 0 else 1)
        _bytes_axis(panels[1, at], data)
    return [figure]


def _cells(
    axes: "Axes", rows: pd.DataFrame, number: str, models: list[str], compressions: list[str]
) -> None:
    for row in rows.to_dict("records"):
        colour = style.look(models.index(row["model"])).colour
        edge = style.FAINT if row["standing"] == BEATEN else colour
        weight = 0.9 if row["standing"] == FRONT else 0.35
        if not np.isnan(row[f"{number}_ci_low"]):
            ends = [row[f"{number}_ci_low"], row[f"{number}_ci_high"]]
            axes.plot([row["bytes"]] * 2, ends, color=edge, lw=0.8, alpha=weight, zorder=2)
        axes.plot(
            row["bytes"], row[number], ls="", marker=_marker(row["standing"]), markersize=4.5,
            markerfacecolor=colour if row["standing"] == FRONT else "white",
            markeredgecolor=edge, markeredgewidth=0.9,
            zorder=4 if row["standing"] == FRONT else 3, label=row["standing"],
        )  # fmt: skip
        if len(rows) <= MOST_NUMBERED or row["standing"] == FRONT or row["compression"] == DENSE:
            _number(axes, (row["bytes"], row[number]), compressions.index(row["compression"]), edge)


def _number(axes: "Axes", place: tuple[float, float], at: int, colour: str) -> None:
    # Neighbours often have neighbouring numbers: those stand on different sides.
    right = bool(at % 2)
    axes.annotate(
        str(at + 1), place, xytext=(-3.2 if right else 3.2, 2.2), textcoords="offset points",
        fontsize=5.5, color=colour, ha="right" if right else "left",
    )  # fmt: skip


def _marker(standing: str) -> str:
    return {FRONT: "o", MAYBE: "s", BEATEN: "x"}[standing]


def _bytes_axis(axes: "Axes", data: pd.DataFrame) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    ratio = data["bytes"].max() / data["bytes"].min()
    wide, marks = ratio > 8, (1, 3) if ratio < 40 else (1,)
    axes.set_xscale("log" if wide else "linear")
    axes.xaxis.set_major_locator(LogLocator(subs=marks) if wide else MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.size(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.set_xlabel(f"bytes ({data['bytes_are'].iloc[0]})")


def _handles(data: pd.DataFrame, models: list[str]) -> "list[Artist]":
    from matplotlib.lines import Line2D

    seen = set(data["standing"])
    told = {
        FRONT: "on the front: none beats it",
        MAYBE: "beaten, but not beyond its intervals",
        BEATEN: "beaten beyond its intervals",
    }
    handles: list[Artist] = [
        Line2D(
            [], [], ls="", marker=_marker(name), label=text,
            color=style.FAINT if name == BEATEN else "0.2",
            markerfacecolor="0.2" if name == FRONT else "white",
        )
        for name, text in told.items()
        if name in seen
    ]  # fmt: skip
    handles += [
        Line2D([], [], color=style.look(at).colour, lw=3, label=model)
        for at, model in enumerate(models)
        if len(models) > 1
    ]
    return handles


def _notes(data: pd.DataFrame, material: Material, compressions: list[str]) -> Iterator[str]:
    told = "; ".join(f"{at} {name}" for at, name in enumerate(compressions, start=1))
    many = data.groupby("metric").size().max() > MOST_NUMBERED
    yield f"{told}.{' Numbered: the front and dense cells.' * bool(many)}"
    yield (
        "A cell beats another where it is no larger, no worse at language modelling and no farther "
        f"from the ideal, and better in one of these. Lines: {material.settings.level:.0%} "
        "intervals; one that holds the ideal begins at 0. Whether a difference between a cell and "
        "its dense twin is more than noise is better told by their paired comparison (forest)."
    )
    if data["step"].notna().any():
        yield "Of each model the last checkpoint is shown."
    yield material.scorer_note
    yield from material.notes


add("pareto", "bias, LM score and bytes: the front and what it beats", pareto_data, draw_pareto)
