"""What a W&B dashboard of a sweep shows: panels over the names that its runs have.

The library is that of the extra `dashboard`; importing it takes a second, so only
`src.report.dashboard` imports this module.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from src.report.cells import Headline, headlines
from src.report.curves import curves as along
from src.tracking.keys import HEADLINES, comparison_values, metric_key
from src.tracking.read import Cell

SIZE = "system/model_bytes"
SECONDS = "system/evaluate_seconds"
WORDS = ("cell/model", "cell/compression", "cell/name")
MOST_BARS = 100
CELLS_TEXT = (
    "A row of the table is a cell: one model, one compression. Columns with an ideal value are "
    "bias: neither more nor less is better, the distance from the ideal counts. The intervals of "
    "all numbers are in the runs' summaries, under the name with /ci_low or /ci_high behind it."
)
SCATTER_TEXT = (
    "A model that is made worse answers more at random, and random answers have no bias: read "
    "bias together with the LM score, of which 50 is chance."
)
CURVES_TEXT = "A line is a series: cells that differ only in the setting on the horizontal axis."
CHANGES_TEXT = (
    "Each compressed cell against its uncompressed twin, on the same items. changed: its p is "
    "below alpha after Holm's correction; same: smaller than the margin for sure; undecided: "
    "neither is shown."
)
FLIPS_TEXT = (
    "Items that changed sides between a compressed cell and its twin, by their ids; a score can "
    "stay as it is while many items change."
)
FLIPS = ("flips_to_stereo", "flips_to_anti")


@dataclass(frozen=True, slots=True)
class Section:
    """Some panels that belong together.

    Attributes:
        name: Its heading.
        text: How to read it.
        panels: Of the library.
        job: Job type of the runs that they show: "cell" or "comparisons" (the sweep's own).
    """

    name: str
    text: str
    panels: list[Any]
    job: str

    @property
    def rows(self) -> int:
        """Rows of a grid of three columns that hold its panels."""
        return -(-len(self.panels) // 3)


@dataclass(frozen=True, slots=True)
class Number:
    """A headline number, as panels name it.

    Attributes:
        key: Its name in the summary of a run.
        title: The same in words.
        ideal: The unbiased value; None where there is none.
        bias: Whether it measures bias.
    """

    key: str
    title: str
    ideal: float | None
    bias: bool


def sections(cells: Sequence[Cell], comparisons: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Build the dashboard of a sweep, from its table to the items that changed sides.

    Args:
        cells: Of the sweep.
        comparisons: Records of comparisons.json.
    """
    found = numbers(cells)
    compared = list(comparison_values(comparisons))
    flipped = flips(compared, found)
    drawn = [
        Section("Cells", CELLS_TEXT, bars(found), "cell"),
        Section("Bias, language modelling and cost", SCATTER_TEXT, scatters(found), "cell"),
        Section("Along an axis", CURVES_TEXT, curves(along(cells), found), "comparisons"),
        Section("Changes", CHANGES_TEXT, [table("comparisons")] * bool(compared), "comparisons"),
        Section("Flips", FLIPS_TEXT, [*flipped, table("flips")] * bool(flipped), "comparisons"),
    ]
    return [section for section in drawn if section.panels]


def numbers(cells: Sequence[Cell]) -> list[Number]:
    """List the headline numbers of a sweep that at least one of its cells has."""
    return list(_numbers(cells, headlines(cells, narrow=False)))


def _numbers(cells: Sequence[Cell], columns: Iterable[Headline]) -> Iterable[Number]:
    for column in columns:
        records = [record for cell in cells if (record := column.record(cell))]
        defined = [record for record in records if record["value"] is not None]
        if defined:
            title = f"{column.benchmark} {HEADLINES[column.metric]} {column.category}"
            kind, ideal = defined[0]["kind"], defined[0].get("ideal")
            yield Number(metric_key(defined[0]), title, ideal, kind == "bias")


def columns(found: Sequence[Number]) -> list[str]:
    """Name the columns of the table of runs, as W&B addresses them."""
    keys = [*WORDS, *(number.key for number in found), SIZE, SECONDS]
    return ["run:displayName", "run:state", *(f"summary:{key}" for key in keys)]


def bars(found: Sequence[Number]) -> list[Any]:
    """Draw each number over the cells."""
    return [
        wr.BarPlot(
            title=_titled(number),
            metrics=[number.key],
            max_bars_to_show=MOST_BARS,
            layout=_third(i),
        )
        for i, number in enumerate(found)
    ]


def scatters(found: Sequence[Number]) -> list[Any]:
    """Draw bias against language modelling, and both against the bytes of the model."""
    bias = [number for number in found if number.bias]
    other = [number for number in found if not number.bias]
    pairs = [(lm.key, lm.title, number) for lm in other for number in bias]
    pairs += [(SIZE, "bytes", number) for number in found]
    plots: list[Any] = [
        wr.ScatterPlot(
            title=f"{_titled(number)} against {name}",
            x=wr.SummaryMetric(x),
            y=wr.SummaryMetric(number.key),
            log_x=True if x == SIZE else None,
            legend_template="${run:displayName}",
            layout=_third(i),
        )
        for i, (x, name, number) in enumerate(pairs)
    ]
    along = [*(number.key for number in [*bias, *other]), SIZE, SECONDS]
    plots.append(
        wr.ParallelCoordinatesPlot(
            title="bias, language modelling and cost of each cell",
            columns=[wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(key)) for key in along],
            layout=wr.Layout(w=24, h=10, y=6 * (1 + len(pairs) // 3)),
        )
    )
    return plots


def curves(rows: Sequence[dict[str, float]], found: Sequence[Number]) -> list[Any]:
    """Draw each number along each axis of the sweep, a line a series.

    Args:
        rows: As `src.report.curves.curves` gives them.
        found: Numbers of the sweep.
    """
    axes: dict[str, set[str]] = {}
    for row in rows:
        axis, *names = row
        axes.setdefault(axis, set()).update(names)
    drawn = [
        (axis, number, sorted(name for name in names if name.endswith(f"/{number.key}")))
        for axis, names in axes.items()
        for number in found
    ]
    return [
        wr.LinePlot(
            title=f"{_titled(number)} along {axis.partition('/')[2]}",
            x=wr.Metric(axis),
            y=[wr.Metric(line) for line in lines],
            title_x=axis.partition("/")[2],
            layout=_third(i),
        )
        for i, (axis, number, lines) in enumerate(part for part in drawn if part[2])
    ]


def flips(compared: Sequence[str], found: Sequence[Number]) -> list[Any]:
    """Draw how many items changed sides, up and down, and list which.

    Args:
        compared: Names in the summary of the sweep's own run.
        found: Numbers of the sweep.
    """
    plots: list[Any] = []
    for number in found:
        ends = tuple(f"/{number.key}/{way}" for way in FLIPS)
        if metrics := sorted(name for name in compared if name.endswith(ends)):
            plots.append(
                wr.BarPlot(
                    title=f"{number.title}: items that changed sides",
                    metrics=metrics,
                    max_bars_to_show=MOST_BARS,
                    layout=_third(len(plots)),
                )
            )
    return plots


def table(name: str) -> Any:
    """Show a table that the sweep's own run has logged, `comparisons` or `flips`."""
    return wr.WeavePanelSummaryTable(table_name=name, layout=wr.Layout(w=24, h=14))


def _titled(number: Number) -> str:
    return number.title if number.ideal is None else f"{number.title} (ideal {number.ideal:g})"


def _third(index: int) -> Any:
    """Place a panel in a grid of three columns; W&B's grid is 24 wide."""
    return wr.Layout(x=8 * (index % 3), y=6 * (index // 3), w=8, h=6)
