"""One race: the loop and the engine over the same items, in turn, timed and compared."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from src.bench.official import EFFECT_SIZE, OneAtATime, permutation_p_value
from src.bench.samples import Workload
from src.benchmarks import permutation
from src.benchmarks.association import associations, effect_size
from src.benchmarks.base import ItemScore, Scores, Skipped
from src.benchmarks.items import AssociationTest, Item
from src.evaluate import BUDGETS
from src.models.subject import Subject
from src.models.traits import TextSide
from src.scoring.batching import Budget, Forward, merge, scatter
from src.scoring.engine import Engine
from src.scoring.packing import packs
from src.scoring.probe import spanning_layers
from src.scoring.scorer import Plan, plan_items, score_items
from src.system.flops import model_cost, need_of_batches
from src.system.peak import matrix_peak, product_dtype

SCORER = "bias_bench"
PEAK_SECONDS = 0.5
"""How long the machine's peak is measured before and after each run of the engine."""


@dataclass(slots=True)
class Stopwatch:
    """Adds up the time of one side.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of all threads together; other work on the machine hardly changes it.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what the block takes."""
        _wait()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        _wait()
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu


@dataclass(slots=True)
class Result:
    """What a race measured, all rounds together.

    Attributes:
        loop: The loop's time.
        engine: The engine's time.
        difference: Largest relative difference of a score between both; NaN where one has no
            number, infinite where only one of them skips an item.
        forwards: Forwards of the loop and of the engine, a round.
        flops: Operations of the engine's plan, a round; 0 where no model takes part.
        peak: Matrix products that this machine does a second, measured around the engine's runs.
    """

    loop: Stopwatch = field(default_factory=Stopwatch)
    engine: Stopwatch = field(default_factory=Stopwatch)
    difference: float = 0.0
    forwards: tuple[int, int] = (0, 0)
    flops: float = 0.0
    peak: float = 0.0


def _wait() -> None:
    """Wait for what a GPU still has to do, so that each side is charged with its own work."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def build_engine(subject: Subject) -> Engine:
    """Make the engine of a cell."""
    return Engine(subject, *BUDGETS[subject.device.type])


def race(workload: Workload, engine: Engine, loop_model: Any, rounds: int) -> Result:
    """Time both sides from items to scores, tokenisation included.

    The engine runs between the halves of the loop, so that what else the machine does meanwhile
    weighs on both.

    Args:
        workload: The items.
        engine: Scores them; as in a cell, one engine does all benchmarks.
        loop_model: The model the loop runs, the subject's own or torch's int8 one.
        rounds: How often.
    """
    subject, items = engine.subject, list(workload.items)
    half = len(items) // 2
    OneAtATime(loop_model, subject).score(items[0])
    engine.warm_up(engine_scores(engine, items[:1])[1])
    result, peaks = Result(), []
    for _ in range(rounds):
        loop = OneAtATime(loop_model, subject)
        with result.loop.running():
            wanted = [loop.score(item) for item in items[:half]]
        peaks.append(measured_peak(subject))
        with result.engine.running():
            found, forwards = engine_scores(engine, items)
        peaks.append(measured_peak(subject))
        with result.loop.running():
            wanted += [loop.score(item) for item in items[half:]]
        result.forwards = (loop.forwards, len(forwards))
        result.difference = largest([result.difference, *differences(found, wanted)])
        result.flops = plan_flops(engine, forwards)
    result.peak = float(np.mean(peaks))
    return result


def engine_scores(engine: Engine, items: Sequence[Item]) -> tuple[list[ItemScore], list[Forward]]:
    """Score items as a cell does; SEAT's scores also hold the effect size.

    Returns:
        A score an item, and what was run.
    """
    subject = engine.subject
    # A fresh text side: what was encoded in an earlier round must not be had for nothing.
    text = TextSide(subject.text.tokenizer, subject.text.traits)
    plans, _ = plan_items(items, text, SCORER, subject.objective)
    requests = [r for plan in plans if isinstance(plan, Plan) for r in plan.requests]
    forwards, places = merge(requests)
    answers = engine.run(forwards)
    picked = scatter(answers, places)
    scores = score_items(plans, picked)
    for index, item in enumerate(items):
        if isinstance(item, AssociationTest):
            vectors = cast(Scores, scores[index])
            sizes = associations(item, cast(Any, vectors))
            scores[index] = {**vectors, EFFECT_SIZE: effect_size(*sizes)}
    return scores, forwards


def measured_peak(subject: Subject) -> float:
    """Measure how fast the device now multiplies matrices of the type that a subject's are of."""
    dtype = product_dtype(subject.model, subject.model.dtype)
    return matrix_peak(subject.device.type, dtype, PEAK_SECONDS)


def plan_flops(engine: Engine, forwards: Sequence[Forward]) -> float:
    """Count the operations of matrix products in an engine's plan: what it shares counts once."""
    subject, width = engine.subject, engine.subject.model.config.hidden_size
    causal = subject.objective == "causal"
    shared = causal and not spanning_layers(subject.model)
    cut = packs(forwards, Budget(engine.batch_tokens, 1), shared, width)
    return float(model_cost(subject.model).of(need_of_batches(cut, causal)))


def differences(found: Sequence[ItemScore], wanted: Sequence[Scores | None]) -> list[float]:
    """Compare both sides' scores, relative to their size (effect sizes: to 1 at least)."""
    all_of_them = []
    for ours, theirs in zip(found, wanted, strict=True):
        if isinstance(ours, Skipped) or theirs is None:
            all_of_them.append(0.0 if isinstance(ours, Skipped) and theirs is None else np.inf)
            continue
        if ours.keys() != theirs.keys():
            all_of_them.append(np.inf)
            continue
        for key, value in theirs.items():
            floor = 1.0 if key == EFFECT_SIZE else float(np.finfo(np.float32).tiny)
            gap = np.linalg.norm(np.subtract(ours[key], value, dtype=np.float64))
            all_of_them.append(float(gap / max(float(np.linalg.norm(value)), floor)))
    return all_of_them


def largest(values: Iterable[float]) -> float:
    """The largest of some numbers; NaN if one of them is."""
    return float(np.max(np.fromiter(values, dtype=np.float64)))


def race_permutations(tests: dict[str, int], samples: int) -> tuple[Result, list[str]]:
    """Time SEAT's permutation test on random associations, at the size each test really has.

    Returns:
        The times of all tests together, and the tests whose two p-values differ by more than
        chance explains (five standard errors); `difference` is the largest such difference.
    """
    result, astray = Result(), []
    for seed, (name, n) in enumerate(tests.items()):
        x, y = np.random.default_rng(seed).normal(size=(2, n))
        with result.loop.running():
            wanted, drawn = permutation_p_value(x, y, samples, np.random.RandomState(seed))
        with result.engine.running():
            rng = np.random.default_rng(seed)
            found = permutation.permutation_p_value(x, y, samples, rng)
        mean = (found + wanted) / 2
        chance = 5 * np.sqrt(2 * mean * (1 - mean) / drawn) + 2 / drawn
        if not abs(found - wanted) <= chance:
            astray.append(f"{name}: {found} and {wanted}")
        result.difference = max(result.difference, abs(found - wanted))
    return result, astray
