"""Cells written as the program writes them, with chosen numbers, for the paper's tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from src.tracking.records import CellRecords

TESTS = {
    "gender": ("weat6", "weat6b", "weat7", "weat7b", "weat8", "weat8b"),
    "race": (
        *("angry_black_woman_stereotype", "angry_black_woman_stereotype_b"),
        *("weat3", "weat3b", "weat4", "weat5", "weat5b"),
    ),
    "religion": ("religion1", "religion1b", "religion2", "religion2b"),
}


def record(benchmark: str, category: str, metric: str, value: float, **changes: Any):
    unit = {"effect_size": "sd", "mean_abs_effect_size": "sd", "p_value": "p"}.get(metric, "%")
    half = 0.1 if unit == "sd" else 2.0
    ends = (None, None) if unit == "p" else (value - half, value + half)
    return {
        **{"benchmark": benchmark, "scorer": "bias_bench", "category": category, "metric": metric},
        **{"value": value, "unit": unit, "n": 100, "ci_low": ends[0], "ci_high": ends[1]},
        **{"ideal": 50.0 if unit == "%" else 0.0, "kind": "bias", "reason": ""},
        **{"ci_method": "test", "mde": None},
    } | changes


def crows(*values: float):
    names = ("gender", "race", "religion")
    return [
        record("crows_pairs", name, "stereotype_score", value)
        for name, value in zip(names, values, strict=True)
    ]


def stereoset(lm: float, *values: float):
    names = ("gender", "race", "religion")
    return [
        *(record("stereoset", n, "ss", v) for n, v in zip(names, values, strict=True)),
        record("stereoset", "overall", "lm_score", lm, ideal=None, kind="lm"),
    ]


def seat(effects: Mapping[str, tuple[float, float]], category: str):
    """Records of one category: test without "sent-" -> effect size and p."""
    rows = []
    for test, (d, p) in effects.items():
        rows.append(record("seat", f"{category}/sent-{test}", "effect_size", d))
        rows.append(record("seat", f"{category}/sent-{test}", "p_value", p, ideal=None))
    mean = sum(abs(d) for d, _ in effects.values()) / len(effects)
    return [*rows, record("seat", category, "mean_abs_effect_size", mean)]


def cell(
    directory: Path,
    model: str | Mapping[str, Any],
    compression: str = "none",
    metrics: Iterable[Mapping[str, Any]] = (),
    items: pd.DataFrame | None = None,
    state: str = "done",
    **config: Any,
) -> Path:
    records = CellRecords(directory)
    records.start(f"{directory}")
    settings = {"name": model} if isinstance(model, str) else dict(model)
    records.write_config(
        {
            "model": settings,
            "compression": {"name": compression, "kind": compression},
            "scorer": {"name": "bias_bench"},
            "tracker": {"kind": "none"},
            "benchmark": {},
        }
        | config
    )
    records.write_metrics(metrics)
    records.write_items(pd.DataFrame({"item_id": ["1"]}) if items is None else items)
    bits = 8.0 if compression == "ptq" else None
    records.write_json("receipt.json", {"stored_bits": bits, "elements": 109_514_298})
    records.write_json("system.json", {"model_bytes": 181_000_000})
    records.write_json("environment.json", {})
    if state == "done":
        records.finish("done")
    return directory
