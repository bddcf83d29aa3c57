"""The command line of the bench."""

import argparse
from pathlib import Path

from src.bench.shapes import CELLS, SHAPES

PERMUTATIONS = 100_000
ROWS = (
    "seat_permutations",
    "lm_eval",
    *(
        f"{objective}/{precision}"
        for precision in ("fp32", "ptq")
        for objective in ("masked", "causal")
    ),
)
"""What `--only` can name."""


def parser() -> argparse.ArgumentParser:
    """Build the parser."""
    built = argparse.ArgumentParser(
        prog="python -m src.bench",
        description="How many times as fast is the engine as scoring one item at a time?",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    built.add_argument(
        "--data-root",
        metavar="FOLDER",
        help="folder with the benchmarks' files, as data.root; without it, the sample items",
    )
    built.add_argument(
        "--tokenizers",
        type=Path,
        metavar="FOLDER",
        help="folder with a tokenizer in masked/ and causal/; without it, the models' that ship",
    )
    built.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of both sides")
    built.add_argument("--threads", type=_positive, default=2, help="CPU threads of both sides")
    built.add_argument(
        "--out", type=Path, default=Path("multirun/bench"), help="folder for bench.json"
    )
    _add_races(built.add_argument_group("the races"))
    _add_cells(built.add_argument_group("whole cells, instead of the races"))
    return built


def _add_races(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--shape", choices=tuple(SHAPES), default="base", help="of the models")
    group.add_argument(
        "--items",
        type=int,
        default=120,
        help="CrowS-Pairs pairs to take, evenly spaced; the other benchmarks by the same share",
    )
    group.add_argument("--repeats", type=_positive, default=1, help="rounds; times are means")
    group.add_argument(
        "--permutations", type=_positive, default=PERMUTATIONS, help="of each SEAT test"
    )
    group.add_argument(
        "--only",
        nargs="+",
        choices=ROWS,
        default=ROWS,
        metavar="ROW",
        help=f"these of {', '.join(ROWS)}; the other records of an earlier bench.json stay",
    )


def _add_cells(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cells",
        nargs="+",
        choices=tuple(CELLS),
        metavar="SIZE",
        help=f"time dense and ptq cells of these sizes: {', '.join(CELLS)}",
    )
    group.add_argument(
        "--precisions",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=("float32",),
        metavar="DTYPE",
        help="float32 (the paper's; a dense and a ptq cell) or bfloat16 (a dense cell)",
    )
    group.add_argument("--scratch", type=Path, help="folder for the random checkpoints")
    group.add_argument(
        "--limit", type=_positive, help="items of each category, as debug.limit; none: all"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number
