"""The names under which numbers appear in an experiment tracker; stable, so dashboards last.

- `<kind>/<benchmark>/<category>`: the headline metric, as `bias/crows_pairs/gender` or
  `lm/stereoset/overall` or `task/sst2/overall`;
- `<kind>/<benchmark>/<category>/<metric>`: any other metric;
- a number of another scorer than the cell's own has the scorer's name behind the benchmark's, as
  `bias/crows_pairs/pll/gender`;
- any of them with `/ci_low` or `/ci_high` behind it: its interval, where there is one;
- `change/<cell>/<the metric's name>`: how much a cell differs from its uncompressed twin, with
  `/ci_low`, `/ci_high`, `/p_holm`, `/verdict`, `/flips_to_stereo` and `/flips_to_anti` behind it
  (in the sweep's own run);
- `curve/<axis>` and `curve/<axis>/<series>/<the metric's name>`: the history of the sweep's own
  run, a place on an axis (`model_step`) and the headline numbers of each series there;
- `train/<name>`: a point of a training run's loss curve, at its optimiser step;
- `cell/<name>`: what the cell is, in words;
- `system/<name>` and `receipt/<name>`, nested names joined by `/`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from src.tracking.fingerprint import flatten
from src.tracking.plain import plain

HEADLINES = {
    "stereotype_score": "SS",
    "ss": "SS",
    "lm_score": "LM",
    "mean_abs_effect_size": "mean |d|",
    "accuracy": "accuracy",
    "matthews": "Matthews r",
    "pearson": "Pearson r",
}
"""Metrics that stand for their benchmark and kind -> short name for a table's head."""


def metric_key(record: Mapping[str, Any], scorer: str | None = None) -> str:
    """Name one record of metrics.json, `scorer` being the cell's own (None: the record's)."""
    other = [record["scorer"]] if scorer not in (None, record.get("scorer")) else []
    parts = [record["kind"], record["benchmark"], *other, record["category"]]
    return "/".join(parts if record["metric"] in HEADLINES else [*parts, record["metric"]])


def metric_values(
    records: Iterable[Mapping[str, Any]], scorer: str | None = None
) -> dict[str, float]:
    """Name all defined values; an undefined one is left out, as a tracker would draw it as 0.

    Args:
        records: Of metrics.json.
        scorer: The cell's own, which is not named.

    Raises:
        ValueError: Two records have the same name, so one would hide the other.
    """
    values: dict[str, float] = {}
    for record in records:
        key = metric_key(record, scorer)
        if key in values:
            raise ValueError(f"two metrics are both called {key}")
        named = {key: record["value"]}
        named |= {f"{key}/{end}": record.get(end) for end in ("ci_low", "ci_high")}
        values |= {
            name: number for name, value in named.items() if (number := plain(value)) is not None
        }
    return values


def comparison_values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Name the headline comparisons of a sweep; what is undefined is left out."""
    values: dict[str, Any] = {}
    for row in rows:
        if row["metric"] in HEADLINES:
            key = f"change/{row['cell_b']}/{metric_key(row)}"
            named = {key: row["difference"]}
            parts = ("ci_low", "ci_high", "p_holm", "verdict", "flips_to_stereo", "flips_to_anti")
            named |= {f"{key}/{part}": row.get(part) for part in parts}
            values |= {name: value for name, value in named.items() if value is not None}
    return values


def cell_values(config: Mapping[str, Any], directory_name: str) -> dict[str, Any]:
    """Say in words what a cell is: its model, compression and scorer, and the name of its folder.

    A run's settings have this too; but an agent of a W&B sweep puts the sweep's own values
    (`model`, `compression`) in their place.

    Args:
        config: The cell's resolved settings.
        directory_name: Of its folder, by which `change/<cell>` names it.
    """
    named = {part: _name(config.get(part)) for part in ("model", "compression", "scorer")}
    named["name"] = directory_name
    return {f"cell/{what}": name for what, name in named.items() if name}


def _name(settings: Any) -> str:
    """Name a model, compression or scorer; a stack by its steps, "prune+uniform"."""
    if not isinstance(settings, Mapping):
        return ""
    if "name" in settings:
        return str(settings["name"])
    return "+".join(filter(None, map(_name, settings.values())))


def axis_key(axis: str) -> str:
    """Name the places of a sweep's axis: of "model.step", `curve/model_step`."""
    return f"curve/{axis.replace('.', '_')}"


def curve_key(axis: str, series: str, metric: str) -> str:
    """Name a number of a series along an axis.

    Args:
        axis: Dotted setting.
        series: Its label, in words.
        metric: The number's own name.
    """
    return f"{axis_key(axis)}/{re.sub('[^A-Za-z0-9_.+-]+', '-', series)}/{metric}"


def scalars(group: str, content: Any) -> dict[str, Any]:
    """Name the single values of a nested object; a list (of changed modules) gives its length."""
    flat = flatten(plain(content))
    return {
        f"{group}/{key.replace('.', '/')}": len(value) if isinstance(value, list | dict) else value
        for key, value in flat.items()
        if value is not None
    }
