"""A gate for a release pipeline: `python -m src.gate CELL_A CELL_B --margin 3`.

Did the metrics change by more than a margin from one cell to another? The exit code says:

- 0 within: every one changed by less than the margin
- 1 outside: at least one changed by more
- 2 undecided: the items cannot tell
- 3 no verdict: something is wrong (a missing folder, a wrong option, cells that cannot be
  compared, or a fault of the program); the last line of the output says what
"""

import sys
import traceback
from collections.abc import Sequence

NO_VERDICT = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gate and give its exit code."""
    try:
        # Imported here, so that not even a broken installation ends with Python's own exit code
        # for errors, which is 1 and would say "outside".
        from src.statistics.gating import run

        return run(argv)
    except Exception as error:
        if type(error).__name__ != "InputError":
            traceback.print_exc()
        print(f"no verdict: {error}", file=sys.stderr)
        return NO_VERDICT


if __name__ == "__main__":
    sys.exit(main())
