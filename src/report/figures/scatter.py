"""Figure 1 of the paper: do language modelling and stereotype score rise together?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.report.figures import style
from src.report.figures.material import DENSE, Material
from src.report.figures.registry import NotDrawn, add
from src.statistics.rank_correlation import FEWEST, rank_correlations

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CATEGORIES = ("gender", "race", "religion")
POINT, TAU = "point", "tau-c"
PUBLISHED = "published "
MOST_ROWS = 5
COLUMNS = (
    *("row", "category", "model", "compression", "step", "lm_score", "ss", "source"),
    *("cells", "n_points", "tau", "ci_low", "ci_high", "p_positive", "reason"),
)


def scatter_data(material: Material) -> pd.DataFrame:
    """Give a point a cell and category, and Kendall's tau-c over some of them.

    Returns:
        Rows "point" with model, compression, step, lm_score, ss and source; rows "tau-c" with
        what they are over (`cells`: "all", a compression, or whose numbers) and the fields of
        `src.statistics.rank_correlation.Tau`.

    Raises:
        NotDrawn: Fewer than two cells have both numbers.
    """
    points = _points(material.comparable, "measured")
    if len(points["cell"].unique()) < 2:
        raise NotDrawn("fewer than two finished cells have StereoSet's lm_score and ss.")
    others = material.published
    if len(others):
        others = others[others["model"].isin(set(points["model"]))]
        points = pd.concat(
            [points, *(_points(own, str(source)) for source, own in others.groupby("source"))]
        )
    taus = [
        {"row": TAU, "category": category, **tau}
        for category, rows in points.groupby("category", sort=False)
        for tau in _taus(rows, material)
    ]
    return pd.concat([points, pd.DataFrame(taus)], ignore_index=True).reindex(columns=COLUMNS)


def _points(numbers: pd.DataFrame, source: str) -> pd.DataFrame:
    """Put LM score (overall) and SS of each category beside each other."""
    keys = ["model", "compression", "step", *(["cell"] if "cell" in numbers else [])]
    overall = numbers.query("metric == 'lm_score' and category == 'overall'")
    bias = numbers.query("metric == 'ss' and category in @CATEGORIES")
    both = overall[[*keys, "value"]].rename(columns={"value": "lm_score"})
    both = both.merge(bias[[*keys, "category", "value"]].rename(columns={"value": "ss"}), on=keys)
    known = both.dropna(subset=["lm_score", "ss"])
    order = known["category"].map(CATEGORIES.index)
    return known.assign(row=POINT, source=source, order=order).sort_values("order", kind="stable")


def _taus(points: pd.DataFrame, material: Material) -> Iterator[dict[str, Any]]:
    """Correlate all cells, those of each compression, and those that others published."""
    own = points[points["source"] == "measured"]
    chosen = {"all": own}
    if own["compression"].nunique() > 1:
        several = own["compression"].value_counts()
        several = several[several >= FEWEST]
        chosen |= {
            str(name): own[own["compression"] == name]
            for name in own["compression"].drop_duplicates()
            if name in several.index[:MOST_ROWS]
        }
    others = points[points["source"] != "measured"]
    for (name, _), rows in others.groupby(["compression", "source"]):
        if len(rows) >= FEWEST:
            chosen[f"{PUBLISHED}{name}"] = rows
    how = material.settings
    for name, rows in chosen.items():
        x, y = (rows[column].to_numpy(dtype=float) for column in ("lm_score", "ss"))
        found = rank_correlations(x, y, list(rows["model"]), how.level, how.resamples, how.seed)
        fields = ("n_points", "tau", "ci_low", "ci_high", "p_positive", "reason")
        yield {"cells": name, **{field: getattr(found[0], field) for field in fields}}


def draw_scatter(data: pd.DataFrame, material: Material) -> "list[Figure]":
    """Draw a panel a category, a table of rank correlations below each."""
    points, taus = data[data["row"] == POINT], data[data["row"] == TAU]
    categories = list(points["category"].drop_duplicates())
    models = material.models(points["model"])
    compressions = material.compressions(points["compression"])
    rows = int(taus.groupby("category").size().max())
    below = 0.125 * (rows + 1.4)
    figure = style.page(
        2.75 + below,
        "StereoSet: language modelling score against stereotype score",
        _notes(data, material),
        _handles(points, models, compressions),
    )
    panels = figure.subplots(
        2, len(categories), squeeze=False, height_ratios=(2.45, below), sharex="row", sharey="row"
    )
    for at, category in enumerate(categories):
        axes, table = panels[:, at]
        axes.axhline(50, color="0.45", lw=0.8, ls=(0, (1, 2)), zorder=1)
        _draw_points(axes, points[points["category"] == category], models, compressions)
        axes.set_title(category)
        axes.set_xlabel("LM score (%)")
        _table(table, taus[taus["category"] == category].to_dict("records"), rows)
    panels[0, 0].set_ylabel("stereotype score, SS (%)")
    return [figure]


def _draw_points(
    axes: "Axes", rows: pd.DataFrame, models: list[str], compressions: list[str]
) -> None:
    """Draw the cells: the model by colour, the compression by marker, the step by opacity."""
    from matplotlib.colors import to_rgba

    others = rows[rows["source"] != "measured"]
    axes.scatter(others["lm_score"], others["ss"], s=7, color=style.FAINT, marker=".", zorder=1.5)
    own = rows[rows["source"] == "measured"]
    opacity = _opacities(own["step"])
    for (model, compression), members in own.groupby(["model", "compression"], sort=False):
        colour, marker = _look(
            models.index(str(model)), compressions.index(str(compression)), models
        )
        # Compressed cells are open: inside they have nothing of their colour.
        full = float(str(compression).startswith(DENSE))
        axes.scatter(
            members["lm_score"], members["ss"], s=17, marker=marker, zorder=3,
            facecolors=[to_rgba(colour, full * each) for each in opacity[members.index]],
            edgecolors=[to_rgba(colour, each) for each in opacity[members.index]], linewidths=0.7,
        )  # fmt: skip


def _look(model: int, compression: int, models: list[str]) -> tuple[str, str]:
    """Give colour and marker: of a single model the compression has the colours, too."""
    if len(models) > 1:
        return style.look(model).colour, style.MARKERS[compression % len(style.MARKERS)]
    return style.look(compression).colour, style.look(compression).marker


def _opacities(steps: "pd.Series[float]") -> "pd.Series[float]":
    """Give the first checkpoint 0.25, the last 1, and models without checkpoints 1."""
    ranks = steps.rank(method="dense")
    if ranks.isna().all() or ranks.max() == 1:
        return pd.Series(1.0, steps.index)
    return (0.25 + 0.75 * (ranks - 1) / (ranks.max() - 1)).fillna(1.0)


def _table(axes: "Axes", taus: list[dict[Any, Any]], rows: int) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(rows + 1, 0)
    lines = [("", "n", "tau-c", "p", "bold")]
    lines += [(row["cells"], f"{row['n_points']:.0f}", *_told(row), "normal") for row in taus]
    for at, (name, n, tau, p, weight) in enumerate(lines, start=0):
        for x, text, side in (
            (0.0, style.cut(name, 20), "left"), (0.49, n, "right"), (0.52, tau, "left"),
            (1.0, p, "right"),
        ):  # fmt: skip
            axes.text(x, at + 0.5, text, ha=side, va="center", fontsize=5.7, fontweight=weight)
    axes.plot([0, 1], [1, 1], color="0.5", lw=0.5, label="_rule")


def _told(row: dict[Any, Any]) -> tuple[str, str]:
    if np.isnan(row["tau"]):
        return "undefined", ""
    ends = "" if np.isnan(row["ci_low"]) else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    p = row["p_positive"]
    return f"{row['tau']:.2f}{ends}", "" if np.isnan(p) else f"{p:.3f}" if p >= 0.001 else "<.001"


def _handles(points: pd.DataFrame, models: list[str], compressions: list[str]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    several = len(models) > 1
    handles = [
        Line2D([], [], ls="", marker="o", color=_look(at, 0, models)[0], label=model)
        for at, model in enumerate(models)
        if several
    ]
    for at, name in enumerate(compressions):
        colour, mark = _look(0, at, models)
        colour = "0.3" if several else colour
        filled = colour if name.startswith(DENSE) else "none"
        handles.append(
            Line2D([], [], ls="", marker=mark, color=colour, markerfacecolor=filled, label=name)
        )
    if (points["source"] != "measured").any():
        handles.append(Line2D([], [], ls="", marker=".", color=style.FAINT, label="published"))
    return handles


def _notes(data: pd.DataFrame, material: Material) -> Iterator[str]:
    points = data[data["row"] == POINT]
    if points["step"].nunique() > 1:
        first, last = (f"{end:.0f}" for end in (points["step"].min(), points["step"].max()))
        yield f"Opacity: training step, from {first} (palest) to {last}. Dotted: ideal SS, 50."
    yield (
        f"tau-c: Kendall's rank correlation over the n points, with {material.settings.level:.0%} "
        f"interval (points resampled, within each model where all have {FEWEST} or more) and "
        "one-sided p of a positive one. Both take the points as independent; checkpoints of one "
        "run and compressed cells of one model are not."
    )
    if reasons := sorted(set(data["reason"].dropna()) - {""}):
        yield f"Undefined: {'; '.join(reasons)}."
    if sources := sorted(set(points["source"]) - {"measured"}):
        yield (
            f"Published points: {'; '.join(sources)}. The paper's own tau-c are in an image only, "
            "and not among them."
        )
    yield material.scorer_note
    yield from material.notes


add("figure1", "LM score against SS, with tau-c", scatter_data, draw_scatter)
