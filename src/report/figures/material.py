"""What figures are drawn from: the finished cells of a sweep, and their headline numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from src.report.cells import Label, labels, own_metrics
from src.statistics.config import StatisticsConfig
from src.statistics.on_disk import settings_of
from src.statistics.series import place
from src.tracking.keys import HEADLINES
from src.tracking.read import Cell

DENSE = "dense"
KNOWN = {"none": DENSE, "ptq": "int8 (ptq)"}
"""Compression -> what a reader of the paper knows it by."""
NUMBERS = ("value", "ci_low", "ci_high", "ideal", "n")
ABOUT = ("benchmark", "scorer", "category", "metric", "kind", "unit", "reason")
STEP = re.compile(r"[-_ ]?step[-_ =]?\d+")


@dataclass(frozen=True)
class Material:
    """The finished cells that a figure may show.

    Attributes:
        cells: Finished cells, in the order of the sweep's table.
        roots: Folders of the sweeps, where comparisons.json may be.
        names: Directory of a cell -> what its model is called, its checkpoint left out; by default
            a name is made of the settings.
        published: Numbers of others to be drawn faintly: columns model, compression, step,
            category, metric, value, source.
        remarks: Sentences that stand below every figure.
    """

    cells: Sequence[Cell]
    roots: Sequence[Path] = ()
    names: Mapping[Path, str] = field(default_factory=dict)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    remarks: Sequence[str] = ()

    @cached_property
    def settings(self) -> StatisticsConfig:
        """The settings that the intervals were made with."""
        return settings_of(self.cells[0]) if self.cells else StatisticsConfig()

    @cached_property
    def places(self) -> pd.DataFrame:
        """A row a cell: cell, model, size, step, compression, settings, is_dense.

        `cell` is its index in `cells`. `model` has no checkpoint in it; `compression` has all
        else that tells cells apart, of which `settings` is what is no setting of a compression;
        `size` is a number of parameters. What a cell does not have is missing.
        """
        rows = [
            self._place(index, cell, label)
            for index, (cell, label) in enumerate(zip(self.cells, labels(self.cells), strict=True))
        ]
        columns = ["cell", "model", "size", "step", "compression", "settings", "is_dense"]
        return pd.DataFrame(rows, columns=columns)

    def _place(self, index: int, cell: Cell, label: Label) -> dict[str, Any]:
        model = cell.config.get("model")
        model = model if isinstance(model, dict) else {}
        name = STEP.sub("", label.model).strip() or label.model
        compression = KNOWN.get(label.compression, label.compression)
        return {
            "cell": index,
            "model": self.names.get(cell.directory, name),
            "size": place(model.get("size")),
            "step": place(model.get("step")),
            "compression": f"{compression} {label.settings}".strip(),
            "settings": label.settings,
            "is_dense": label.compression == "none",
        }

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Headline numbers, a row each: the columns of `places` and those of metrics.json.

        Undefined numbers are NaN. Of two benchmarks with the same metric, the paper's is kept.
        """
        rows = [
            {"cell": index, **{name: record.get(name) for name in (*ABOUT, *NUMBERS)}}
            for index, cell in enumerate(self.cells)
            for record in own_metrics(cell)
            if record.get("metric") in HEADLINES
        ]
        table = pd.DataFrame(rows, columns=["cell", *ABOUT, *NUMBERS])
        table[list(NUMBERS)] = table[list(NUMBERS)].astype(float)
        for metric, benchmarks in table.groupby("metric")["benchmark"].unique().items():
            # "crows_pairs" before "crows_pairs_revised", "stereoset" before its other task.
            first = min(benchmarks, key=len)
            table = table[(table["metric"] != metric) | (table["benchmark"] == first)]
        return self.places.merge(table, on="cell").reset_index(drop=True)

    @cached_property
    def scorer(self) -> str:
        """The scorer of most cells: numbers of different scorers are not compared."""
        found = self.numbers.drop_duplicates("cell")["scorer"].value_counts(sort=False)
        return str(found.idxmax()) if len(found) else ""

    @property
    def comparable(self) -> pd.DataFrame:
        """The rows of `numbers` that are of one scorer."""
        return self.numbers[self.numbers["scorer"] == self.scorer]

    @property
    def scorer_note(self) -> str:
        """Say which scorer `comparable` is limited to; empty where there is no other one."""
        others = sorted(set(self.numbers["scorer"]) - {self.scorer})
        if not others:
            return ""
        return f"Scored by {self.scorer}; cells scored by {', '.join(others)} are left out."

    def models(self, some: "pd.Series[str]") -> list[str]:
        """List the models among some, those with a size by it, in the order of the table."""
        sizes = self.places.groupby("model", sort=False)["size"].first().sort_values(kind="stable")
        return [str(name) for name in sizes.index if name in set(some)]

    def compressions(self, some: "pd.Series[str]") -> list[str]:
        """List the compressions among some, dense first, in the order of the table."""
        found = self.places.sort_values("is_dense", ascending=False, kind="stable")["compression"]
        return [str(name) for name in found.drop_duplicates() if name in set(some)]

    @property
    def notes(self) -> list[str]:
        """Sentences that have to stand below a figure of these cells."""
        limits = {
            str(debug["limit"])
            for debug in (cell.config.get("debug") for cell in self.cells)
            if isinstance(debug, dict) and debug.get("limit")
        }
        told = [*self.remarks]
        if limits:
            told.append(
                f"debug.limit={', '.join(sorted(limits))}: a trial on part of the items, not a "
                "measurement."
            )
        samples = {str(name) for name in self.numbers["benchmark"] if name.startswith("sample_")}
        if samples:
            told.append(f"{', '.join(sorted(samples))}: a demonstration, not a measurement.")
        return told
