"""What a sweep in one process keeps from cell to cell: dense weights, and texts as token ids.

Of weights it is those of the last checkpoint, in main memory, from which its compressed twins
start; a copy has the same bits. Of texts it is what a tokenizer made of them, which checkpoints of
one family share.
"""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil

from src.models.config import ModelConfig
from src.models.quantized import quantization_method
from src.models.source import find_source
from src.models.spread import is_spread
from src.models.subject import Subject
from src.models.traits import TextSide

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SHARE = 0.25
"""Of the memory that is free, what the kept weights may take."""
Load = Callable[[ModelConfig, "torch.device", str], Subject]


@dataclass(slots=True)
class Kept:
    """The state of this process.

    Attributes:
        on: Whether anything is kept.
        key: Exact checkpoint and settings of the kept subject.
        subject: Its model is on the CPU and never changed; None where nothing is kept.
        texts: Digest of a tokenizer -> its text side, of the last one only.
        reused: Whether the last cell's weights came from here.
    """

    on: bool = False
    key: object = None
    subject: Subject | None = None
    texts: tuple[str, TextSide] | None = None
    reused: bool = False

    def clear(self, on: bool = False) -> None:
        """Let go of everything."""
        self.on, self.key, self.subject, self.texts, self.reused = on, None, None, None, False

    def told(self) -> dict[str, Any]:
        """Say for system.json what was kept: it is part of the process's memory."""
        held = self.subject
        size = 0 if held is None else _bytes(held.model)
        return {"weights_reused": self.reused, "kept_weights_bytes": size}


KEPT = Kept()


def load_kept(config: ModelConfig, device: "torch.device", start_token: str, load: Load) -> Subject:
    """Load a subject, or copy the dense one that the cell before started from.

    Args:
        config: The `model` group.
        device: Where the weights go.
        start_token: The scorer's choice.
        load: `src.models.load.load_subject`.

    Raises:
        InputError: As `load`.
        Unsupported: As `load`.
    """
    KEPT.reused = False
    if not KEPT.on:
        return load(config, device, start_token)
    key = (find_source(config)[0], repr(config), start_token)
    if KEPT.subject is not None and key == KEPT.key:
        KEPT.reused = True
        model = _copy(KEPT.subject.model, device)
        return replace(KEPT.subject, model=model, device=device)
    KEPT.subject = None  # before the next one needs the memory
    subject = load(config, device, start_token)
    subject.text = _shared_text(subject.text)
    if _can_keep(subject.model):
        KEPT.key = key
        KEPT.subject = replace(subject, model=_copy(subject.model, "cpu"))
    return subject


def _can_keep(model: "PreTrainedModel") -> bool:
    """Whether a model is an ordinary dense one, and there is room for a second one."""
    if quantization_method(model.config) or is_spread(model):
        return False
    return _bytes(model) <= SHARE * psutil.virtual_memory().available


def _bytes(model: "PreTrainedModel") -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _copy(model: "PreTrainedModel", device: "torch.device | str") -> "PreTrainedModel":
    """Copy a model onto a device, without a second copy where it is."""
    from torch import nn

    # What deepcopy finds here it takes for copied; tied weights are one object and stay tied.
    done: dict[int, Any] = {
        id(one): nn.Parameter(one.detach().to(device, copy=True), requires_grad=False)
        for one in model.parameters()
    }
    done |= {id(one): one.detach().to(device, copy=True) for one in model.buffers()}
    return copy.deepcopy(model, done)


def _shared_text(text: TextSide) -> TextSide:
    """Give the text side of the checkpoint before, with what it encoded, if it is the same."""
    backend = getattr(text.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return text
    told = (type(text.tokenizer).__name__, text.tokenizer.special_tokens_map, text.traits)
    digest = hashlib.sha256(f"{told} {backend.to_str()}".encode()).hexdigest()
    if KEPT.texts is None or KEPT.texts[0] != digest:
        KEPT.texts = (digest, text)
    return KEPT.texts[1]
