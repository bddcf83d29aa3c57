"""A sweep on disk whose names and texts try to break out of an HTML file."""

import csv
import hashlib
from dataclasses import asdict

from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.config import StatisticsConfig
from src.statistics.refresh import made_with
from src.tracking.records import METRIC_FIELDS, CellRecords
from tests.statistics.tables import BENCHMARKS, ITEMS, cell_table, generator

SETTINGS = StatisticsConfig(resamples=200)
EVIL = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"
MODEL = "be\"rt'<b>&amp;"
PAIRS = "crows_pairs/crows_pairs_anonymized.csv"


def write_pairs(root):
    """Write the CrowS-Pairs file of the items in `ITEMS`; give its record in environment.json."""
    path = root / PAIRS
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"])
        for pair in ITEMS["crows_pairs"]:
            more, less = f"{EVIL} more {pair.id}", f"slur{pair.id} less"
            writer.writerow([pair.id, more, less, pair.direction, pair.category])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {PAIRS: {"path": str(path), "origin": "root", "sha256": sha256}}


def write_cell(directory, compression, seed, lean, data, **settings):
    """Write a finished cell as the program does; `settings` are of its compression."""
    items = cell_table(generator(seed), lean=lean)
    records = CellRecords(directory)
    records.start(f"fingerprint of {compression}")
    benchmarks = {name: asdict(built.settings) for name, built in BENCHMARKS.items()}
    records.write_config(
        {
            "model": {"name": MODEL, "dtype": "float32"},
            "compression": {"name": compression, "kind": "uniform"} | settings,
            "benchmark": benchmarks,
            "scorer": {"name": "s"},
            "tracker": {"kind": "none"},
        }
    )
    metrics = [
        {"benchmark": name, "scorer": "s", **asdict(metric)}
        for name, built in BENCHMARKS.items()
        for metric in built.metrics(items[items.benchmark == name])
    ]
    filled = with_intervals(metrics, cell_estimands(BENCHMARKS, items), SETTINGS)
    records.write_metrics({name: row[name] for name in METRIC_FIELDS} for row in filled)
    records.write_items(items)
    records.write_json("statistics.json", made_with(SETTINGS))
    method = "none" if compression == "none" else "uniform"
    change = {"module": "layer.<i>0</i>", "kind": "Linear", "bits": 8.0, "relative_error": 0.01}
    receipt = {"method": method, "stored_bits": 8.0, "disk_bytes": 10**6, "changes": [change]}
    records.write_json("receipt.json", receipt)
    size = 4 * 10**6 if method == "none" else 10**6
    records.write_json("system.json", {"model_bytes": size, "evaluate_seconds": 1.5})
    records.write_json("environment.json", {"data": data, "unsupported": {"more": EVIL}})
    records.finish("done")


def write_sweep(folder):
    """Write a sweep of an uncompressed cell, four compressed ones and a failed one."""
    data = write_pairs(folder / "data")
    sweep = folder / "the 'sweep' <x>"
    write_cell(sweep / "none", "none", 1, 0.3, data)
    for bits in (2, 3, 4):
        seed, name = 1 + (bits < 4), f"uniform_{bits}"
        write_cell(sweep / f"b{bits}", name, seed, 1.2, data, weight_bits=bits)
    write_cell(sweep / "x", '"><svg/onload=alert(1)>', 3, 0.3, data)
    failed = CellRecords(sweep / "failed")
    failed.start("f")
    failed.write_config({"model": {"name": MODEL}, "compression": {"name": "broken"}})
    failed.finish("failed", RuntimeError(f"no memory {EVIL}"))
    return sweep
