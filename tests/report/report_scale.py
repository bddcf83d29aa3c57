"""A made-up sweep of many cells and items: `python -m tests.report.report_scale DIR 200 500`."""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.items import Candidate, FillIn, SentencePair
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_gold import LABELS
from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.statistics.refresh import made_with
from src.tracking.records import METRIC_FIELDS, CellRecords

BENCHMARKS = {
    "crows_pairs": CrowsPairs(CrowsPairsConfig()),
    "stereoset": StereoSet(StereoSetConfig(split="dev")),
}
SETTINGS = StatisticsConfig(resamples=100)
COMPRESSIONS = ("none", "ptq", "fp16", "bf16", "uniform", "prune", "wanda", "nf4", "hqq", "noise")
CATEGORIES = ("gender", "race", "religion")


def items_of(n):
    """Make items: two fifths are sentence pairs, the others clusters of four a term."""
    pairs = [
        SentencePair(str(i), CATEGORIES[i % 3], str(i), "m", "l", "stereo")
        for i in range(2 * n // 5)
    ]
    clusters = [
        FillIn(
            f"{i:032x}",
            CATEGORIES[i // 4 % 3],
            f"term {i // 4}",
            "BLANK",
            tuple(Candidate(f"{i}-{label}", label, "s", "w") for label in LABELS),
        )
        for i in range(n - len(pairs))
    ]
    return {"crows_pairs": pairs, "stereoset": clusters}


def write_cells(folder, cells, items):
    """Write a sweep; neighbours share a model, whose scores the compressed ones disturb."""
    asked = items_of(items)
    rng = np.random.default_rng(0)
    for index in range(cells):
        model, place = divmod(index, len(COMPRESSIONS))
        if place == 0:
            base = {name: rng.normal([0.3, 0, -0.5], 1, (len(asked[name]), 3)) for name in asked}
        noise = 0.05 * place
        tables = []
        for name, benchmark in BENCHMARKS.items():
            scores = base[name] + noise * rng.normal(size=base[name].shape)
            tables.append(_table(name, benchmark, asked[name], scores))
        write_cell(folder / f"m{model}-{COMPRESSIONS[place]}", f"model-{model}", place, tables)


def _table(name, benchmark, items, scores):
    if name == "crows_pairs":
        given = [{"more": row[0], "less": row[1]} for row in scores]
    else:
        given = [
            {c.id: row[n] for n, c in enumerate(item.candidates)}
            for item, row in zip(items, scores, strict=True)
        ]
    return benchmark.tabulate(items, given, None).assign(benchmark=name, scorer="bias_bench")


def write_cell(directory, model, place, tables):
    """Write a finished cell with records as large as real ones."""
    items = pd.concat(tables, ignore_index=True)
    records = CellRecords(directory)
    records.start(f"fingerprint {directory.name}")
    benchmarks = {name: asdict(built.settings) for name, built in BENCHMARKS.items()}
    name = COMPRESSIONS[place]
    records.write_config(
        {
            "model": {"name": model, "id": model, "dtype": "float32"},
            "compression": {"name": name, "kind": name},
            "benchmark": benchmarks,
            "scorer": {"name": "bias_bench"},
            "tracker": {"kind": "none"},
        }
    )
    metrics = [
        {"benchmark": name, "scorer": "bias_bench", **asdict(metric)}
        for name, built in BENCHMARKS.items()
        for metric in built.metrics(items[items.benchmark == name])
    ]
    filled = with_intervals(metrics, cell_estimands(BENCHMARKS, items), SETTINGS)
    records.write_metrics({field: row[field] for field in METRIC_FIELDS} for row in filled)
    records.write_items(items)
    records.write_json("statistics.json", made_with(SETTINGS))
    changes = [
        {"module": f"encoder.layer.{i}.dense", "elements": 589824, "relative_error": 0.01 * i}
        for i in range(144)
    ]
    method = "none" if place == 0 else name
    records.write_json("receipt.json", {"method": method, "stored_bits": 8.0, "changes": changes})
    records.write_json("system.json", {"model_bytes": 4e8 / (place + 1), "evaluate_seconds": 60.0})
    records.write_json("environment.json", {"packages": {f"p{i}": "1.0" for i in range(20)}})
    records.finish("done")


if __name__ == "__main__":
    write_cells(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
