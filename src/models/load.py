"""Loading a checkpoint as what it is, and refusing one that does not fit its class."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.models.source import find_source, weight_files
from src.models.subject import Source, Subject
from src.models.traits import TextSide, find_traits

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


BUFFERS = re.compile(
    r"(\.masked_bias|\.(attn|attention)(\.attention)?\.bias|position_ids|\.inv_freq"
    r"|(^|\.)decoder\.version)$"
)
"""Constants that older versions saved with the weights: causal masks, positions, rotary tables."""


def load_subject(config: ModelConfig, device: "torch.device", start_token: str) -> Subject:
    """Load model and tokenizer of one cell, in eval mode, on `device`.

    The class is the one the checkpoint's own config names, so that a DistilBERT is a DistilBERT.

    Args:
        config: The `model` group.
        device: Where the weights go.
        start_token: The scorer's choice, see `find_traits`.

    Raises:
        InputError: The checkpoint cannot be read, does not fit its architecture, or its tokenizer
            has tokens the model does not know.
        Unsupported: The architecture is neither a masked nor a causal language model.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    # What its load report calls a warning is an error here or is explained; see _check_weights.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # Without this, a .bin checkpoint makes transformers ask the hub for a converted one.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    source, architecture = find_source(config)
    objective, model_class = find_class(architecture, config.objective)
    model, report = _from_pretrained(model_class, config, source, architecture)
    _check_weights(model, report, source)
    model.eval().requires_grad_(False).to(device)
    model.config.use_cache = False
    tokenizer = _load_tokenizer(config, source)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if (largest := max(tokenizer.get_vocab().values())) >= rows:
        raise InputError(
            f"model.id={config.id}: its tokenizer has token ids up to {largest} but the model has "
            f"{rows} embeddings; this is another model's tokenizer."
        )
    if objective == "causal":
        _check_causal(model, source)
    traits = find_traits(tokenizer, max_length(model), start_token)
    return Subject(model, TextSide(tokenizer, traits), objective, torch.device(device), source)


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
    for name, module in model.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(module, "padding_idx", None)
            if padding is not None and limit is not None:
                return int(limit) - int(padding) - 1
    # XLNet says -1 for no bound.
    return None if limit is None or limit <= 0 else int(limit)


def _from_pretrained(
    model_class: Any, config: ModelConfig, source: Source, architecture: "PretrainedConfig"
) -> tuple["PreTrainedModel", dict[str, Any]]:
    import torch

    try:
        model, report = model_class.from_pretrained(
            source.id,
            config=architecture,
            revision=source.commit or source.revision,
            dtype=getattr(torch, config.dtype),
            trust_remote_code=False,
            output_loading_info=True,
        )
    # Any kind: a damaged file raises whatever the library that reads it raises.
    except Exception as error:
        raise InputError(f"model.id={config.id}: the weights cannot be loaded: {error}") from error
    return model, report


def _check_causal(model: "PreTrainedModel", source: Source) -> None:
    """Refuse a model whose earlier predictions change with a later token.

    BERT as a causal model loads without a word and looks ahead; its scores would mean nothing.
    """
    import torch

    with torch.inference_mode():
        ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=model.device)
        first, second = model(input_ids=ids).logits[:, :-1].float()
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise Unsupported(
            f"{source.id} looks ahead: a prediction changes with the tokens after it, so it has no "
            "causal scores; use model.objective=masked"
        )


def _check_weights(model: "PreTrainedModel", report: dict[str, Any], source: Source) -> None:
    missing = sorted(report["missing_keys"])
    left_over = set(report["unexpected_keys"]) - _explained(model)
    unexpected = sorted(key for key in left_over if not BUFFERS.search(key))
    mismatched = sorted(str(entry) for entry in report.get("mismatched_keys", ()))
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched}
    said = [f"{len(keys)} {what} (first: {keys[0]})" for what, keys in faults.items() if keys]
    if said:
        random = "Scoring it would measure random weights. " if missing or mismatched else ""
        raise InputError(
            f"model.id={source.id}: the checkpoint does not hold a {type(model).__name__}: "
            f"weights {'; '.join(said)}. {random}Use the class the checkpoint was saved with (its "
            "config.json) or another checkpoint."
        )


def _explained(model: "PreTrainedModel") -> set[str]:
    """Names of weights that belong to the same family but to no language-model head.

    Poolers and next-sentence heads of pretraining checkpoints; found by building the siblings of
    the class without memory.
    """
    import torch
    from transformers import MODEL_FOR_PRETRAINING_MAPPING, MODEL_MAPPING

    names: set[str] = set()
    for mapping in (MODEL_MAPPING, MODEL_FOR_PRETRAINING_MAPPING):
        siblings = mapping.get(type(model.config), None) or ()
        for sibling in siblings if isinstance(siblings, tuple) else (siblings,):
            with torch.device("meta"):
                keys = sibling(model.config).state_dict().keys()
            names.update(keys, (f"{model.base_model_prefix}.{key}" for key in keys))
    return names


def _load_tokenizer(config: ModelConfig, source: Source) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            source.id, revision=source.commit or source.revision, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"model.id={config.id}: no usable tokenizer: {error}") from error


def with_weight_files(source: Source) -> Source:
    """Fill in the weight files of a hub checkpoint, which are known only once it is loaded."""
    from huggingface_hub import try_to_load_from_cache

    if source.weight_files or source.commit is None:
        return source
    found = try_to_load_from_cache(source.id, "config.json", revision=source.commit)
    if not isinstance(found, str):
        return source
    files = weight_files(Path(found).parent)
    size = sum(path.stat().st_size for path in files)
    return replace(source, weight_files=tuple(path.name for path in files), weight_bytes=size)
