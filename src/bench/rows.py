"""The races of the bench, row by row, and the records that each gives."""

import argparse
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from rich.console import Console

from src.bench.harness import harness_model, race_harness
from src.bench.options import PERMUTATIONS
from src.bench.race import Result, build_engine, race, race_permutations
from src.bench.records import Record, of_peak, overall
from src.bench.samples import Sample, Workload
from src.bench.subjects import int8_twins, random_subject
from src.models.subject import Subject
from src.scoring.engine import Engine
from src.system.allocator import freed_memory_kept

TOLERANCES = {"fp32": 1e-4, "ptq": 1e-3}
"""Largest relative difference of a score between the two sides."""
WANTED = {
    ("masked", "fp32"): 8.0,
    ("causal", "fp32"): 6.0,
    ("masked", "ptq"): 3.0,
    ("causal", "ptq"): 3.0,
}
"""Objective and precision -> overall ratio that is wanted of the base shape on a CPU."""
WANTED_PEAK = {"masked": 0.85, "causal": 0.75}
"""Objective -> share of the matrix peak that is wanted of it there."""
WANTED_HARNESS = 3.0
WANTED_PERMUTATIONS = 50.0


class Races:
    """Runs the rows that `--only` names."""

    def __init__(self, sample: Sample, options: argparse.Namespace, console: Console) -> None:
        """Args: what is raced over, the command line, and where to tell how far it is."""
        self._sample, self._options, self._console = sample, options, console
        self._held = options.shape == "base" and options.device == "cpu"

    def run(self, row: str) -> Iterator[Record]:
        """Give the records of one row.

        Args:
            row: A name in `ROWS`.
        """
        if row == "seat_permutations":
            yield self._permutation_record()
        elif row == "lm_eval":
            yield from self._harness_records()
        else:
            yield from self._objective(*row.split("/"))

    @cached_property
    def _permutations(self) -> tuple[Result, list[str]]:
        """Race once: SEAT's rows bear their share of this one's time."""
        return race_permutations(self._sample.tests, self._options.permutations)

    def _permutation_record(self) -> Record:
        result, astray = self._permutations
        whole = self._options.permutations == PERMUTATIONS
        return Record(
            "seat_permutations",
            result.loop.seconds,
            result.engine.seconds,
            wanted=WANTED_PERMUTATIONS if whole else None,
            agrees=not astray,
            details={
                "tests": len(self._sample.tests),
                "permutations": self._options.permutations,
                **_cpu_seconds(result, 1),
                "largest_difference": result.difference,
                "beyond_chance": astray,
            },
        )

    def _subject(self, objective: str) -> Subject:
        options = self._options
        return random_subject(objective, options.shape, options.tokenizers, options.device)

    def _harness_records(self) -> Iterator[Record]:
        subject, workload = self._subject("causal"), self._sample.workloads[0]
        model = harness_model(subject)
        if model is None:
            self._say("lm_eval is left out: it is not installed (pip install lm_eval)")
            return
        result, size = race_harness(workload.items, subject, model)
        yield Record(
            "lm_eval",
            result.loop.seconds,
            result.engine.seconds,
            subject.objective,
            "fp32",
            wanted=WANTED_HARNESS if self._held else None,
            agrees=result.difference <= TOLERANCES["fp32"],
            details={
                "pairs": workload.kept,
                "of": workload.whole,
                "best_batch_size": size,
                "largest_difference": result.difference,
                **_at_peak(result, 1),
                **_cpu_seconds(result, 1),
            },
        )

    def _objective(self, objective: str, precision: str) -> Iterator[Record]:
        subject = self._subject(objective)
        twins = (subject, subject.model) if precision == "fp32" else int8_twins(subject)
        if twins is None:
            self._say("ptq is left out: this torch has no dynamically quantized model")
            return
        engine, parts = build_engine(twins[0]), []
        for workload in self._sample.workloads:
            parts.append(last := self._race(workload, engine, twins[1], precision))
            self._say(f"{last.name}: {last.loop_seconds:.1f} s to {last.engine_seconds:.1f} s")
        yield from parts
        yield overall(parts, WANTED[objective, precision] if self._held else None)
        wanted = WANTED_PEAK[objective] if self._held and precision == "fp32" else None
        yield of_peak(parts, wanted)

    def _race(self, workload: Workload, engine: Engine, loop_model: Any, precision: str) -> Record:
        rounds = self._options.repeats
        with freed_memory_kept():  # as in a cell; the loop gains too
            result = race(workload, engine, loop_model, rounds)
        details: dict[str, Any] = {
            workload.unit: workload.kept,
            "of": workload.whole,
            "loop_forwards": result.forwards[0],
            "engine_forwards": result.forwards[1],
            "largest_difference": result.difference,
            "tolerance": TOLERANCES[precision],
            **_at_peak(result, rounds),
            **_cpu_seconds(result, rounds),
        }
        loop_seconds, engine_seconds = result.loop.seconds / rounds, result.engine.seconds / rounds
        if workload.name == "seat":
            # The permutation test is timed whole; a sample of the sentences bears its share of it.
            permutations, _ = self._permutations
            details["permutation_share"] = workload.share
            loop_seconds += workload.share * permutations.loop.seconds
            engine_seconds += workload.share * permutations.engine.seconds
            for key, seconds in _cpu_seconds(permutations, 1).items():
                details[key] += workload.share * seconds
        return Record(
            workload.name,
            loop_seconds,
            engine_seconds,
            engine.subject.objective,
            precision,
            agrees=result.difference <= TOLERANCES[precision],
            details=details,
        )

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _at_peak(result: Result, rounds: int) -> dict[str, float]:
    return {
        "useful_flops": result.flops,
        "peak_flops_per_second": result.peak,
        "model_seconds": result.engine.seconds / rounds,
    }


def _cpu_seconds(result: Result, rounds: int) -> dict[str, float]:
    return {
        "loop_cpu_seconds": result.loop.cpu_seconds / rounds,
        "engine_cpu_seconds": result.engine.cpu_seconds / rounds,
    }
