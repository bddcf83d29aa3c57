"""A cell's life: fingerprint, finished?, load, compress, evaluate, record."""

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from src.ahead import read_ahead
from src.compression.receipt import Receipt
from src.compression.registry import compress
from src.compression.stack import is_dense
from src.device import release_memory, start_accelerator
from src.errors import CellFailed, InputError, Unsupported
from src.evaluate import Evaluation, budget, evaluate
from src.made import Settled, settle
from src.models.kept import KEPT, load_kept
from src.models.load import load_subject, with_weight_files
from src.models.spread import Spread
from src.models.subject import Source, Subject
from src.prepare import Prepared, prepare
from src.processes import from_first, together
from src.schema import Config
from src.scoring.drift import Before, compare, draw, remember
from src.scoring.fit import misfit
from src.statistics.cell import cell_estimands, with_intervals
from src.statistics.refresh import made_with, refresh
from src.system.environment import environment
from src.system.meter import Meter
from src.tracking.agent import of_agent
from src.tracking.cell_run import log_again, open_run
from src.tracking.fingerprint import fingerprint
from src.tracking.read import INTERVALS, read_cell
from src.tracking.records import CellRecords
from src.tracking.tracker import NoTracker, Tracker, build_tracker

log = logging.getLogger(__name__)


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
    # In processes beside the first, `directory` is a scratch folder: what they write is not kept.
    records = CellRecords(directory)
    tracker: Tracker = NoTracker()
    state, failure = "failed", ""
    try:
        settled = settle(config)
        config = settled.config
        accelerator = start_accelerator(config.system)
        prepared = together(lambda: prepare(config))
        why = from_first(lambda: _why_run(config, prepared, records))
        if why is None:
            log.info("finished before with the same settings: %s", directory)
            from_first(lambda: _bring_up_to_date(config, prepared, records))
            state = "skipped"
            return state
        log.info("running %s (%s)", directory, why)
        if accelerator.is_main_process:
            tracker = build_tracker(config.tracker)
        from_first(lambda: _begin(config, resolved, prepared, records, tracker))
        _measure(settled, prepared, accelerator, records, tracker)
        state = "done"
    except Exception as error:
        _record_end(records, resolved, error)
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


def _why_run(config: Config, prepared: Prepared, records: CellRecords) -> str | None:
    """Say why the cell has to be run; None where it need not be."""
    why = records.unfinished_because(fingerprint(prepared.parts), prepared.parts)
    return why if config.resume else why or "resume=false"


def _bring_up_to_date(config: Config, prepared: Prepared, records: CellRecords) -> None:
    """Make the intervals of a finished cell anew where the settings ask for other ones.

    Its run in the tracker gets them too; and an agent of a W&B sweep gets the numbers in any case,
    as it waits for the run that it asked for.
    """
    benchmarks = {name: question.benchmark for name, question in prepared.questions.items()}
    refreshed = refresh(records, benchmarks, config.statistics)
    if refreshed:
        log.info("its intervals were made anew with the settings of `statistics`")
    if refreshed or of_agent():
        log_again(config.tracker, read_cell(records.directory), asdict(config.statistics))


def _begin(
    config: Config,
    resolved: dict[str, Any],
    prepared: Prepared,
    records: CellRecords,
    tracker: Tracker,
) -> None:
    """Start the cell's records and its run in the tracker."""
    records.start(fingerprint(prepared.parts), prepared.parts)
    records.write_config(resolved)
    open_run(tracker, resolved, records.directory)


def _record_end(records: CellRecords, resolved: dict[str, Any], error: Exception) -> None:
    """Write down how a cell ended; a disk too full for that must not hide why it ended."""
    try:
        if not records.started:
            records.could_not_begin(resolved, error)
        else:
            records.finish("unsupported" if isinstance(error, Unsupported) else "failed", error)
    except InputError as unwritten:
        log.error("its end could not be recorded: %s", str(unwritten))


