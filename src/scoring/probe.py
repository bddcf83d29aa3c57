"""Whether a model's sequences can be packed, found by trying."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch.nn import Module
from transformers import PreTrainedModel

from src.models.batch_layout import BatchLayout
from src.models.subject import Subject
from src.scoring.batching import Forward
from src.scoring.packing import POOLINGS, common_beginning
from src.scoring.requests import Answer

LONGEST = 128
"""Tokens of the longest sequence that is tried, if there are shorter ones."""


def spanning_layers(model: PreTrainedModel) -> list[Module]:
    """List the layers whose arithmetic spans a whole sequence, so that nothing of it is shared."""
    names = ("per_sequence", "takes_rows")
    return [one for one in model.modules() if any(getattr(one, name, False) for name in names)]


def refusal(subject: Subject) -> str:
    """Say why a model need not be tried; empty if it may.

    A layer whose arithmetic spans its sequence has to be told where packed ones end.
    """
    told = (
        getattr(module, "per_sequence", False)
        and isinstance(getattr(module, "layout", None), BatchLayout)
        for module in spanning_layers(subject.model)
    )
    return "" if all(told) else "a layer's arithmetic spans its whole sequence"


def samples(forwards: Sequence[Forward]) -> Iterator[list[Forward]]:
    """Choose a few sequences of each kind: two that begin most alike, and a short one."""
    for pooling in POOLINGS:
        of_kind = [forward for forward in forwards if forward.pooling == pooling]
        short = [forward for forward in of_kind if len(forward.ids) <= LONGEST] or of_kind[:2]
        if not short:
            continue
        order = sorted(short, key=lambda one: one.ids)
        alike = [common_beginning(one.ids, other.ids) for one, other in pairwise(order)]
        at = int(np.argmax(alike)) if alike else 0
        chosen = [*order[at : at + 2], min(order, key=lambda one: len(one.ids))]
        yield list({id(forward): forward for forward in chosen}.values())


def furthest(found: Sequence[Answer], wanted: Sequence[Answer]) -> float:
    """Largest difference of some answers, relative to the largest of them or to 1."""
    ours, theirs = (np.concatenate([np.ravel(one) for one in side]) for side in (found, wanted))
    return float(np.abs(ours - theirs).max(initial=0) / np.abs(theirs).max(initial=1))


def tolerance(dtype: torch.dtype) -> float:
    """How far rounding may take two ways to compute the same."""
    return max(1e-5, 16 * torch.finfo(dtype).eps)
