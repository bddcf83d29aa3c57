"""Loading a checkpoint as what it is, and refusing one that does not fit its class."""

import os
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from src.errors import InputError, Unsupported
from src.models.causality import refuse_look_ahead
from src.models.config import ModelConfig
from src.models.misloaded import MisloadedConfig, check_nothing_fits
from src.models.quantized import PACKED, download, load_packed, quantization_method, settle
from src.models.source import find_source, folder_of, gguf_file, location, weight_files
from src.models.spread import WHOLE, Spread
from src.models.subject import Source, Subject
from src.models.traits import TextSide, find_traits
from src.models.weights import check_weights
from src.quiet import quiet_libraries

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


def load_subject(
    config: ModelConfig,
    device: "torch.device",
    start_token: str,
    spread: Spread = WHOLE,
) -> Subject:
    """Load model and tokenizer of one cell, in eval mode, on `device`.

    The class is the one the checkpoint's own config names, so that a DistilBERT is a DistilBERT.

    Args:
        config: The `model` group.
        device: Where the weights go.
        start_token: The scorer's choice, see `find_traits`.
        spread: Whether it may be spread over several devices.

    Raises:
        InputError: The checkpoint cannot be read, does not fit its architecture, or its tokenizer
            has tokens the model does not know.
        Unsupported: The architecture is neither a masked nor a causal language model, or is to be
            scored as a causal one and looks ahead.
    """
    from transformers.utils import logging as transformers_logging

    # What its load report calls a warning is an error here or is explained; see check_weights.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    quiet_libraries()
    # Without this, a .bin checkpoint makes transformers ask the hub for a converted one.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    source, architecture = find_source(config)
    # GGUF files name no class; language models in them are causal.
    wanted = "causal" if config.gguf and config.objective == "auto" else config.objective
    objective, model_class = find_class(architecture, wanted)
    if isinstance(config, MisloadedConfig):
        model, report = _random(model_class, config, source, architecture, device)
        check_nothing_fits(model, report, config.id)
    else:
        model, report = _from_pretrained(model_class, config, source, architecture, device, spread)
        check_weights(model, report, source)
    model.eval().requires_grad_(False)
    model.config.use_cache = False
    tokenizer = load_tokenizer(config, source)
    rows = int(model.get_input_embeddings().weight.shape[0])
    _check_vocabulary(config, tokenizer, rows)
    if objective == "causal":
        refuse_look_ahead(model, tokenizer, device)
    traits = find_traits(tokenizer, max_length(model), start_token, rows)
    text = TextSide(tokenizer, traits)
    return Subject(model, text, objective, device, source, start_token)


def find_class(architecture: "PretrainedConfig", objective: str) -> tuple[str, type[Any]]:
    """Choose objective and model class from a checkpoint's config.

    Args:
        architecture: The checkpoint's config.
        objective: "auto", or "masked" or "causal" to override what the config says.

    Raises:
        Unsupported: No language-model class exists for this architecture (and objective).
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_PRETRAINING_MAPPING,
    )

    mappings = {"masked": MODEL_FOR_MASKED_LM_MAPPING, "causal": MODEL_FOR_CAUSAL_LM_MAPPING}
    kind = type(architecture)
    classes = {name: mapping[kind] for name, mapping in mappings.items() if kind in mapping}
    named = (architecture.architectures or ["(none named)"])[0]
    if objective == "auto":
        matching = [name for name, found in classes.items() if found.__name__ == named]
        pretraining = MODEL_FOR_PRETRAINING_MAPPING.get(kind, None)
        if not matching and pretraining is not None and pretraining.__name__ == named:
            # BertForPreTraining, MobileBertForPreTraining: a masked head beside a second task's.
            matching = [name for name in classes if name == "masked"]
        if len(matching) != 1:
            raise Unsupported(
                f"the checkpoint's architecture {named} is neither a masked nor a causal language "
                f"model; if its weights hold such a head, say model.objective=masked or causal"
            )
        objective = matching[0]
    if objective not in classes:
        raise Unsupported(f"{architecture.model_type} has no {objective} language-model class")
    return objective, classes[objective]


def max_length(model: "PreTrainedModel") -> int | None:
    """Find the most tokens a model takes (None: no position table or setting bounds it).

    RoBERTa-type models count positions from `padding_idx + 1`, so their table is longer than the
    sequences they take; the position table itself says so.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    limit = getattr(model.config, "n_positions", None) if limit is None else limit
    if limit is None or limit <= 0:
        # XLNet, which has relative positions, writes -1.
        return None
    for name, module in model.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(module, "padding_idx", None)
            if padding is not None:
                return int(limit) - int(padding) - 1
    return int(limit)


