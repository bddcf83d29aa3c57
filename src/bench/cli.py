"""The bench as a whole: what the command line says, and how it went."""

from collections.abc import Sequence

from rich.console import Console

from src.bench.options import parser
from src.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Run the bench; give the exit code, which is 1 where the two sides disagree."""
    known = parser()
    options = known.parse_args(arguments)
    # Imported here: torch is not needed to print the help.
    from src.bench.records import print_table, verdict
    from src.bench.session import run_races
    from src.device import resolve_device

    console = Console(width=None if Console().is_terminal else 120)
    try:
        resolve_device(options.device)
        if options.cells:
            from src.bench.cells import time_cells

            return time_cells(options, console)
        records = run_races(options, console)
    except (InputError, OSError) as error:
        known.error(str(error))
    print_table(records, console)
    console.print(verdict(records), soft_wrap=True)
    return 0 if all(record.agrees for record in records) else 1
