"""The forest plot: every paired difference of a sweep with its interval, margin and verdict."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from src.report.comparisons import FILE
from src.report.figures import style
from src.report.figures.material import Material
from src.report.figures.registry import NotDrawn, add
from src.statistics.verdict import MARKS
from src.tracking.keys import HEADLINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FIELDS = (
    *("pair", "benchmark", "metric", "category", "n", "value_a", "value_b", "difference"),
    *("ci_low", "ci_high", "margin", "p_holm", "verdict", "conclusion", "unit", "kind"),
)
ROWS = 62
"""Most rows of a page."""
ROW = 0.135
"""Inches of a row."""
NAME = 7.0
"""Points of the name of a comparison."""


class Sign(NamedTuple):
    """How a verdict is drawn: its colour, marker, and whether that is filled."""

    colour: str
    marker: str
    filled: bool
    meaning: str


SIGNS = {
    "changed": Sign("#D55E00", "D", True, "changed"),
    "changed, small": Sign("#E69F00", "D", False, "changed, by less than the margin"),
    "same": Sign("#0072B2", "s", True, "no change larger than the margin"),
    "undecided": Sign("0.45", "o", False, "undecided"),
    "undefined": Sign("0.45", "x", True, "undefined"),
}


def forest_data(material: Material) -> pd.DataFrame:
    """Read the headline comparisons of the sweeps, "overall" before the categories.

    Raises:
        NotDrawn: No sweep has comparisons.json, or it has no headline comparison.
    """
    files = [path for root in material.roots for path in sorted(root.rglob(FILE))]
    rows = [row for path in files for row in _comparisons(path) if row["metric"] in HEADLINES]
    if not rows:
        raise NotDrawn(
            f"there is no {FILE} with a compressed cell beside its dense twin in the folder; "
            "python -m src.report.terminal DIRECTORY makes it, where there are both."
        )
    table = pd.DataFrame(rows)[list(FIELDS)]
    for field in ("value_a", "value_b", "difference", "ci_low", "ci_high", "p_holm"):
        table[field] = table[field].astype(float)
    return table


def _comparisons(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["comparisons"]
        return [dict(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotDrawn(f"{path} cannot be read; python -m src.report.terminal makes it.") from error


def draw_forest(data: pd.DataFrame, material: Material) -> "list[Figure]":
    """Draw a column a benchmark and metric, and below each other the comparisons."""
    measures = list(
        data[["benchmark", "metric"]].drop_duplicates().itertuples(index=False, name=None)
    )
    width = max(style.WIDTH, 2.4 * len(measures))
    blocks = [
        Block(block, style.wrapped(_short(str(pair)), _letters(width)))
        for pair, block in data.groupby("pair", sort=False)
    ]
    pages = _pages(blocks)
    return [
        _page(some, measures, data, material, where, width)
        for some, where in zip(pages, _page_names(len(pages)), strict=True)
    ]


def _page_names(count: int) -> list[str]:
    return [f" ({at} of {count})" if count > 1 else "" for at in range(1, count + 1)]


class Block(NamedTuple):
    """A comparison of two cells: its rows, and its name in lines that fit the page."""

    rows: pd.DataFrame
    name: str

    @property
    def head(self) -> int:
        """Rows that the name takes."""
        return 1 + self.name.count("\n")

    @property
    def height(self) -> int:
        """Rows of the name and the categories of the largest measure, and one that is free."""
        return self.head + 1 + int(self.rows.groupby(["benchmark", "metric"]).size().max())

    def of(self, benchmark: str, metric: str) -> list[tuple[int, dict[Any, Any]]]:
        """Give the comparisons of a measure with the row of each, "overall" before the others."""
        found = self.rows.query("benchmark == @benchmark and metric == @metric")
        rows = sorted(found.to_dict("records"), key=lambda row: row["category"] != "overall")
        return list(enumerate(rows, start=self.head))


def _letters(width: float) -> int:
    """Give how many letters of a name fit into a page; bold ones are 0.75 of their size wide."""
    return int((width - 2 * style.EDGE) * 72 / (0.75 * NAME))


def _pages(blocks: Sequence[Block]) -> list[list[Block]]:
    """Divide the comparisons over pages; one is never broken."""
    pages: list[list[Block]] = [[]]
    for block in blocks:
        if pages[-1] and sum(one.height for one in pages[-1]) + block.height > ROWS:
            pages.append([])
        pages[-1].append(block)
    return pages


def _page(
    blocks: Sequence[Block],
    measures: Sequence[tuple[str, str]],
    data: pd.DataFrame,
    material: Material,
    where: str,
    width: float,
) -> "Figure":
    rows = sum(block.height for block in blocks)
    figure = style.page(
        0.75 + ROW * rows,
        f"Compressed less dense, on the same items{where}",
        _notes(data, material),
        [_handle(SIGNS[name], MARKS[name]) for name in SIGNS if name in set(data["verdict"])],
        width,
    )
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, (benchmark, metric) in zip(panels, measures, strict=True):
        own = data.query("benchmark == @benchmark and metric == @metric")
        _frame(axes, own, f"{benchmark} {HEADLINES[metric]}", rows)
        top = 0
        ticks: dict[int, str] = {}
        for block in blocks:
            placed = [(top + at, row) for at, row in block.of(benchmark, metric)]
            _block(axes, placed, top, block.head)
            ticks |= {at: f"{_plain(row)}{MARKS[row['verdict']]:>2}" for at, row in placed}
            # The last panel is drawn last, so that nothing lies over the names.
            if axes is panels[-1]:
                _name(figure, axes, top + (block.head - 1) / 2 + 0.1, block.name)
            top += block.height
        axes.set_yticks(list(ticks), list(ticks.values()), fontsize=6)
        axes.tick_params(axis="y", length=0, pad=1)
    return figure


def _plain(row: dict[Any, Any]) -> str:
    return str(row["category"]).replace("_", " ")


def _handle(sign: Sign, mark: str) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], ls="", color=sign.colour, marker=sign.marker, markersize=4,
        markerfacecolor=sign.colour if sign.filled else "white",
        label=f"{sign.meaning} {mark}".rstrip(),
    )  # fmt: skip


def _frame(axes: "Axes", rows: pd.DataFrame, title: str, height: int) -> None:
    """Draw what is behind the rows: the band of the margin and the line of no change."""
    unit = "points" if rows["unit"].iloc[0] == "%" else str(rows["unit"].iloc[0])
    margin = float(rows["margin"].iloc[0])
    axes.axvspan(-margin, margin, color="#56B4E9", alpha=0.16, lw=0, zorder=0)
    axes.axvline(0, color="0.35", lw=0.7, zorder=1)
    axes.set_title(title, fontsize=7.5)
    axes.set_xlabel(f"difference ({unit})")
    axes.set_ylim(height - 0.2, -0.4)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    ends = rows[["ci_low", "ci_high", "difference"]].abs().max().max()
    reach = 1.12 * max(float(ends) if ends == ends else 0.0, 1.3 * margin)
    axes.set_xlim(-reach, reach)


def _block(axes: "Axes", placed: list[tuple[int, dict[Any, Any]]], top: int, head: int) -> None:
    """Draw comparisons, each in its row, below a clear strip for their name."""
    axes.axhspan(top - 0.35, top + head - 0.45, color="white", lw=0, zorder=1.5)
    axes.axhline(top - 0.35, color="0.8", lw=0.6)
    for at, row in placed:
        sign = SIGNS[row["verdict"]]
        if pd.isna(row["difference"]):
            axes.text(0, at, "undefined", ha="center", va="center", fontsize=6, color="0.45")
            continue
        if pd.notna(row["ci_low"]):
            ends = [row["ci_low"], row["ci_high"]]
            axes.plot(ends, [at, at], color=sign.colour, lw=1.0, zorder=2)
        axes.plot(
            row["difference"], at, marker=sign.marker, color=sign.colour, ls="", markersize=3.6,
            markerfacecolor=sign.colour if sign.filled else "white", markeredgewidth=0.8, zorder=3,
        )  # fmt: skip


def _name(figure: "Figure", axes: "Axes", at: float, name: str) -> None:
    """Write the name of a comparison from the left edge of the page on, across the panels."""
    from matplotlib.transforms import blended_transform_factory

    axes.text(
        style.EDGE / figure.get_figwidth(), at, name, fontsize=NAME, fontweight="bold",
        va="center", clip_on=False, in_layout=False,
        transform=blended_transform_factory(figure.transFigure, axes.transData),
    )  # fmt: skip


def _short(pair: str) -> str:
    """Write what both cells of a pair have in common once: "m none -> m ptq", "m: none → ptq"."""
    first, _, second = pair.partition(" -> ")
    words = first.split(), second.split()
    same = 0
    while same < min(map(len, words)) - 1 and words[0][same] == words[1][same]:
        same += 1
    name = " ".join(words[0][:same])
    changed = " → ".join(" ".join(part[same:]) for part in words)
    return f"{name}: {changed}" if name else changed


def _notes(data: pd.DataFrame, material: Material) -> Iterator[str]:
    settings = material.settings
    margins = sorted(
        f"{margin:g} {'points' if unit == '%' else unit}"
        for margin, unit in set(zip(data["margin"], data["unit"], strict=True))
    )
    yield (
        f"Lines: {settings.level:.0%} intervals of paired differences. Shaded: the margin "
        f"({', '.join(margins)}). Changed: p < {settings.alpha:g} after Holm's correction over the "
        "sweep. No change larger than the margin: by two one-sided tests. Undecided: neither."
    )
    if (data["difference"].notna() & data["ci_low"].isna()).any():
        yield "A mark without a line has no interval: too few clusters (comparisons.json says it)."
    yield from material.notes


add("forest", "all paired differences with intervals, margin and verdict", forest_data, draw_forest)
