"""`python -m src.paper NAME...`."""

from src.paper.command import main

if __name__ == "__main__":
    main()
