"""What a cell's model did, against what it was asked and what its device can do."""

from collections.abc import Sequence
from typing import Any

import torch

from src.models.subject import Subject
from src.scoring.batching import Forward
from src.scoring.probe import spanning_layers
from src.scoring.requests import Request
from src.system.flops import find_need, model_cost
from src.system.peak import calibrated_peak, product_dtype


def account(
    subject: Subject, requests: Sequence[Request], forwards: Sequence[Forward], work: dict[str, Any]
) -> dict[str, Any]:
    """Compare what was asked with what was run, and the rate with the device's.

    Args:
        subject: As it was measured.
        requests: All that was asked.
        forwards: The distinct inputs behind it.
        work: Counts of the run: `tokens_run`, `tokens_padding`, `model_seconds`, `processes`.

    Returns:
        Counts, shares and rates for system.json; `useful_flops` and what follows from it are None
        for a model whose layers cannot be counted, and `flops_unknown_because` says why.
    """
    asked = sum(len(request.ids) for request in requests)
    padding, seconds = work["tokens_padding"], work["model_seconds"]
    return {
        "requests": len(requests),
        "distinct_forwards": len(forwards),
        "tokens": (tokens := sum(len(forward.ids) for forward in forwards)),
        "tokens_asked": asked,
        "tokens_per_second": tokens / seconds,
        "requests_per_second": len(requests) / seconds,
        "padding_share": padding / (padding + work["tokens_run"]),
        "deduplication": len(requests) / len(forwards),
        "token_deduplication": asked / work["tokens_run"],
        **_flops(subject, forwards, seconds, work["processes"]),
    }


def _flops(
    subject: Subject, forwards: Sequence[Forward], seconds: float, processes: int
) -> dict[str, Any]:
    whole = bool(spanning_layers(subject.model))
    need = find_need(forwards, subject.objective == "causal", whole)
    dtype = product_dtype(subject.model, subject.model.dtype)
    peak = processes * calibrated_peak(subject.device.type, dtype, torch.get_num_threads())
    useful, unknown = None, ""
    try:
        useful = model_cost(subject.model).of(need)
    # Any kind: what it cannot count is said, and no reason to lose a cell's numbers.
    except Exception as error:
        unknown = f"{type(error).__name__}: {error}"
    rate = None if useful is None else useful / seconds
    return {
        "tokens_needed": need.tokens,
        "useful_flops": useful,
        "flops_per_second": rate,
        "peak_flops_per_second": peak,
        "share_of_peak": None if rate is None else rate / peak,
        "flops_unknown_because": unknown,
    }
