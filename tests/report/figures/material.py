"""Finished cells in memory, with the numbers that a test gives them."""

from pathlib import Path

from src.report.figures.material import Material
from src.tracking.read import Cell

IDEAL = {"stereotype_score": 50.0, "ss": 50.0, "lm_score": None, "mean_abs_effect_size": 0.0}
BENCHMARK = {
    "stereotype_score": "crows_pairs",
    "ss": "stereoset",
    "lm_score": "stereoset",
    "mean_abs_effect_size": "seat",
}


def record(metric, category, value, low=None, high=None, **more):
    unit = "sd" if metric == "mean_abs_effect_size" else "%"
    return {
        "benchmark": BENCHMARK[metric], "scorer": "bias_bench", "category": category,
        "metric": metric, "value": value, "ci_low": low, "ci_high": high, "unit": unit,
        "n": 100, "ideal": IDEAL[metric], "kind": "lm" if metric == "lm_score" else "bias",
        "reason": "" if value is not None else "no items",
    } | more  # fmt: skip


def cell(name, metrics, compression="none", receipt=None, system=None, model=None, **config):
    """Make a finished cell; `model` has the settings of its model beside the name."""
    settings = {
        "model": {"name": name, "dtype": "float32"} | (model or {}),
        "compression": {"name": compression, "kind": compression.partition("_")[0]},
        "scorer": {"name": "bias_bench"},
        "statistics": {"level": 0.9},
    }
    where = "-".join(str(part) for part in (name, compression, *(model or {}).values()))
    return Cell(
        directory=Path("sweep") / where,
        state="done",
        status={"state": "done"},
        config=settings | config,
        metrics=list(metrics),
        receipt=receipt or {},
        system=system or {},
        environment={},
    )


def checkpoints(values, metric="stereotype_score", category="gender", low=4.0, high=6.0):
    """Make the cells of {(size, step, compression): value}; ends are `low` below, `high` above."""
    return [
        cell(
            f"pythia-{size}-step{step}",
            [record(metric, category, value, value and value - low, value and value + high)],
            compression,
            model={"size": size, "step": step},
        )
        for (size, step, compression), value in values.items()
    ]


def material(cells, **more):
    return Material(cells, **more)


def outside(figure):
    """List the texts that are cut off at the edge of a figure."""
    figure.draw_without_rendering()
    canvas = figure.bbox.padded(1)
    texts = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    hidden = {label for axes in figure.axes for label in _undrawn_ticks(axes)}
    return [
        text.get_text()
        for text in texts
        if text.get_visible()
        and text.get_text().strip()
        and text not in hidden
        and not _holds(canvas, text.get_window_extent())
    ]


def _undrawn_ticks(axes):
    """Give the labels of ticks beyond the ends of an axis, which exist and are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def _holds(outer, inner):
    return (
        outer.x0 <= inner.x0
        and inner.x1 <= outer.x1
        and outer.y0 <= inner.y0
        and inner.y1 <= outer.y1
    )
