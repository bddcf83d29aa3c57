"""`python -m src.paper NAME...`."""

from src.paper.command import main
from src.piped import piped

if __name__ == "__main__":
    piped(main)
