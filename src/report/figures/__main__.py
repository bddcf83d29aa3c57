"""`python -m src.report.figures DIRECTORY`: see `cli.py`."""

from src.piped import piped
from src.report.figures.cli import main

if __name__ == "__main__":
    piped(main)
