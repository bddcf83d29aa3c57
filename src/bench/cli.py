"""The command line of the bench, and the order of its races."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from src.bench.harness import harness_model, race_harness
from src.bench.race import Result, build_engine, race, race_permutations
from src.bench.records import Record, of_peak, overall, print_table, verdict, write_json
from src.bench.samples import Sample, Workload, read_sample
from src.bench.subjects import SHAPES, TOKENIZERS, int8_twins, random_subject
from src.errors import InputError
from src.models.subject import Subject
from src.scoring.engine import Engine
from src.scoring.scorer import load_scorers
from src.system.environment import environment

OBJECTIVES = ("masked", "causal")
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
"""Objective -> share of the matrix peak that is wanted of it."""
WANTED_HARNESS = 3.0
WANTED_PERMUTATIONS = 50.0
PERMUTATIONS = 100_000


def main(arguments: Sequence[str]) -> int:
    """Run the bench; give the exit code, which is 1 where the two sides disagree."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(width=None if Console().is_terminal else 120)
    try:
        sample = read_sample(options.data_root, options.items)
        options.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(options.threads)
        load_scorers()
        _say(console, sample, options)
        records = list(_races(sample, options, console))
        write_json(options.out / "bench.json", [record.plain() for record in records])
        write_json(options.out / "environment.json", _conditions(sample, options))
    except (InputError, OSError) as error:
        parser.error(str(error))
    print_table(records, console)
    console.print(verdict(records), soft_wrap=True)
    return 0 if all(record.agrees for record in records) else 1


def _races(sample: Sample, options: argparse.Namespace, console: Console) -> Iterator[Record]:
    permutations, astray = race_permutations(sample.tests, options.permutations)
    yield Record(
        "seat_permutations",
        permutations.loop.seconds,
        permutations.engine.seconds,
        wanted=WANTED_PERMUTATIONS if options.permutations == PERMUTATIONS else None,
        agrees=not astray,
        details={
            "tests": len(sample.tests),
            "permutations": options.permutations,
            **_cpu_seconds(permutations, 1),
            "largest_difference": permutations.difference,
            "beyond_chance": astray,
        },
    )
    for objective in OBJECTIVES:
        subject = random_subject(objective, options.shape, options.tokenizers)
        if objective == "causal":
            yield from _harness(sample.workloads[0], subject, options, console)
        for precision in TOLERANCES:
            twins = (subject, subject.model) if precision == "fp32" else int8_twins(subject)
            if twins is None:
                console.print("ptq is left out: this torch has no dynamically quantized model")
                continue
            base = options.shape == "base"
            engine, parts = build_engine(twins[0]), []
            for workload in sample.workloads:
                parts.append(
                    _race(workload, engine, twins[1], precision, permutations, options.repeats)
                )
                last = parts[-1]
                console.print(
                    f"{last.name}: {last.loop_seconds:.1f} s to {last.engine_seconds:.1f} s"
                )
            yield from parts
            yield overall(parts, WANTED.get((objective, precision)) if base else None)
            if precision == "fp32":
                yield of_peak(parts, WANTED_PEAK[objective] if base else None)


def _harness(
    workload: Workload, subject: Subject, options: argparse.Namespace, console: Console
) -> Iterator[Record]:
    model = harness_model(subject)
    if model is None:
        console.print("lm_eval is left out: it is not installed (pip install lm_eval)")
        return
    result, size = race_harness(workload.items, subject, model)
    yield Record(
        "lm_eval",
        result.loop.seconds,
        result.engine.seconds,
        subject.objective,
        "fp32",
        wanted=WANTED_HARNESS if options.shape == "base" else None,
        agrees=result.difference <= TOLERANCES["fp32"],
        details={
            "pairs": workload.kept,
            "of": workload.whole,
            "best_batch_size": size,
            "largest_difference": result.difference,
            **_cpu_seconds(result, 1),
        },
    )


def _race(
    workload: Workload,
    engine: Engine,
    loop_model: Any,
    precision: str,
    permutations: Result,
    rounds: int,
) -> Record:
    result = race(workload, engine, loop_model, rounds, count=precision == "fp32")
    details: dict[str, Any] = {
        workload.unit: workload.kept,
        "of": workload.whole,
        "loop_forwards": result.forwards[0],
        "engine_forwards": result.forwards[1],
        "largest_difference": result.difference,
        "tolerance": TOLERANCES[precision],
        **_cpu_seconds(result, rounds),
    }
    if result.peak:
        details |= {
            "useful_flops": result.flops,
            "peak_flops_per_second": result.peak,
            "model_seconds": result.engine.seconds / rounds,
        }
    loop_seconds, engine_seconds = result.loop.seconds / rounds, result.engine.seconds / rounds
    if workload.name == "seat":
        # The permutation test was timed whole; a sample of the sentences bears its share of it.
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


def _cpu_seconds(result: Result, rounds: int) -> dict[str, float]:
    return {
        "loop_cpu_seconds": result.loop.cpu_seconds / rounds,
        "engine_cpu_seconds": result.engine.cpu_seconds / rounds,
    }


def _say(console: Console, sample: Sample, options: argparse.Namespace) -> None:
    console.print(
        f"{sample}\n"
        f"random weights of {options.shape} shape ({SHAPES[options.shape]['hidden_size']} wide, "
        f"{SHAPES[options.shape]['num_hidden_layers']} layers), "
        f"{options.threads} threads, {options.repeats} round(s); "
        "the engine runs between the halves of the loop\n"
        "what sentences have in common grows with their number, so a sample understates the gain; "
        "seat is the embeddings and as large a share of the permutation test",
        soft_wrap=True,
        highlight=False,
    )


def _conditions(sample: Sample, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "sample": str(sample),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "threads": options.threads,
        "rounds": options.repeats,
        "environment": environment(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.bench",
        description="How many times as fast is the engine as scoring one item at a time?",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data-root",
        metavar="FOLDER",
        help="folder with the benchmarks' files, as data.root; without it, the sample items",
    )
    parser.add_argument("--shape", choices=tuple(SHAPES), default="base", help="of the models")
    parser.add_argument(
        "--items",
        type=int,
        default=120,
        help="CrowS-Pairs pairs to take, evenly spaced; the other benchmarks by the same share",
    )
    parser.add_argument("--threads", type=_positive, default=2, help="CPU threads of both sides")
    parser.add_argument("--repeats", type=_positive, default=1, help="rounds; times are means")
    parser.add_argument(
        "--permutations", type=_positive, default=PERMUTATIONS, help="of each SEAT test"
    )
    parser.add_argument(
        "--tokenizers",
        type=Path,
        default=TOKENIZERS,
        metavar="FOLDER",
        help="folder with a tokenizer in masked/ and causal/",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("multirun/bench"), help="folder for bench.json"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number
