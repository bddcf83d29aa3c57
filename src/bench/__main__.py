"""Entry point: `python -m src.bench [--help]`."""

import os
import sys

if __name__ == "__main__":
    # As in src.main: OpenMP reads this once, when torch is imported, so the rest comes after it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from src.quiet import quiet_libraries

    quiet_libraries()
    from src.bench.cli import main

    sys.exit(main(sys.argv[1:]))
