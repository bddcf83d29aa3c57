"""The Accelerate driver: a cell's requests over all processes, answers back in a stable order."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pandas as pd
from accelerate import Accelerator
from accelerate.utils import gather_object

from src.benchmarks.base import Benchmark, Metric, Skipped
from src.benchmarks.items import Item
from src.errors import Unsupported
from src.models.subject import Subject
from src.processes import together
from src.progress import Progress
from src.scoring.batching import Forward, merge, scatter
from src.scoring.engine import Engine
from src.scoring.requests import Answer, Request
from src.scoring.scorer import Plan, plan_items, score_items
from src.system.config import SystemConfig

BUDGETS = {"cpu": (4096, 2**25), "cuda": (65536, 2**29)}
"""Device type -> most tokens and most logits a batch, where the settings leave them open."""


@dataclass(frozen=True, slots=True)
class Question:
    """One benchmark of a cell with its items."""

    benchmark: Benchmark
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Measured:
    """One benchmark's results.

    Attributes:
        table: A row an item.
        metrics: What the benchmark computes from the table.
    """

    table: pd.DataFrame
    metrics: list[Metric]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results of a cell.

    Attributes:
        measured: Name of the benchmark -> its results.
        unsupported: Name of the benchmark -> why the scorer or model cannot do it.
        work: Counts and times, with units in the names.
    """

    measured: dict[str, Measured]
    unsupported: dict[str, str]
    work: dict[str, float]


def evaluate(
    subject: Subject,
    questions: Mapping[str, Question],
    scorer: str,
    system: SystemConfig,
    accelerator: Accelerator,
) -> Evaluation:
    """Ask a subject all questions of a cell.

    The questions are planned together, so that what several of them ask is computed once.

    Args:
        subject: The subject, on this process's device.
        questions: Name -> benchmark with items.
        scorer: Name of the scorer.
        system: Batch budgets and progress.
        accelerator: Says which share of the work is this process's.

    Raises:
        Unsupported: None of the questions can be asked of this subject by this scorer.
        InputError: The model's values are not finite, or a text is too long for it.
    """
    plans, decimals, unsupported = _plan(subject, questions, scorer)
    requests: list[Request] = [
        request
        for planned in plans.values()
        for plan in planned
        if isinstance(plan, Plan)
        for request in plan.requests
    ]
    forwards, places = merge(requests)
    found, work = _run(subject, forwards, system, accelerator)
    answers = scatter(found, places)
    measured, start = {}, 0
    for name, planned in plans.items():
        end = start + sum(len(plan.requests) for plan in planned if isinstance(plan, Plan))
        scores = score_items(planned, answers[start:end])
        question, start = questions[name], end
        table = question.benchmark.tabulate(question.items, scores, decimals[name])
        measured[name] = Measured(table, question.benchmark.metrics(table))
    tokens = sum(len(forward.ids) for forward in forwards)
    work |= {
        "requests": len(requests),
        "distinct_forwards": len(forwards),
        "tokens": tokens,
        "tokens_per_second": tokens / work["model_seconds"],
        "requests_per_second": len(requests) / work["model_seconds"],
    }
    return Evaluation(measured, unsupported, work)


def budget(subject: Subject, system: SystemConfig) -> tuple[int, int]:
    """Give the most tokens and the most logits of a batch."""
    tokens, logits = BUDGETS.get(subject.device.type, BUDGETS["cpu"])
    return system.batch_tokens or tokens, system.batch_logits or logits


def _plan(
    subject: Subject, questions: Mapping[str, Question], scorer: str
) -> tuple[dict[str, list[Plan | Skipped]], dict[str, int | None], dict[str, str]]:
    plans: dict[str, list[Plan | Skipped]] = {}
    decimals: dict[str, int | None] = {}
    unsupported: dict[str, str] = {}
    for name, question in questions.items():
        try:
            plans[name], decimals[name] = plan_items(
                question.items, subject.text, scorer, subject.objective
            )
        except Unsupported as error:
            unsupported[name] = str(error)
    if not plans:
        raise Unsupported("; ".join(f"{name}: {why}" for name, why in unsupported.items()))
    return plans, decimals, unsupported


def _run(
    subject: Subject, forwards: Sequence[Forward], system: SystemConfig, accelerator: Accelerator
) -> tuple[list[Answer], dict[str, float]]:
    """Run this process's share of the forwards and exchange the answers.

    Returns:
        All answers, and counts over all processes with this one's times.
    """
    engine = Engine(subject, *budget(subject, system))
    # Dealt out by length, so that every process has the same amount of work and equal lengths.
    order = sorted(range(len(forwards)), key=lambda index: (-len(forwards[index].ids), index))
    mine = order[accelerator.process_index :: accelerator.num_processes]
    share = [forwards[index] for index in mine]
    started = time.perf_counter()
    together(lambda: engine.warm_up(share))
    warm = time.perf_counter()
    show = system.progress and accelerator.is_main_process
    with closing(Progress("forwards", len(mine), show)) as progress:
        engine.on_batch = progress.advance
        answers = together(lambda: engine.run(share))
    seconds = time.perf_counter() - warm
    shares = gather_object([(list(zip(mine, answers, strict=True)), engine.work)])
    everyone = dict(pair for pairs, _ in shares for pair in pairs)
    work: dict[str, float] = {
        "warm_up_seconds": warm - started,
        "model_seconds": seconds,
        "batches": sum(done.batches for _, done in shares),
        "out_of_memory_retries": sum(done.retries for _, done in shares),
        "batch_tokens": engine.batch_tokens,
        "processes": accelerator.num_processes,
    }
    return [everyone[index] for index in range(len(forwards))], work
