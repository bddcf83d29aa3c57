"""A table of the paper as Markdown."""

import re
from collections.abc import Iterator

from src.report.paper.layout import Page


def markdown(page: Page) -> str:
    """Write a table as Markdown; nothing in it is read as markup.

    Args:
        page: The table.
    """
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"**{escape(page.title)}**"
    yield ""
    yield _row(["", "", *map(escape, page.heads)])
    yield _row(["---", "---", *("---:" for _ in page.heads)])
    for row in page.lines:
        for line in row:
            notes = "".join(f"<sup>{number}</sup>" for number in line.notes)
            yield _row([escape(line.label) + notes, line.kind, *map(escape, line.texts)])
    yield ""
    for number, note in enumerate(page.notes, start=1):
        yield f"<sup>{number}</sup> {escape(note)}  "
    yield ""
    for remark in page.remarks:
        yield f"{escape(remark)}  "


def _row(parts: list[str]) -> str:
    return f"| {' | '.join(parts)} |"


def escape(text: str) -> str:
    """Keep a text from being read as Markdown or HTML."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", plain)
