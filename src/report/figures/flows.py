"""The flip diagram: which side items are on in the dense and in the compressed cell."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.errors import InputError
from src.report.cells import twin
from src.report.figures import style
from src.report.figures.material import Material
from src.report.figures.registry import NotDrawn, add
from src.statistics.comparable import check_comparable
from src.statistics.flip_tests import flip_tests
from src.statistics.sides import TO_ANTI, TO_STEREO, matched
from src.tracking.read import ITEMS, Cell

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CATEGORIES = ("overall", "gender", "race", "religion")
STEREO, ANTI = "#E69F00", "#0072B2"
"""Of different lightness, so that they differ in greyscale, too."""
BAR = 0.15
"""Width of the stacks at both ends; the panel is 1 wide."""
MOST = 7
"""Compressed cells a page."""
COUNTS = ("stay_stereo", TO_ANTI, TO_STEREO, "stay_anti")


def flow_data(material: Material) -> pd.DataFrame:
    """Count the items of each benchmark and category by their sides in both cells.

    Returns:
        A row a compressed cell, benchmark and category: n, `stay_stereo`, `to_anti`, `to_stereo`,
        `stay_anti`, and p (Holm-adjusted over the two cells) that both directions are as likely.

    Raises:
        NotDrawn: No compressed cell can be compared with a dense twin by paired items.
    """
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for at, cell in enumerate(material.cells):
        other = twin(cell, material.cells)
        if other is None:
            continue
        place = material.places.iloc[at]
        about = {name: place[name] for name in ("model", "step", "compression")}
        try:
            rows += [about | row for row in _flows(other, cell, material)]
        except (InputError, OSError, ValueError) as error:
            reasons.append(f"{place['model']} {place['compression']}: {error}")
    if not rows:
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        told = "; ".join(reasons[:3]) + more or "no compressed cell has a dense twin."
        raise NotDrawn(f"no items of two cells to be put beside each other: {told}")
    return pd.DataFrame(rows)


def _flows(dense: Cell, cell: Cell, material: Material) -> Iterator[dict[str, Any]]:
    check_comparable(dense, cell)
    both = [pd.read_parquet(each.directory / ITEMS) for each in (dense, cell)]
    own = (cell.config.get("scorer") or {}).get("name")
    both = [table if own is None else table[table["scorer"] == own] for table in both]
    pairs = matched(*both)
    # A SEAT test is no item of two sentences: its side is the sign of an effect.
    pairs = pairs[pairs["benchmark"].isin(_paired(both[0]))]
    settings = material.settings
    for test in flip_tests(pairs, settings.resamples, settings.seed):
        rows = pairs[pairs["benchmark"] == test.benchmark]
        if test.category != "overall":
            rows = rows[rows["category"] == test.category]
        stays = rows[rows["direction"] == ""]["side_before"].astype(bool)
        yield {
            "benchmark": test.benchmark,
            "category": test.category,
            "n": test.n,
            "stay_stereo": int(stays.sum()),
            TO_ANTI: test.to_anti,
            TO_STEREO: test.to_stereo,
            "stay_anti": int((~stays).sum()),
            "p_holm": test.p_holm,
            "verdict": test.verdict(settings.alpha),
        }


def _paired(items: pd.DataFrame) -> set[str]:
    """Name the benchmarks whose items are pairs or clusters of sentences."""
    scored = [name for name in ("score_more", "score_stereotype") if name in items]
    return set(items.loc[items[scored].notna().any(axis=1), "benchmark"])


def draw_flows(data: pd.DataFrame, material: Material) -> "list[Figure]":
    """Draw a page a benchmark and some cells: a row a cell, a column a category."""
    pages = []
    for benchmark, rows in data.groupby("benchmark", sort=False):
        known = list(rows["category"].drop_duplicates())
        shown = [name for name in CATEGORIES if name in known] or known[: len(CATEGORIES)]
        keys = ["model", "step", "compression"]
        cells = [
            part.set_index("category") for _, part in rows.groupby(keys, sort=False, dropna=False)
        ]
        for start in range(0, len(cells), MOST):
            some = cells[start : start + MOST]
            where = (
                f" ({start // MOST + 1} of {-(-len(cells) // MOST)})" if len(cells) > MOST else ""
            )
            pages.append(_page(some, shown, f"{benchmark}{where}", material))
    return pages


def _page(
    cells: list[pd.DataFrame], categories: list[str], name: str, material: Material
) -> "Figure":
    figure = style.page(
        0.35 + 1.22 * len(cells),
        f"Items that change sides when the model is compressed: {name}",
        _notes(material),
        _handles(),
        max(4.2, 0.9 + 1.6 * len(categories)),
    )
    panels = figure.subplots(len(cells), len(categories), squeeze=False)
    for rows, line in zip(cells, panels, strict=True):
        first = rows.iloc[0]
        step = "" if pd.isna(first["step"]) else f"\nstep {first['step']:.0f}"
        told = (
            f"{style.wrapped(first['model'], 17)}{step}\n{style.wrapped(first['compression'], 17)}"
        )
        for category, axes in zip(categories, line, strict=True):
            axes.set_axis_off()
            if category in rows.index:
                _panel(axes, rows.loc[category].to_dict(), material.settings.alpha)
            if axes in panels[0]:
                axes.set_title(category.replace("_", " "), fontsize=8)
        line[0].text(
            -0.06, 0.5, told, transform=line[0].transAxes, ha="right", va="center", fontsize=7
        )
    return figure


def _panel(axes: "Axes", row: dict[Any, Any], alpha: float) -> None:
    """Draw two stacks, dense left and compressed right, and what flows between them."""
    n = max(row["n"], 1)
    gap = 0.06
    parts = {name: row[name] / n for name in COUNTS}
    stereo_left, stereo_right = (
        parts["stay_stereo"] + parts[TO_ANTI],
        parts["stay_stereo"] + parts[TO_STEREO],
    )
    for x, share in ((0.0, stereo_left), (1.0 - BAR, stereo_right)):
        _stack(axes, x, 1 + gap, share, STEREO, round(share * n))
        _stack(axes, x, 1 - share, 1 - share, ANTI, round((1 - share) * n))
    # From top to bottom at each end; what stays is at the outside, so that flips cross once.
    flows = (
        ("stay_stereo", 1 + gap, 1 + gap, STEREO, 0.25),
        (TO_ANTI, 1 + gap - parts["stay_stereo"], 1 - stereo_right, STEREO, 0.8),
        (TO_STEREO, 1 - stereo_left, 1 + gap - parts["stay_stereo"], ANTI, 0.8),
        ("stay_anti", parts["stay_anti"], parts["stay_anti"], ANTI, 0.25),
    )
    for name, left, right, colour, opacity in flows:
        _flow(axes, left, right, parts[name], colour, opacity)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.3, 1 + gap + 0.02)
    star = "*" if row["p_holm"] < alpha else ""
    axes.text(
        0.5, -0.08, f"→ anti {row[TO_ANTI]}   → stereo {row[TO_STEREO]}{star}", fontsize=6.2,
        ha="center", va="top",
    )  # fmt: skip


def _stack(axes: "Axes", x: float, top: float, height: float, colour: str, count: int) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, top - height), BAR, height, color=colour, lw=0))
    if height > 0.11:
        axes.text(
            x + BAR / 2, top - height / 2, str(count), fontsize=5.2, ha="center", va="center",
            fontweight="bold", color="black" if colour == STEREO else "white",
        )  # fmt: skip


def _flow(
    axes: "Axes", left: float, right: float, height: float, colour: str, opacity: float
) -> None:
    """Draw a band of some height from `left` to `right`, which are its upper edges."""
    if height <= 0:
        return
    x = np.linspace(0, 1, 40)
    bend = 3 * x**2 - 2 * x**3
    top = left + (right - left) * bend
    axes.fill_between(BAR + x * (1 - 2 * BAR), top, top - height, color=colour, alpha=opacity, lw=0)


def _handles() -> "list[Artist]":
    from matplotlib.patches import Patch

    return [
        Patch(color=STEREO, label="on the stereotype's side"),
        Patch(color=ANTI, label="on the other side"),
    ]


def _notes(material: Material) -> Iterator[str]:
    yield (
        "Left: the dense cell; right: the compressed one, on the same items. Strong bands: items "
        "that changed sides, in the colour of the side they left. Equal numbers both ways leave a "
        "score where it was. *: more went one way than chance allows (p < "
        f"{material.settings.alpha:g}, Holm's correction over the tests of the two cells)."
    )
    yield from material.notes


add("flips", "items that change sides, by category", flow_data, draw_flows)
