"""How figures look: in print, in greyscale, and to colour-blind readers.

Colours are those of Okabe and Ito (2008), which differ in lightness too; compressions have also a
marker and dashes of their own.
"""

import contextlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

WIDTH = 7.2
"""Inches: the text width of a page in two columns."""
EDGE = 0.08
"""Inches that stay free at the edges."""
GAP = 0.06
"""Inches between title, legend, panels and notes."""
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
    # A name may hold a dollar sign, which begins no formula here.
    "text.parse_math": False,
    # Text stays text in the file, and can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


MARKERS = (*"o^sDvPX*", *"<>pdh8H")
"""Told apart by their shape alone, the first of them best."""


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


AGAIN = (
    *("#332288", "#882255", "#117733", "#999933"),
    *("#AA4499", "#661100", "#44AA99", "#DDCC77"),
)
"""Colours of the second eight, where only they tell models apart: those of Tol's muted scheme."""


def look(index: int) -> Look:
    """Give a look; sixteen colours come again and again, each time with the marker of another."""
    again, at = divmod(index, len(LOOKS))
    marker, filled = MARKERS[(at + again) % len(MARKERS)], not again % 2
    colour = AGAIN[at] if again % 2 else LOOKS[at].colour
    return LOOKS[at]._replace(colour=colour, marker=marker, filled=filled)


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
        title: Broken into lines where it is long, as notes are.
        notes: Sentences, each on a line or more of its own.
        handles: What the legend explains, in its order.
        width: Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)  # it can measure texts
    head = _text(made, title, fontsize=9.5, fontweight="bold")
    foot = _text(made, "\n".join(note for note in notes if note), fontsize=6.5, color="0.35")
    legend = _legend(made, handles) if handles else None
    tall = [_inches(part).height + GAP if part else 0.0 for part in (head, legend, foot)]
    total = sum(tall) + height + 2 * EDGE
    made.set_size_inches(width, total)
    head.set_position((EDGE / width, 1 - EDGE / total))
    foot.set_position((EDGE / width, (EDGE + tall[2] - GAP) / total))
    if legend:
        below_title = 1 - (EDGE + tall[0]) / total
        legend.set_bbox_to_anchor((EDGE / width, below_title), transform=made.transFigure)
    made.get_layout_engine().set(  # type: ignore[call-arg, union-attr]
        w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.03,
        rect=(0, (EDGE + tall[2]) / total, 1, height / total),
    )  # fmt: skip
    return made


def _text(figure: "Figure", text: str, **look: Any) -> "Text":
    """Add a text that is broken into as many lines as the width of the figure asks for."""
    room = figure.get_figwidth() - 2 * EDGE
    made = figure.text(0, 0, "", ha="left", va="top", in_layout=False, linespacing=1.2, **look)
    characters = int(room * 170 / look["fontsize"])
    while True:
        made.set_text("\n".join(wrapped(line, characters) for line in text.split("\n")))
        if not text or _inches(made).width <= room or characters < 10:
            return made
        characters = min(characters - 1, int(characters * room / _inches(made).width))


def _legend(figure: "Figure", handles: "Sequence[Artist]") -> "Legend":
    """Add a legend of as many columns as the width of the figure has room for."""
    columns = len(handles)
    while True:
        made = figure.legend(
            handles=list(handles), loc="upper left", ncols=columns, borderaxespad=0, borderpad=0,
            columnspacing=1.5, labelspacing=0.35, handletextpad=0.5,
        )  # fmt: skip
        made.set_in_layout(False)
        if columns == 1 or _inches(made).width <= figure.get_figwidth() - 2 * EDGE:
            return made
        made.remove()
        columns -= 1


def _inches(artist: "Artist") -> "Bbox":
    figure = artist.get_figure(root=True)
    assert figure is not None
    return artist.get_window_extent().transformed(figure.dpi_scale_trans.inverted())


def wrapped(text: str, characters: int) -> str:
    """Break a text into lines; also within a word (a long name) where need be."""
    return "\n".join(textwrap.wrap(text, characters, break_on_hyphens=True)) or text


def cut(text: str, characters: int) -> str:
    """Shorten a text in its middle, as names differ at their ends."""
    if len(text) <= characters:
        return text
    half = (characters - 1) // 2
    return f"{text[: characters - 1 - half]}…{text[-half:]}"


def logarithmic(axes: "Axes", ratio: float) -> None:
    """Make the vertical axis logarithmic, its numbers plain: 0.01 (powers would be formulas).

    Args:
        axes: Whose axis.
        ratio: Of the largest number drawn to the smallest.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    # A LogLocator that has to leave powers out has no marks at all, unless they are powers only.
    few = ratio < 1e6
    marks = LogLocator(subs=(1.0, 3.0), numticks=12) if few else LogLocator(subs=(1.0,))
    axes.yaxis.set_major_locator(marks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def thousands(axes: "Axes") -> None:
    """Write the numbers of a horizontal axis of steps as 143k."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def size(value: float) -> str:
    """Write a number of bytes as 4.5 MB."""
    for unit, letters in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= unit:
            return f"{value / unit:.3g} {letters}"
    return f"{value:.3g} B"


def short(value: float) -> str:
    """Write a number as 143k, 1.4M, 512."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
