"""Figures 1 to 11 of the paper and four that it does not have, of the cells of its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from src.report.figures.material import KNOWN, Material
from src.report.figures.registry import Kind, everything
from src.report.figures.save import check_installed, write_figure
from src.report.paper.cells import PaperCells
from src.report.paper.config import PaperConfig
from src.report.paper.published import RERUN, published
from src.report.paper.registry import Draw, artefact

NEEDS = {
    "pareto": ("pythia", "masked"),
    "ladder": ("ladder",),
    "flips": ("masked",),
    "forest": ("masked",),
}
"""Figure that the paper does not have -> sweeps; figures 1 to 11 are of the checkpoints."""


def material(found: PaperCells, kinds: Sequence[str]) -> Material:
    """Give what figures are drawn from: finished cells by the paper's names of their models.

    Args:
        found: The paper's cells.
        kinds: Of the sweeps that are drawn.
    """
    chosen = [one for one in found.cells if one.kind in kinds and one.done]
    names = {one.cell.directory: one.row for one in reversed(chosen)}
    cells = {one.cell.directory: one.cell for one in chosen}
    roots = [found.folders[kind] for kind in kinds if kind in found.folders]
    paper = found.paper
    return Material(
        list(cells.values()),
        roots=[root for root in roots if root.is_dir()],
        names=names,
        published=pd.DataFrame() if paper.stand_in else by_step(paper),
        remarks=[_stand_in(paper, kinds)] if paper.stand_in else [],
    )


def by_step(paper: PaperConfig) -> pd.DataFrame:
    """Give the published numbers of checkpoints, as `Material.published` has them.

    Where the paper and the rerun of its code have the same number, the rerun's is kept, as it has
    more decimals.
    """
    rows = published()
    rows = rows[rows["step"].notna() & rows["variant"].isin(list(paper.precisions))]
    # False sorts before True: what the rerun has comes first, and is kept.
    rows = rows.assign(other=rows["table"] != RERUN).sort_values("other", kind="stable")
    rows = rows.drop_duplicates(["row", "variant", "step", "category", "metric"])
    compressions = {
        variant: KNOWN.get(compression, compression)
        for variant, compression in paper.precisions.items()
    }
    return pd.DataFrame(
        {
            "model": rows["row"],
            "compression": rows["variant"].map(compressions),
            "step": rows["step"].astype(float),
            "category": rows["category"],
            "metric": rows["metric"],
            "value": rows["value"],
            "source": [
                f"rerun of the paper's code, {source}" if table == RERUN else source.split(",")[0]
                for table, source in zip(rows["table"], rows["source"], strict=True)
            ],
        }
    ).reset_index(drop=True)


def _stand_in(paper: PaperConfig, kinds: Iterable[str]) -> str:
    named = {
        row: ", ".join(str(value) for value in settings.values())
        for kind in kinds
        for row, settings in paper.rows(kind).items()
    }
    told = "; ".join(f"{row} is {value}" for row, value in named.items())
    return f"Stand-in models in the places of the paper's ({told}): no reproduction of it."


def _drawing(kind: Kind, name: str, needs: Sequence[str]) -> Draw:
    def draw(found: PaperCells, folder: Path) -> Sequence[Path]:
        check_installed()
        return write_figure(replace(kind, name=name), material(found, needs), folder)

    return draw


for _kind in everything():
    _name = _kind.name if _kind.name.startswith("figure") else f"figure_{_kind.name}"
    _needs = NEEDS.get(_kind.name, ("pythia",))
    artefact(_name, _needs, "figures")(_drawing(_kind, _name, _needs))
