"""Models of real shapes with random weights, for speed does not depend on the weights' values."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
)

from src.bench.shapes import POSITIONS, SHAPES, TOKENIZERS, VOCABULARIES
from src.compression.ptq import PtqConfig
from src.compression.registry import compress
from src.errors import InputError
from src.models.subject import Source, Subject
from src.models.traits import TextSide, find_traits


def random_subject(
    objective: str, shape: str, tokenizers: Path | None, device: str | torch.device = "cpu"
) -> Subject:
    """Build a BERT (masked) or GPT-NeoX (causal) with random weights.

    Args:
        objective: "masked" or "causal".
        shape: A name in `SHAPES`.
        tokenizers: As for `read_tokenizer`.
        device: Where the model goes.

    Raises:
        InputError: There is no usable tokenizer.
    """
    tokenizer = read_tokenizer(tokenizers, objective)
    positions = POSITIONS[objective]
    sizes: dict[str, Any] = {
        **SHAPES[shape],
        "vocab_size": max(VOCABULARIES[objective] if shape == "base" else 0, len(tokenizer)),
        "max_position_embeddings": positions,
        "use_cache": False,
    }
    torch.manual_seed(0)
    model: PreTrainedModel
    if objective == "masked":
        model = BertForMaskedLM(BertConfig(**sizes))
    else:
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, tie_word_embeddings=False))
    model.to(device).eval().requires_grad_(False)
    text = TextSide(tokenizer, find_traits(tokenizer, positions))
    source = Source(f"random {type(model).__name__} ({shape})", None, None, None)
    return Subject(model, text, objective, torch.device(device), source)


def read_tokenizer(tokenizers: Path | None, objective: str) -> Any:
    """Read the tokenizer of an objective.

    Args:
        tokenizers: Folder with a tokenizer's folder for each objective; None takes the tokenizers
            of models that ship with the project.
        objective: "masked" or "causal".

    Raises:
        InputError: There is no usable one.
    """
    folder = TOKENIZERS[objective] if tokenizers is None else tokenizers / objective
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no usable tokenizer: {error}") from error


def int8_twins(subject: Subject) -> tuple[Subject, Any] | None:
    """Quantize a subject with `compression=ptq`, in place, and a copy with torch's own code.

    Returns:
        The subject and torch's model; None where this torch has no such model to race against. On
        a GPU no torch has one, and the loop runs the subject's own layers, a sequence at a time.
    """
    if subject.device.type != "cpu":
        compress(subject, PtqConfig())
        return subject, subject.model
    theirs = _torch_int8(copy.deepcopy(subject.model))
    if theirs is None:
        return None
    compress(subject, PtqConfig())
    return subject, theirs


def _torch_int8(model: nn.Module) -> Any:
    engines = torch.backends.quantized.supported_engines
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError:
        return None
    engine = next((name for name in ("x86", "fbgemm") if name in engines), None)
    if engine is None:
        return None
    torch.backends.quantized.engine = engine
    with warnings.catch_warnings():
        # torch announces that this moves to another package, in warnings of several kinds.
        warnings.simplefilter("ignore")
        return quantize_dynamic(model, {nn.Linear}, torch.qint8, inplace=True)
