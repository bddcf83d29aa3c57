"""Tables 2, 3, 5 and 6: StereoSet at the checkpoint of best LM score of each Pythia size."""

from collections.abc import Callable, Iterator

from src.report.cells import CATEGORIES, OVERALL
from src.report.paper.best_step import best_step
from src.report.paper.cells import PaperCell, PaperCells
from src.report.paper.config import FP32, INT8
from src.report.paper.entries import entries
from src.report.paper.masked_rows import level_of, ours
from src.report.paper.published import faults_of, printed, rows_of
from src.report.paper.table import Column, PaperTable, Row
from src.report.paper.writing import table

KIND = "pythia"
COLUMNS = (
    Column("LM", OVERALL, "lm_score", 1),
    *(Column(f"SS {name}", name, "ss", 1) for name in CATEGORIES),
)
FLAT = (
    "Curves of LM score over pretraining are flat, so that a best step alone says little: behind "
    "it is how many others are as good as far as the items can tell (the model confidence set "
    "of Hansen, Lunde and Nason, 2011, at the level of the intervals)."
)
LIKE_FOR_LIKE = (
    "Where our best checkpoint is another one than the paper's, the row is followed by ours at the "
    "paper's step, and the comparison is made there."
)


def _at_best(name: str, variant: str, chosen_by: str, title: str) -> Callable[..., PaperTable]:
    """Register a table of one precision at the checkpoints that are best in it or in another."""

    @table(name, needs=(KIND,))
    def make(found: PaperCells) -> PaperTable:
        sizes = dict.fromkeys([*(row for row, _ in rows_of(name)), *found.paper.rows(KIND)])
        rows = [row for size in sizes for row in _rows(name, size, variant, chosen_by, found)]
        level = level_of(found, KIND)
        remarks = (FLAT,) if found.paper.stand_in else (FLAT, LIKE_FOR_LIKE)
        return PaperTable(name, title, COLUMNS, rows, found.paper.stand_in, level, remarks)

    return make


def _rows(
    table_name: str, size: str, variant: str, chosen_by: str, found: PaperCells
) -> Iterator[Row]:
    """Make a size's row; two where our best checkpoint is not the paper's."""
    best = best_step(found, KIND, size, chosen_by)
    theirs = printed(table_name, size, variant, OVERALL, "lm_score")
    their_step = theirs.step if theirs else None
    step = best.cell.step if best else their_step
    cell = found.one(KIND, size, variant, step) if best else None
    # A stand-in has no steps of the paper's to be held against.
    apart = best is not None and their_step not in (None, step) and not found.paper.stand_in
    remark = best.remark if best else ""
    notes = () if apart else tuple(faults_of(table_name, size, variant))
    yield _row(table_name, size, variant, (cell, step), found, not apart, remark, notes)
    if apart:
        cell = found.one(KIND, size, variant, their_step)
        notes = tuple(faults_of(table_name, size, variant))
        yield _row(
            table_name, size, variant, (cell, their_step), found, True, "the paper's step", notes
        )


def _row(
    table_name: str,
    size: str,
    variant: str,
    at: tuple[PaperCell | None, int | None],
    found: PaperCells,
    compared: bool,
    remark: str,
    notes: tuple[str, ...],
) -> Row:
    cell, step = at
    numbers = entries(table_name, COLUMNS, (size, variant), cell, found, compared=compared)
    directory = str(cell.cell.directory) if cell else ""
    return Row(size, variant, size, ours(cell), numbers, step, remark, notes, directory)


BEST = "StereoSet of Pythia at each size's checkpoint of best LM score"
table2 = _at_best("table2", FP32, FP32, f"{BEST}, fp32")
table3 = _at_best("table3", INT8, INT8, f"{BEST}, int8")
table5 = _at_best("table5", INT8, FP32, f"{BEST} in fp32, here in int8 (at the steps of table 2)")
table6 = _at_best("table6", FP32, INT8, f"{BEST} in int8, here in fp32 (at the steps of table 3)")
