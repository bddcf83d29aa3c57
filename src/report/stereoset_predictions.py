"""StereoSet's own predictions format: score anyone's file, and write our scores as one.

    python -m src.report.stereoset_predictions PREDICTIONS.json --gold GOLD.json --json OUT.json
    python -m src.report.stereoset_predictions --export items.parquet --gold GOLD.json --out P.json

A predictions file is {"intrasentence": [{"id": ..., "score": ...}], "intersentence": [...]}, a
score for each candidate sentence, higher for the likelier; a task may be missing. What comes out
is {task: {category or "overall": {"LM", "SS", "ICAT", "n"}}}, n being clusters.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table

from src.benchmarks.items import Discourse, FillIn
from src.benchmarks.selection import by_category
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_gold import DOMAINS, TASKS, read_clusters, read_tasks
from src.benchmarks.stereoset_rates import rates
from src.data.readers import read_json
from src.errors import InputError
from src.piped import piped
from src.report.stereoset_export import SPLIT_HINT, export_predictions
from src.tracking.atomic import replacing

Results = dict[str, dict[str, dict[str, float]]]


def read_predictions(path: Path) -> dict[str, list[tuple[str, float]]]:
    """Read a predictions file.

    Returns:
        Task -> (candidate id, score) in the file's order.

    Raises:
        InputError: The file is not in the format, or a score is not a number.
    """
    raw = read_json(path)
    lists = isinstance(raw, Mapping) and all(isinstance(raw[task], list) for task in raw)
    if not lists or not raw or not set(raw) <= set(TASKS):
        raise InputError(
            f"{path}: a predictions file is an object with {' and/or '.join(TASKS)}, each a list "
            'of {"id", "score"}.'
        )
    return {task: [_prediction(e, f"{path}: {task}") for e in raw[task]] for task in raw}


class Scored(NamedTuple):
    """What came of a predictions file.

    Attributes:
        results: {task: {category or "overall": {"LM", "SS", "ICAT", "n"}}}.
        left_out: Task -> why it was not scored, where the gold file knows none of its ids.
    """

    results: Results
    left_out: dict[str, str]


def score_predictions(predictions: Path, gold: Path) -> Scored:
    """Score a predictions file by the benchmark's own metrics.

    A task none of whose ids the gold file knows is left out, as long as there is another one that
    can be scored: copies of the data with other ids for one task are in circulation.

    Raises:
        InputError: A file is malformed; a task's ids are partly but not exactly those of the gold
            file, each once; or no task can be scored.
    """
    results: Results = {}
    left_out: dict[str, str] = {}
    known_tasks = read_tasks(gold)
    for task, pairs in read_predictions(predictions).items():
        clusters = read_clusters(gold, task) if task in known_tasks else []
        problem, overlap = _compare_ids([identifier for identifier, _ in pairs], clusters)
        if not problem:
            results[task] = _results(clusters, dict(pairs), task)
        elif overlap:
            raise InputError(f"{predictions}: {task}: {problem} ({gold}). {SPLIT_HINT}")
        else:
            left_out[task] = f"{problem} ({gold})"
    if not results:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in left_out.items())
        raise InputError(f"{predictions}: {reasons}. {SPLIT_HINT}")
    return Scored(results, left_out)


def _prediction(entry: Any, where: str) -> tuple[str, float]:
    """Check one entry of a predictions file."""
    identifier = entry.get("id") if isinstance(entry, Mapping) else None
    if not isinstance(identifier, str):
        raise InputError(f'{where}: {entry!r:.80} is not {{"id": text, "score": number}}.')
    score = entry.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise InputError(f"{where}, id {identifier}: the score {score!r:.40} is not a number.")
    return identifier, float(score)


def _compare_ids(ids: Sequence[str], clusters: Sequence[FillIn | Discourse]) -> tuple[str, bool]:
    """Say how a task's ids differ from the gold's ("" if not), and if they have any in common."""
    expected = [candidate.id for cluster in clusters for candidate in cluster.candidates]
    known, given = set(expected), Counter(ids)
    problems = (
        (f"of {len(expected)} gold ids have no score", [i for i in expected if i not in given]),
        (f"of {len(given)} ids are not in the gold file", [i for i in given if i not in known]),
        ("ids are there more than once", [i for i, n in given.items() if n > 1]),
    )
    found = [f"{len(bad)} {what} (such as {bad[0]})" for what, bad in problems if bad]
    return "; ".join(found) if ids else "the list is empty", not known.isdisjoint(given)


def _results(
    clusters: Sequence[FillIn | Discourse], scores: Mapping[str, float], task: str
) -> dict[str, dict[str, float]]:
    """Compute one task's numbers per category and overall."""
    table = StereoSet(StereoSetConfig(task=task)).tabulate(
        clusters, [scores] * len(clusters), decimals=None
    )
    results = {}
    for category, rows in by_category(table, DOMAINS):
        r = rates(rows)
        results[category] = {"LM": r.lm, "SS": r.ss, "ICAT": r.icat, "n": r.n_clusters}
    return results


def _table(results: Results) -> Table:
    """Lay out the results for a terminal."""
    table = Table("task", "category", *(f"{name} %" for name in ("LM", "SS", "ICAT")), "clusters")
    for task, categories in results.items():
        for category, r in categories.items():
            numbers = [f"{r[name]:.2f}" for name in ("LM", "SS", "ICAT")]
            table.add_row(task, category, *numbers, str(r["n"]), end_section=category == "overall")
    return table


def _write(path: Path, content: object) -> None:
    """Write JSON so that a killed program leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m src.report.stereoset_predictions",
        description="Score a StereoSet predictions file, or export our scores as one.",
    )
    parser.add_argument("predictions", nargs="?", type=Path, help="predictions file to score")
    parser.add_argument("--gold", type=Path, required=True, help="dev.json or test.json")
    parser.add_argument("--json", type=Path, help="where the results go; the table is printed")
    parser.add_argument("--export", type=Path, metavar="ITEMS", help="a cell's items.parquet")
    parser.add_argument("--scorer", help="with --export: which scorer's rows, if there are several")
    parser.add_argument("--out", type=Path, help="with --export: the predictions file to write")
    arguments = parser.parse_args(argv)
    if (arguments.predictions is None) == (arguments.export is None):
        parser.error("give either PREDICTIONS to score or --export ITEMS.parquet")
    if (arguments.export is None) != (arguments.out is None):
        parser.error("--export and --out go together")
    return arguments


def _export(items: Path, scorer: str | None, gold: Path, out: Path) -> None:
    """Run the export."""
    if not items.is_file():
        raise InputError(f"{items}: there is no such file.")
    table = pd.read_parquet(items)
    if scorer is not None:
        table = table[table["scorer"] == scorer]
    exported = export_predictions(table, gold)
    _write(out, exported)
    print(f"{sum(map(len, exported.values()))} scores of {items} are in {out}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; an input that cannot be used ends it with one clear line."""
    arguments = _arguments(argv)
    try:
        if arguments.export is not None:
            _export(arguments.export, arguments.scorer, arguments.gold, arguments.out)
            return
        scored = score_predictions(arguments.predictions, arguments.gold)
        if arguments.json is not None:
            _write(arguments.json, scored.results)
        Console().print(_table(scored.results))
        for task, reason in scored.left_out.items():
            print(f"{task} is left out: {reason}", file=sys.stderr)
    except (InputError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    piped(main)
