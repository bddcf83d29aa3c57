"""`python -m src.report.html DIRECTORY` writes DIRECTORY/report.html."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from src.errors import InputError
from src.piped import piped
from src.report.html.page import write_report

MEGA = 1e6


def main(argv: Sequence[str] | None = None) -> None:
    """Write a sweep's report; an input that cannot be used ends it with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m src.report.html",
        description="Write a sweep as one HTML file that opens from disk without a network.",
    )
    parser.add_argument("directory", type=Path, help="folder of a sweep or of a cell")
    parser.add_argument(
        "--no-text",
        action="store_true",
        help="leave out the (offensive, licensed) texts of the items, for a file to pass on",
    )
    parser.add_argument("--data-root", type=Path, help="where the benchmarks' files are now")
    given = parser.parse_args(argv)
    try:
        written = write_report(given.directory, not given.no_text, given.data_root)
    except InputError as error:
        parser.exit(2, f"error: {error}\n")
    for problem in written.problems:
        print(f"not in it: {problem}")
    print(f"{written.path} ({written.bytes / MEGA:.1f} MB)")


if __name__ == "__main__":
    piped(main)
