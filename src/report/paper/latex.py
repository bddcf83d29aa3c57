"""A table of the paper as LaTeX, with the packages booktabs and graphicx."""

from collections.abc import Iterator

from src.report.paper.layout import Line, Page

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", "*": r"\textsuperscript{*}"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "↔": r"$\leftrightarrow$"},
    **{"≈": r"$\approx$", "≠": r"$\neq$", "=": "$=$", "×": r"$\times$"},
}
LATIN_1 = 256
WIDE = 4
"""Columns of numbers from which on a table is fitted to the width of the page."""


def latex(page: Page, label: str) -> str:
    """Write a table as LaTeX.

    Args:
        page: The table.
        label: To refer to it: `tab:label`.
    """
    return "\n".join(_lines(page, label)) + "\n"


def _lines(page: Page, label: str) -> Iterator[str]:
    yield r"% \usepackage{booktabs,graphicx}"
    yield r"\begin{table*}"
    yield r"\centering\scriptsize\setlength{\tabcolsep}{4pt}"
    yield rf"\caption{{{escape(page.title)}.}}\label{{tab:{label}}}"
    wide = len(page.heads) >= WIDE
    if wide:
        yield r"\resizebox{\textwidth}{!}{%"
    yield rf"\begin{{tabular}}{{ll{'r' * len(page.heads)}}}"
    yield r"\toprule"
    yield _row(["", "", *map(escape, page.heads)])
    yield r"\midrule"
    for index, row in enumerate(page.lines):
        if index:
            yield r"\addlinespace[2pt]"
        for line in row:
            yield _row([_label(line), escape(line.kind), *(_negative(t) for t in line.texts)])
    yield r"\bottomrule"
    yield r"\end{tabular}" + ("}" if wide else "")
    yield r"\par\smallskip\begin{minipage}{\textwidth}\scriptsize"
    for number, note in enumerate(page.notes, start=1):
        yield rf"\textsuperscript{{{number}}} {escape(note)}\par"
    for remark in page.remarks:
        yield rf"{escape(remark)}\par"
    yield r"\end{minipage}"
    yield r"\end{table*}"


def _row(parts: list[str]) -> str:
    return " & ".join(parts) + r" \\"


def _label(line: Line) -> str:
    numbers = ",".join(map(str, line.notes))
    return escape(line.label) + (rf"\textsuperscript{{{numbers}}}" if numbers else "")


def _negative(text: str) -> str:
    """Write a cell's numbers with a minus sign and not a hyphen."""
    return escape(text).replace("-", "$-$") if any(c.isdigit() for c in text) else escape(text)


def escape(text: str) -> str:
    """Keep every character from being read as LaTeX; one that its fonts may lack becomes "?"."""
    return "".join(SPECIAL.get(one, one if ord(one) < LATIN_1 else "?") for one in text)
