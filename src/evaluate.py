"""The Accelerate driver: a cell's requests over all processes, answers back in a stable order."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd
from accelerate import Accelerator
from accelerate.utils import gather_object

from src.benchmarks.base import Metric, Skipped
from src.errors import Unsupported
from src.models.subject import Subject
from src.processes import together
from src.progress import Progress
from src.questions import Question
from src.scoring.batching import Forward, deal, merge, scatter
from src.scoring.engine import Engine
from src.scoring.fit import refuse_constant
from src.scoring.probe import refusal
from src.scoring.requests import Answer, Request
from src.scoring.scorer import Plan, plan_items, score_items
from src.system.accounting import account
from src.system.allocator import freed_memory_kept
from src.system.config import SystemConfig

Asked = tuple[str, str]
"""Name of a benchmark and of the scorer that asks its items."""
BUDGETS = {"cpu": (2048, 2**25), "cuda": (65536, 2**29)}
"""Device type -> most tokens and most logits a batch, where the settings leave them open."""


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
        measured: (benchmark, scorer) -> its results; those of the cell's own scorer first.
        unsupported: Name of the benchmark -> why the cell's own scorer or the model cannot do it.
        also_unsupported: "benchmark, scorer" -> the same for further scorers.
        work: Counts and times, with units in the names.
    """

    measured: dict[Asked, Measured]
    unsupported: dict[str, str]
    also_unsupported: dict[str, str]
    work: dict[str, Any]


def evaluate(
    subject: Subject,
    questions: Mapping[str, Question],
    scorers: Sequence[str],
    system: SystemConfig,
    accelerator: Accelerator,
    skip_long: bool = False,
) -> Evaluation:
    """Ask a subject all questions of a cell.

    The questions are planned together, so that what several of them ask, or several scorers, is
    computed once.

    Args:
        subject: The subject, on this process's device.
        questions: Name -> benchmark with items.
        scorers: Names of the scorers, the cell's own first.
        system: Batch budgets and progress.
        accelerator: Says which share of the work is this process's.
        skip_long: Whether items with a text that is longer than the model takes are left out.

    Raises:
        Unsupported: None of the questions can be asked of this subject by any of the scorers.
        InputError: The model's values are not finite or do not depend on the text, or a text is
            too long for it.
    """
    plans, decimals, unsupported = plan_questions(subject, questions, scorers, skip_long)
    requests = requests_of(plans)
    forwards, places = merge(requests)
    found, work = _run(subject, forwards, system, accelerator)
    refuse_constant(subject, forwards, found)
    answers = scatter(found, places)
    measured, start = {}, 0
    for asked, planned in plans.items():
        end = start + sum(len(plan.requests) for plan in planned if isinstance(plan, Plan))
        scores = score_items(planned, answers[start:end])
        question, start = questions[asked[0]], end
        table = question.benchmark.tabulate(question.items, scores, decimals[asked])
        measured[asked] = Measured(table, question.benchmark.metrics(table))
    work |= account(subject, requests, forwards, work)
    own = {name: why for (name, scorer), why in unsupported.items() if scorer == scorers[0]}
    others = {", ".join(key): why for key, why in unsupported.items() if key[1] != scorers[0]}
    return Evaluation(measured, own, others, work)


def budget(subject: Subject, system: SystemConfig) -> tuple[int, int]:
    """Give the most tokens and the most logits of a batch."""
    tokens, logits = BUDGETS.get(subject.device.type, BUDGETS["cpu"])
    return system.batch_tokens or tokens, system.batch_logits or logits


def requests_of(plans: Mapping[Asked, Sequence[Plan | Skipped]]) -> list[Request]:
    """Join all that some plans ask, in their order."""
    return [
        request
        for planned in plans.values()
        for plan in planned
        if isinstance(plan, Plan)
        for request in plan.requests
    ]


def plan_questions(
    subject: Subject,
    questions: Mapping[str, Question],
    scorers: Sequence[str],
    skip_long: bool = False,
) -> tuple[dict[Asked, list[Plan | Skipped]], dict[Asked, int | None], dict[Asked, str]]:
    """Plan all items by all scorers, without running the model.

    Returns:
        Plans, the decimals that a scorer rounds to, and what is unsupported and why.

    Raises:
        Unsupported: Nothing can be asked.
    """
    plans: dict[Asked, list[Plan | Skipped]] = {}
    decimals: dict[Asked, int | None] = {}
    unsupported: dict[Asked, str] = {}
    for scorer, name in product(scorers, questions):
        items = questions[name].items
        try:
            plans[name, scorer], decimals[name, scorer] = plan_items(
                items, subject.text, scorer, subject.objective, skip_long
            )
        except Unsupported as error:
            unsupported[name, scorer] = str(error)
    if not plans:
        raise Unsupported("; ".join(f"{name}: {why}" for (name, _), why in unsupported.items()))
    planned = [plan for some in plans.values() for plan in some]
    reasons = [plan.reason for plan in planned if isinstance(plan, Skipped)]
    if len(reasons) == len(planned):
        raise Unsupported(f"none of the {len(reasons)} items can be scored: {reasons[0]}")
    return plans, decimals, unsupported


def _run(
    subject: Subject, forwards: Sequence[Forward], system: SystemConfig, accelerator: Accelerator
) -> tuple[list[Answer], dict[str, Any]]:
    """Run this process's share of the forwards and exchange the answers.

    Returns:
        All answers, and counts over all processes with this one's times.
    """
    engine = Engine(subject, *budget(subject, system))
    packed = not refusal(subject)
    mine = deal(forwards, accelerator.process_index, accelerator.num_processes, packed)
    share = [forwards[index] for index in mine]
    started = time.perf_counter()
    together(lambda: engine.warm_up(share))
    warm = time.perf_counter()
    show = system.progress and accelerator.is_main_process
    with closing(Progress("inputs", len(mine), show)) as progress, freed_memory_kept():
        engine.on_batch = progress.advance
        answers = together(lambda: engine.run(share))
    seconds = time.perf_counter() - warm
    shares = gather_object([(list(zip(mine, answers, strict=True)), engine.work)])
    everyone = dict(pair for pairs, _ in shares for pair in pairs)
    work: dict[str, Any] = {
        "warm_up_seconds": warm - started,
        "model_seconds": seconds,
        "batches": sum(done.batches for _, done in shares),
        "out_of_memory_retries": sum(done.retries for _, done in shares),
        "tokens_run": sum(done.tokens for _, done in shares),
        "tokens_padding": sum(done.padding for _, done in shares),
        "unpacked_because": next((done.unpacked for _, done in shares if done.unpacked), ""),
        "batch_tokens": engine.batch_tokens,
        "processes": accelerator.num_processes,
    }
    return [everyone[index] for index in range(len(forwards))], work
