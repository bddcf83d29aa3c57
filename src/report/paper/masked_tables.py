"""Tables 1 and 4: stereotype scores of masked models, and StereoSet's LM score."""

from src.report.cells import CATEGORIES, OVERALL
from src.report.paper.cells import PaperCells
from src.report.paper.masked_rows import MaskedTable, masked_table
from src.report.paper.table import Column, PaperTable
from src.report.paper.writing import table

ARROWS = (
    "Arrows show by how much the distance from 50 (of LM scores: the score itself) changes against "
    "the base model of the family, in our numbers and in the paper's."
)
INT8_VARIES = (
    "int8 depends on the machine in the official code: run again elsewhere, its CrowS-Pairs scores "
    "moved by up to 2 points."
)
SIZES = (
    "The paper's MB are those of the encoder alone; ours are of what was scored, with its "
    "language-model head, in memory. int8 unties that head from the embeddings and stores it too."
)


@table("table1", needs=("masked",))
def table1(found: PaperCells) -> PaperTable:
    """CrowS-Pairs stereotype scores, parameters and size."""
    columns = [
        Column("params (M)", "", "parameters", 0),
        Column("MB", "", "megabytes", 0),
        *(Column(name, name, "stereotype_score") for name in CATEGORIES),
    ]
    title = "CrowS-Pairs stereotype scores (%) of masked language models; 50 is unbiased"
    return masked_table(MaskedTable("table1", title, columns, (ARROWS, INT8_VARIES, SIZES)), found)


@table("table4", needs=("masked",))
def table4(found: PaperCells) -> PaperTable:
    """StereoSet stereotype scores and LM score."""
    columns = [
        *(Column(f"SS {name}", name, "ss") for name in CATEGORIES),
        Column("LM", OVERALL, "lm_score"),
    ]
    title = (
        "StereoSet (test split, intrasentence) stereotype scores (%; 50 is unbiased) and LM "
        "score (%) of masked language models"
    )
    return masked_table(MaskedTable("table4", title, columns, (ARROWS, INT8_VARIES)), found)
