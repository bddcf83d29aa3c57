"""Finished cells on disk, made of an item table by the benchmarks' own rules."""

from omegaconf import OmegaConf

from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.tracking.plain import plain
from src.tracking.records import CellRecords

FIELDS = ("category", "metric", "value", "unit", "n", "ideal", "kind", "reason")


def write_cell(directory, tables, benchmarks, data="a", **config):
    """Write a done cell.

    Args:
        directory: Of the cell.
        tables: Name of a benchmark -> its item table.
        benchmarks: Name -> benchmark with its settings.
        data: Checksum of its data.
        config: Its groups; benchmarks are filled in.
    """
    import pandas as pd

    items = pd.concat(
        [table.assign(benchmark=name, scorer="bias_bench") for name, table in tables.items()],
        ignore_index=True,
    )
    metrics = [
        {"benchmark": name, "scorer": "bias_bench", "ci_low": None, "ci_high": None}
        | {field: getattr(metric, field) for field in FIELDS}
        for name, table in tables.items()
        for metric in benchmarks[name].metrics(table)
    ]
    used = {name: benchmark for name, benchmark in benchmarks.items() if name in tables}
    records = CellRecords(directory)
    records.start("fingerprint", {})
    settings = {name: plain(benchmark.settings) for name, benchmark in used.items()}
    default = {"model": {"name": "m", "dtype": "float32"}, "compression": {"name": "none"}}
    records.write_config(default | {"benchmark": settings} | config)
    few = StatisticsConfig(resamples=100)
    records.write_metrics(with_intervals(metrics, cell_estimands(used, items), few))
    records.write_items(items)
    for name in ("receipt.json", "system.json"):
        records.write_json(name, {})
    records.write_json("environment.json", {"data": {"file.csv": {"sha256": data}}})
    records.finish("done")
    assert OmegaConf.load(directory / "config.yaml")
    return directory
