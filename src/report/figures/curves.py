"""Figures 2 to 11 of the paper: a number by training step, dense and compressed, by size."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from src.report.figures import style
from src.report.figures.material import Material
from src.report.figures.registry import NotDrawn, add

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CATEGORIES = ("gender", "race", "religion")
METRICS = (
    ("stereotype_score", "CrowS-Pairs stereotype score, {}", CATEGORIES, 2),
    ("ss", "StereoSet stereotype score (SS), {}", CATEGORIES, 5),
    ("lm_score", "StereoSet language modelling score, {}", ("overall",), 8),
    ("mean_abs_effect_size", "SEAT average absolute effect size, {}", CATEGORIES, 9),
)
"""Metric, title, categories, and the number of the first of them in the paper."""
COLUMNS = ("model", "compression", "step", "value", "ci_low", "ci_high", "n", "ideal", "unit")
ACROSS = 3
MOST_BANDS = 4
"""Lines of one panel beyond which bands would hide each other: then there are bars."""


def curve_data(material: Material, metric: str, category: str) -> pd.DataFrame:
    """Give the numbers of a metric by step, of models of which there are two checkpoints or more.

    Args:
        material: The cells.
        metric: Of metrics.json.
        category: Of the benchmark.

    Returns:
        Columns `COLUMNS`, benchmark, size and source ("measured", or whose numbers they are).

    Raises:
        NotDrawn: There is no such model.
    """
    rows = material.numbers.query("metric == @metric and category == @category")
    if rows.empty:
        raise NotDrawn(f"no finished cell has {metric} of {category}.")
    steps = rows.groupby("model")["step"].nunique()
    several = steps[steps >= 2].index
    rows = rows[rows["model"].isin(several) & rows["step"].notna()]
    if rows.empty:
        raise NotDrawn("no model has two finished checkpoints (model.step=...) or more.")
    rows = rows.assign(source="measured").sort_values(
        ["size", "model", "is_dense", "compression", "step"],
        ascending=[True, True, False, True, True],
    )
    columns = [*COLUMNS, "size", "benchmark", "metric", "category", "source"]
    return pd.concat([rows[columns], _published(material, rows, columns)], ignore_index=True)


def _published(material: Material, rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Give others' numbers of the same models and compressions, with one step or more."""
    if material.published.empty:
        return pd.DataFrame(columns=columns).astype(rows[columns].dtypes)
    same = rows[["model", "compression", "size", "metric", "category"]].drop_duplicates()
    keys = ["model", "compression", "metric", "category"]
    found = material.published.dropna(subset=["step"]).merge(same, on=keys)
    return found.reindex(columns=columns).sort_values(["size", "compression", "step"])


