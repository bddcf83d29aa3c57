"""The race against lm-evaluation-harness on CrowS-Pairs, where it is installed."""

import tempfile
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from src.bench.race import Result, build_engine, measured_peak, plan_flops
from src.benchmarks.items import Item, SentencePair
from src.models.subject import Subject
from src.models.traits import TextSide
from src.scoring.batching import merge, scatter
from src.scoring.engine import Engine
from src.scoring.requests import LogProbs, Request

BATCH_SIZES = (1, 8, 32, 128)
"""What the harness is tried with; its best one counts."""


def harness_model(subject: Subject) -> Any:
    """Load a subject's model folder in lm-evaluation-harness; None where it is not installed."""
    try:
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        subject.model.save_pretrained(folder)
        subject.text.tokenizer.save_pretrained(folder)
        return HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=1)


def race_harness(pairs: Sequence[Item], subject: Subject, model: Any) -> tuple[Result, int]:
    """Score both sentences of every pair, all of each given the start token, by both sides.

    Args:
        pairs: CrowS-Pairs pairs.
        subject: What the engine runs.
        model: As from `harness_model`.

    Returns:
        The times, with the harness as the loop, and the batch size it was fastest with.
    """
    sentences = [
        text for pair in cast(Sequence[SentencePair], pairs) for text in (pair.more, pair.less)
    ]
    _harness(model, sentences[:2], 1)
    engine = build_engine(subject)
    _engine(engine, sentences[:2])
    runs: dict[int, Result] = {}
    wanted: list[float] = []
    found: list[float] = []
    # The engine runs between the harness's tries, so that other work weighs on both alike.
    ours, peaks = Result(), []
    for size in BATCH_SIZES:
        runs[size] = Result()
        with runs[size].loop.running():
            wanted = _harness(model, sentences, size)
        peaks.append(measured_peak(subject))
        with ours.engine.running():
            found = _engine(engine, sentences)
    best = min(runs, key=lambda size: runs[size].loop.seconds)
    result = runs[best]
    result.engine.seconds = ours.engine.seconds / len(BATCH_SIZES)
    result.engine.cpu_seconds = ours.engine.cpu_seconds / len(BATCH_SIZES)
    result.flops = plan_flops(engine, merge(_requests(engine, sentences))[0])
    result.peak = float(np.mean(peaks))
    gaps = np.abs(np.subtract(found, wanted)) / np.abs(wanted)
    result.difference = float(gaps.max())
    return result, best


def _harness(model: Any, sentences: Sequence[str], batch_size: int) -> list[float]:
    from lm_eval.api.instance import Instance

    model.batch_size_per_gpu = batch_size
    requests = [
        Instance("loglikelihood", doc={}, arguments=("", sentence), idx=0) for sentence in sentences
    ]
    return [float(total) for total, _ in model.loglikelihood(requests, disable_tqdm=True)]


def _engine(engine: Engine, sentences: Sequence[str]) -> list[float]:
    forwards, places = merge(_requests(engine, sentences))
    answers = scatter(engine.run(forwards), places)
    return [float(answer.sum(dtype=np.float64)) for answer in answers]


def _requests(engine: Engine, sentences: Sequence[str]) -> list[Request]:
    subject = engine.subject
    text = TextSide(subject.text.tokenizer, subject.text.traits)
    assert text.traits.start_id is not None
    requests: list[Request] = []
    for sentence in sentences:
        ids = (text.traits.start_id, *text.encode(sentence, special=False))
        requests.append(LogProbs(ids, tuple(range(len(ids) - 1)), ids[1:]))
    return requests