def _measure(
    settled: Settled,
    prepared: Prepared,
    accelerator: Accelerator,
    records: CellRecords,
    tracker: Tracker,
) -> None:
    """Load, compress, evaluate and record."""
    config = settled.config
    with Meter(accelerator.device.type) as meter:
        with meter.phase("load"):
            subject = together(lambda: load(config, accelerator))
        if accelerator.is_local_main_process:
            read_ahead(config.model)
        doubts = from_first(lambda: _doubts(config, prepared, subject))
        with meter.phase("drift"):
            before = together(lambda: _before(config, prepared, subject, accelerator))
        with meter.phase("compress"):
            receipt = together(
                lambda: compress(subject, config.compression, prepared.calibrations, settled.held)
            )
        with meter.phase("drift"):
            drift = from_first(lambda: compare(subject, before, budget(subject, config.system)))
        with meter.phase("evaluate"):
            evaluation = evaluate(
                subject,
                prepared.questions,
                config.scorer.names,
                config.system,
                accelerator,
                config.scorer.skip_long,
            )
    system = meter.report() | evaluation.work | sizes(subject.source, receipt) | KEPT.told()
    told = asdict(receipt) | {"drift": drift}
    from_first(
        lambda: _record(
            settled, prepared, subject, doubts, told, evaluation, system, records, tracker
        )
    )


def _doubts(config: Config, prepared: Prepared, subject: Subject) -> list[str]:
    """Say what about the model as it was loaded may make its scores meaningless."""
    items = [question.items for question in prepared.questions.values()]
    doubt = misfit(subject, items, budget(subject, config.system))
    if doubt is None:
        return []
    log.warning("%s", doubt)
    return [doubt]


def _before(
    config: Config, prepared: Prepared, subject: Subject, accelerator: Accelerator
) -> Before | str:
    """Let the dense model predict what the compressed one will be compared with, or say why not."""
    if is_dense(config.compression):
        return "this is the dense model"
    if not config.drift.requests or not accelerator.is_main_process:
        return "drift.requests=0"
    items = [question.items for question in prepared.questions.values()]
    requests = draw(subject, items, config.scorer.names, config.drift, config.scorer.skip_long)
    return remember(subject, requests, config.drift, budget(subject, config.system))


def load(config: Config, accelerator: Accelerator) -> Subject:
    """Load the cell's subject onto this process's device, files of its source filled in."""
    system = config.system
    spread = Spread(system.device_map == "auto", system.gpu_memory, system.cpu_memory)
    if spread.on and accelerator.num_processes > 1:
        raise InputError(
            "system.device_map=auto spreads one model over all GPUs, and several processes would "
            "each load one: start one process, or leave it out."
        )
    read = partial(load_subject, spread=spread) if spread.on else load_subject
    subject = load_kept(config.model, accelerator.device, config.scorer.start_token, read)
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
    settled: Settled,
    prepared: Prepared,
    subject: Subject,
    doubts: list[str],
    receipt: dict[str, Any],
    evaluation: Evaluation,
    system: dict[str, Any],
    records: CellRecords,
    tracker: Tracker,
) -> None:
    """Write everything to disk, then to the tracker."""
    metrics = [
        {"benchmark": name, "scorer": scorer, **asdict(metric)}
        for (name, scorer), measured in evaluation.measured.items()
        for metric in measured.metrics
    ]
    items = pd.concat(
        [
            measured.table.assign(benchmark=name, scorer=scorer)
            for (name, scorer), measured in evaluation.measured.items()
        ],
        ignore_index=True,
    )
    benchmarks = {name: question.benchmark for name, question in prepared.questions.items()}
    statistics = settled.config.statistics
    metrics = with_intervals(metrics, cell_estimands(benchmarks, items), statistics)
    records.write_metrics(metrics)
    records.write_json(INTERVALS, made_with(statistics))
    records.write_items(items)
    records.write_json("receipt.json", receipt)
    records.write_json("system.json", system)
    records.write_json(
        "environment.json",
        environment()
        | {
            "model": asdict(subject.source),
            "made": settled.made,
            "objective": subject.objective,
            "traits": asdict(subject.text.traits),
            "data": prepared.data,
            "unsupported": evaluation.unsupported,
            "also_unsupported": evaluation.also_unsupported,
            "doubts": doubts,
        },
    )
    for name, reason in (evaluation.unsupported | evaluation.also_unsupported).items():
        log.warning("%s is unsupported: %s", name, reason)
    tracker.log_metrics(metrics)
    tracker.log_system(system)
    tracker.log_receipt(receipt)
    tracker.log_items(items)
    records.finish("done")