def draw_curves(data: pd.DataFrame, material: Material, title: str) -> "list[Figure]":
    """Draw a panel a model, a line a compression, bands where there are intervals."""
    models = material.models(data["model"])
    lines = material.compressions(data["compression"])
    across = min(ACROSS, len(models))
    down = -(-len(models) // across)
    figure = style.page(
        0.3 + 1.75 * down,
        title,
        _notes(data, material, len(lines)),
        _handles(data, lines),
        {1: 4.2, 2: 6.0}.get(across, style.WIDTH),
    )
    panels = figure.subplots(down, across, sharey=True, sharex=True, squeeze=False)
    for model, axes in zip(models, panels.flat, strict=False):
        _panel(axes, data[data["model"] == model], lines)
        axes.set_title(style.wrapped(model, 30))
    for axes in panels.flat[len(models) :]:
        axes.remove()
    for axes in panels.flat[len(models) - across : len(models)]:
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_xlabel("training step")
    for axes in panels[:, 0]:
        axes.set_ylabel("score (%)" if data["unit"].iloc[0] == "%" else "mean |d| (sd)")
    return [figure]


def _handles(data: pd.DataFrame, lines: list[str]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    handles = [_handle(line, at) for at, line in enumerate(lines)]
    if (data["source"] != "measured").any():
        handles.append(Line2D([], [], color=style.FAINT, lw=1, label="published"))
    if data["ideal"].notna().any() and data["unit"].iloc[0] == "%":
        ideal = f"ideal ({data['ideal'].dropna().iloc[0]:g})"
        handles.append(Line2D([], [], color="0.45", lw=0.8, ls=(0, (1, 2)), label=ideal))
    return handles


def _panel(axes: "Axes", rows: pd.DataFrame, lines: list[str]) -> None:
    ideal = rows["ideal"].dropna()
    if len(ideal) and rows["unit"].iloc[0] == "%":
        axes.axhline(ideal.iloc[0], color="0.45", lw=0.8, ls=(0, (1, 2)), zorder=1)
    for at, name in enumerate(lines):
        own = rows[(rows["compression"] == name) & (rows["source"] == "measured")]
        others = rows[(rows["compression"] == name) & (rows["source"] != "measured")]
        seen = style.look(at)
        for _, published in others.groupby("source"):
            lone = "." if len(published) < 3 else ""
            axes.plot(
                published["step"], published["value"], color=style.FAINT, lw=1.0, marker=lone,
                ls=seen.dashes if len(published) >= 3 else "", zorder=1.5, label="_published",
            )  # fmt: skip
        if own.empty:
            continue
        _interval(axes, own, seen, len(lines))
        axes.plot(
            own["step"], own["value"], color=seen.colour, ls=seen.dashes, marker=seen.marker,
            markerfacecolor=seen.colour if seen.filled else "white", label=name, zorder=3,
            markeredgewidth=0.6, markersize=3.2,
        )  # fmt: skip
    if _is_geometric(rows["step"]):
        axes.set_xscale("symlog", linthresh=max(1.0, float(rows["step"][rows["step"] > 0].min())))
    axes.locator_params(axis="y", nbins=6)
    style.thousands(axes)


def _interval(axes: "Axes", rows: pd.DataFrame, seen: style.Look, lines: int) -> None:
    if lines > MOST_BANDS:
        axes.vlines(
            rows["step"], rows["ci_low"], rows["ci_high"], color=seen.colour, lw=0.6, alpha=0.5
        )
        return
    axes.fill_between(
        rows["step"], rows["ci_low"], rows["ci_high"], color=seen.colour, alpha=0.14, lw=0
    )
    for end in ("ci_low", "ci_high"):
        axes.plot(
            rows["step"], rows[end], color=seen.colour, lw=0.4, alpha=0.5, label="_end", zorder=2
        )


def _is_geometric(steps: "pd.Series[float]") -> bool:
    """Whether steps are spread more evenly by their logarithm than as they are."""
    places = np.unique(steps[steps > 0])
    if len(places) < 3:
        return False
    plain, logarithm = np.diff(places), np.diff(np.log(places))
    return bool(logarithm.std() / logarithm.mean() < plain.std() / plain.mean())


def _handle(name: str, at: int) -> "Line2D":
    from matplotlib.lines import Line2D

    seen = style.look(at)
    return Line2D(
        [], [], color=seen.colour, ls=seen.dashes, marker=seen.marker, label=name,
        markerfacecolor=seen.colour if seen.filled else "white",
    )  # fmt: skip


def _notes(data: pd.DataFrame, material: Material, lines: int) -> Iterator[str]:
    own = data[data["source"] == "measured"]
    if own["ci_low"].notna().any():
        shape = "Bands" if lines <= MOST_BANDS else "Bars"
        yield (
            f"{shape}: {material.settings.level:.0%} intervals over the items of each cell; cells "
            "share their items, so that differences are known better than the bands show."
        )
    if undefined := int(own["value"].isna().sum()):
        yield f"{undefined} undefined value{'s' * (undefined > 1)} left out."
    if sources := sorted(set(data["source"]) - {"measured"}):
        yield f"Published: {'; '.join(sources)}."
    yield from material.notes


for _metric, _title, _categories, _first in METRICS:
    for _at, _category in enumerate(_categories):
        _about = _title.format(_category)
        add(
            f"figure{_first + _at}",
            f"{_about}, by training step",
            partial(curve_data, metric=_metric, category=_category),
            partial(draw_curves, title=f"{_about}, by training step"),
        )