def _random(
    model_class: Any,
    config: MisloadedConfig,
    source: Source,
    architecture: "PretrainedConfig",
    device: "torch.device",
) -> tuple["PreTrainedModel", dict[str, Any]]:
    """Load what fits no class of its own, its weights drawn from the seed on any device alike."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model, report = _from_pretrained(
            model_class, config, source, architecture, torch.device("cpu")
        )
    return model.to(device), report


def _from_pretrained(
    model_class: Any,
    config: ModelConfig,
    source: Source,
    architecture: "PretrainedConfig",
    device: "torch.device",
    spread: Spread = WHOLE,
) -> tuple["PreTrainedModel", dict[str, Any]]:
    import torch

    dtype = getattr(torch, config.dtype)
    method = quantization_method(architecture)
    if spread.on and (method or source.gguf):
        raise Unsupported(
            f"system.device_map=auto was not tried with {method or 'GGUF'} weights; leave it out"
        )
    try:
        if method in PACKED:
            folder = download(source)
            model, report = load_packed(model_class, architecture, weight_files(folder), dtype)
            return model.to(device), report
        load = partial(
            model_class.from_pretrained,
            location(source),
            config=architecture,
            revision=source.commit or source.revision,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            # Named in its report instead of raised without a name; check_weights refuses them.
            ignore_mismatched_sizes=True,
        )
        if spread.on:
            return spread.load(load, device)
        model, report = load(
            **gguf_file(source.gguf), **placement(device, bool(method), source.gguf)
        )
    except (InputError, Unsupported):
        raise
    # Any kind: a damaged file raises whatever the library that reads it raises.
    except Exception as error:
        if method and device.type != "cuda" and re.search("GPU|CUDA|accelerator", str(error)):
            raise Unsupported(f"{method} weights cannot be used on {device}: {error}") from error
        raise InputError(f"model.id={config.id}: the weights cannot be loaded: {error}") from error
    if method:
        settle(model)
        return model, report
    return model.to(device), report


def placement(device: "torch.device", quantized: bool, gguf: str) -> dict[str, Any]:
    """Give the argument that makes transformers read weights straight to a device.

    On a GPU there is then no copy of the model in main memory. Quantized weights are put where they
    are used by what reads them, also on a CPU; GGUF files are turned into numbers there first.
    """
    straight = quantized or (device.type != "cpu" and not gguf)
    return {"device_map": {"": device}} if straight else {}


def load_tokenizer(config: ModelConfig, source: Source) -> Any:
    """Load a checkpoint's tokenizer.

    Raises:
        InputError: There is none that can be used, or it has special tokens only.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            location(source),
            revision=source.commit or source.revision,
            trust_remote_code=False,
            **gguf_file(source.gguf),
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"model.id={config.id}: no usable tokenizer: {error}") from error
    # Of a checkpoint without a tokenizer's files, transformers makes one that knows no word: every
    # text is then a row of unknown tokens, or empty, and all scores are ties.
    if not tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys():
        raise InputError(
            f"model.id={config.id}: its tokenizer knows no words, only {len(tokenizer)} special "
            "tokens; are its files (tokenizer.json, or vocab.txt and the like) missing beside the "
            "weights? Save the tokenizer that the model was trained with into the same folder."
        )
    return tokenizer


def with_weight_files(source: Source) -> Source:
    """Fill in the weight files of a hub checkpoint, which are known only once it is loaded."""
    folder = folder_of(source)
    if source.weight_files or folder is None:
        return source
    files = [folder / source.gguf] if source.gguf else weight_files(folder)
    size = sum(path.stat().st_size for path in files)
    return replace(source, weight_files=tuple(path.name for path in files), weight_bytes=size)


def _check_vocabulary(config: ModelConfig, tokenizer: Any, rows: int) -> None:
    """Refuse a tokenizer whose own vocabulary does not fit the embeddings.

    Tokens added to it ([PAD] in many a Llama checkpoint) may have none: no ordinary text holds
    them, and `TextSide` refuses the text that does.
    """
    added = tokenizer.get_added_vocab()
    own = (number for token, number in tokenizer.get_vocab().items() if token not in added)
    if (largest := max(own, default=0)) >= rows:
        raise InputError(
            f"model.id={config.id}: its tokenizer has token ids up to {largest} but the model has "
            f"{rows} embeddings; this is another model's tokenizer."
        )
