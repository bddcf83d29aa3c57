"""How figures look: in print, in greyscale, and to colour-blind readers.

Colours are those of Okabe and Ito (2008), which differ in lightness too; every line has also a
marker and dashes of its own, so that nothing is told by colour alone.
"""

import contextlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches: the text width of a page in two columns."""
EDGE = 0.08
"""Inches that stay free at the edges."""
FAINT = "0.62"
SETTINGS: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.titleweight": "bold",
    "axes.edgecolor": "0.35",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.color": "0.25",
    "ytick.color": "0.25",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "savefig.dpi": 200,
    # Text stays text in the file, and can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


class Look(NamedTuple):
    """How one line or group of points is drawn.

    Attributes:
        colour: Of line and marker.
        marker: Its shape.
        dashes: Line style.
        filled: Whether the marker is.
    """

    colour: str
    marker: str
    dashes: Any
    filled: bool = True


LOOKS = (
    Look("#000000", "o", "-"),
    Look("#D55E00", "^", (0, (4, 1.5))),
    Look("#0072B2", "s", (0, (1, 1.2))),
    Look("#009E73", "D", (0, (5, 1.2, 1, 1.2))),
    Look("#CC79A7", "v", (0, (7, 2))),
    Look("#E69F00", "P", (0, (2, 1))),
    Look("#56B4E9", "X", (0, (5, 1, 1, 1, 1, 1))),
    Look("#7A7A7A", "*", (0, (1, 2.5))),
)


def look(index: int) -> Look:
    """Give a look; those after the last colour come again with open markers."""
    again, at = divmod(index, len(LOOKS))
    return LOOKS[at]._replace(filled=not again % 2)


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with these settings, whatever the reader's own are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def page(
    height: float,
    title: str,
    notes: Iterable[str] = (),
    handles: "Sequence[Artist]" = (),
    width: float = WIDTH,
) -> "Figure":
    """Give a figure with a title and a legend above its panels, and notes below them.

    It belongs to no window, and the panels that are added keep clear of all three.

    Args:
        height: Of the panels, in inches; what stands above and below comes on top.
        title: Broken into lines where it is long.
        notes: Sentences, each on a line or more of its own.
        handles: What the legend explains, in its order.
        width: Inches.
    """
    from matplotlib.figure import Figure

    head = wrapped(title, int(width * 12))
    foot = "\n".join(wrapped(note, int(width * 19)) for note in notes if note)
    columns = _legend_columns(handles, width)
    above = EDGE + 0.18 * (1 + head.count("\n"))
    legend = 0.17 * -(-len(handles) // columns) + 0.04 if handles else 0.0
    below = 0.115 * (1 + foot.count("\n")) + EDGE if foot else 0.0
    total = above + legend + height + below
    made = Figure(figsize=(width, total), layout="constrained")
    made.get_layout_engine().set(  # type: ignore[call-arg, union-attr]
        w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.03,
        rect=(0, below / total, 1, height / total),
    )  # fmt: skip
    left = EDGE / width
    kept: dict[str, Any] = {"ha": "left", "va": "top", "in_layout": False}
    made.text(left, 1 - EDGE / total, head, fontsize=9.5, fontweight="bold", **kept)
    made.text(left, below / total, foot, fontsize=6.5, color="0.35", linespacing=1.25, **kept)
    if handles:
        shown = made.legend(
            handles=list(handles), loc="upper left", bbox_to_anchor=(left, 1 - above / total),
            ncols=columns, borderaxespad=0, borderpad=0, columnspacing=1.5, labelspacing=0.35,
        )  # fmt: skip
        shown.set_in_layout(False)
    return made


def _legend_columns(handles: "Sequence[Artist]", width: float) -> int:
    """Give the columns of a legend that go side by side."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    return max(1, min(len(handles), int((width - 2 * EDGE) / (0.55 + 0.062 * longest))))


def wrapped(text: str, characters: int) -> str:
    """Break a text into lines; also within a word (a long name) where need be."""
    return "\n".join(textwrap.wrap(text, characters, break_on_hyphens=True)) or text


def thousands(axes: "Axes") -> None:
    """Write the numbers of a horizontal axis of steps as 143k."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """Write a number as 143k, 1.4M, 512."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
