"""A cell's life: fingerprint, finished?, load, compress, evaluate, record."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from src.benchmarks.items import Item
from src.benchmarks.registry import BENCHMARKS
from src.choices import one_of
from src.compression.receipt import Receipt
from src.compression.registry import compress
from src.data.locate import DataFiles, FileRecord
from src.device import release_memory, resolve_device, start_accelerator
from src.errors import CellFailed, InputError, Unsupported
from src.evaluate import Evaluation, Question, evaluate
from src.models.load import load_subject, with_weight_files
from src.models.source import find_source
from src.models.subject import Source, Subject
from src.processes import from_first, together
from src.schema import Config
from src.scoring.scorer import SCORERS, load_scorers
from src.system.environment import environment
from src.system.meter import Meter
from src.tracking.config import NoTrackerConfig
from src.tracking.fingerprint import code_digest, fingerprint
from src.tracking.records import CellRecords
from src.tracking.tracker import Tracker, build_tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a cell before its model is loaded.

    Attributes:
        questions: Name -> benchmark with its items.
        data: Each benchmark file -> where it came from and its checksums.
        source: The exact checkpoint.
        parts: Everything that can change the cell's numbers; hashed to the fingerprint.
    """

    questions: dict[str, Question]
    data: dict[str, FileRecord]
    source: Source
    parts: dict[str, Any]


def run_cell(config: Config, resolved: dict[str, Any], directory: Path) -> str:
    """Run one cell, unless it is finished already.

    Args:
        config: The checked settings.
        resolved: The same as plain data, for the records.
        directory: Where the cell's records go.

    Returns:
        "done", "unsupported", or "skipped" for a cell that was finished before.

    Raises:
        CellFailed: The cell failed; the reason is in its records.
    """
    accelerator = start_accelerator(config.system)
    directory = from_first(lambda: directory)
    records = CellRecords(directory)
    first = accelerator.is_main_process
    tracker = build_tracker(config.tracker if first else NoTrackerConfig())
    state, failure = "failed", ""
    try:
        prepared, why = _prepare_or_record(config, resolved, records, first)
        if why is None:
            log.info("finished before with the same settings: %s", directory)
            state = "skipped"
            return state
        log.info("running %s (%s)", directory, why)
        if first:
            tags = [config.model.name, config.compression.name, config.scorer.name]
            name = f"{config.model.name}-{config.compression.name}"
            tracker.start(resolved, name, config.sweep, tags, directory)
        state = _measure(config, prepared, accelerator, records if first else None, tracker)
    except Exception as error:
        if first:
            _record_end(records, error)
        if isinstance(error, Unsupported):
            state = "unsupported"
            log.warning("unsupported: %s", str(error))
        else:
            failure = str(error) or type(error).__name__
            log.error("failed: %s: %s", type(error).__name__, failure)
    finally:
        tracker.finish(state)
        release_memory()
    if failure:
        # Raised out here, because Hydra keeps it, and a chained one would keep the model alive.
        raise CellFailed(failure)
    return state


def _record_end(records: CellRecords, error: Exception) -> None:
    """Write down how a cell ended; a disk too full for that must not hide why it ended."""
    try:
        records.finish("unsupported" if isinstance(error, Unsupported) else "failed", error)
    except InputError as unwritten:
        log.error("its end could not be recorded: %s", str(unwritten))


def prepare(config: Config) -> Prepared:
    """Find the data and the checkpoint of a cell, and read the items.

    Raises:
        InputError: A file is missing or malformed, or the checkpoint cannot be found.
    """
    load_scorers()
    one_of("scorer", config.scorer.name, sorted({name for name, _, _ in SCORERS}))
    files = DataFiles(config.data)
    questions = {}
    for name, settings in config.benchmark.items():
        benchmark = BENCHMARKS[settings.kind][1](settings)
        items = limited(benchmark.load(files.locate), config.debug.limit)
        questions[name] = Question(benchmark, items)
    source, _ = find_source(config.model)
    parts = {
        "model": asdict(config.model) | asdict(source) | {"id": Path(config.model.id).name},
        "compression": asdict(config.compression),
        "benchmark": {name: asdict(settings) for name, settings in config.benchmark.items()},
        "scorer": asdict(config.scorer),
        "limit": config.debug.limit,
        "data": files.checksums(),
        "device": resolve_device(config.system.device),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "code": code_digest(),
    }
    return Prepared(questions, dict(files.used), source, parts)


def limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Keep the first `limit` items of each category; all of them for None.

    Raises:
        InputError: There are no items at all.
    """
    if not items:
        raise InputError("the chosen categories of a benchmark hold no items")
    seen: Counter[str] = Counter()
    kept = []
    for item in items:
        seen[item.category] += 1
        if limit is None or seen[item.category] <= limit:
            kept.append(item)
    return kept


def _prepare_or_record(
    config: Config, resolved: dict[str, Any], records: CellRecords, first: bool
) -> tuple[Prepared, str | None]:
    """Prepare, and start the records of a cell that has to be run.

    Returns:
        The preparation, and why the cell has to be run: None where it need not be.
    """
    try:
        prepared = together(lambda: prepare(config))
    except Exception:
        # Even a cell that cannot begin leaves a status that says why.
        if first:
            records.start("")
            records.write_config(resolved)
        raise
    mark = fingerprint(prepared.parts)
    why = from_first(lambda: records.unfinished_because(mark, prepared.parts))
    if not config.resume:
        why = why or "resume=false"
    if why is not None and first:
        records.start(mark, prepared.parts)
        records.write_config(resolved)
    return prepared, why


def _measure(
    config: Config,
    prepared: Prepared,
    accelerator: Accelerator,
    records: CellRecords | None,
    tracker: Tracker,
) -> str:
    """Load, compress, evaluate and record."""
    meter = Meter(accelerator.device.type)
    with meter:
        with meter.phase("load"):
            subject = together(lambda: load(config, accelerator))
        with meter.phase("compress"):
            receipt = together(lambda: compress(subject, config.compression))
        with meter.phase("evaluate"):
            evaluation = evaluate(
                subject, prepared.questions, config.scorer.name, config.system, accelerator
            )
    if records is not None:
        system = meter.report() | evaluation.work | sizes(subject.source, receipt)
        _record(config, prepared, subject, receipt, evaluation, system, records, tracker)
    return "done"


def load(config: Config, accelerator: Accelerator) -> Subject:
    """Load the cell's subject onto this process's device, files of its source filled in."""
    subject = load_subject(config.model, accelerator.device, config.scorer.start_token)
    subject.source = with_weight_files(subject.source)
    return subject


def sizes(source: Source, receipt: Receipt) -> dict[str, int]:
    """Bytes of the model on disk, and in memory before and after compression."""
    return {
        "model_disk_bytes": source.weight_bytes,
        "model_bytes": receipt.memory_bytes_after,
        "model_bytes_uncompressed": receipt.memory_bytes_before,
    }


def _record(
    config: Config,
    prepared: Prepared,
    subject: Subject,
    receipt: Receipt,
    evaluation: Evaluation,
    system: dict[str, Any],
    records: CellRecords,
    tracker: Tracker,
) -> None:
    """Write everything to disk, then to the tracker."""
    scorer = config.scorer.name
    metrics = [
        {"benchmark": name, "scorer": scorer, **asdict(metric)}
        for name, measured in evaluation.measured.items()
        for metric in measured.metrics
    ]
    items = pd.concat(
        [
            measured.table.assign(benchmark=name, scorer=scorer)
            for name, measured in evaluation.measured.items()
        ],
        ignore_index=True,
    )
    records.write_metrics(metrics)
    records.write_items(items)
    records.write_json("receipt.json", receipt)
    records.write_json("system.json", system)
    records.write_json(
        "environment.json",
        environment()
        | {
            "model": asdict(subject.source),
            "objective": subject.objective,
            "traits": asdict(subject.text.traits),
            "data": prepared.data,
            "unsupported": evaluation.unsupported,
        },
    )
    records.finish("done")
    for name, reason in evaluation.unsupported.items():
        log.warning("%s is unsupported: %s", name, reason)
    tracker.log_metrics(metrics)
    tracker.log_system(system)
    tracker.log_receipt(receipt)
    tracker.log_items(items)
