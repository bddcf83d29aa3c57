"""Whether a checkpoint's weights are those of the class they were loaded into."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from src.errors import InputError
from src.models.source import folder_of, weight_files
from src.models.subject import Source

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Constants that older versions of transformers and fairseq stored beside the weights and that are
# computed today. A name is matched from a dot on, so that no part of a longer name counts.
LEFTOVERS = (
    r"(attn|attention)\.(masked_bias|causal_mask)",  # GPT-2, GPT-Neo, GPT-J, GPT-NeoX, CodeGen
    r"position_ids",  # BERT, RoBERTa, ELECTRA, DistilBERT, ALBERT
    r"rotary_emb\.(inv_freq|cos_cached|sin_cached)",  # GPT-NeoX, Llama
    r"(encoder|decoder)\.version",  # OPT, and others that come from fairseq
)
# The causal mask itself. Its name could be a bias's, so its shape must be (1, 1, length, length).
MASK = r"(attn|attention)\.bias"


def check_weights(model: "PreTrainedModel", report: dict[str, Any], source: Source) -> None:
    """Refuse a checkpoint that lacks weights of the model's class, or holds others.

    Args:
        model: As loaded.
        report: What transformers says about the loading.
        source: The checkpoint.

    Raises:
        InputError: Weights are missing, of another shape, or left over and no known constant.
    """
    missing = sorted(report["missing_keys"])
    mismatched = sorted(_of_another_shape(*entry) for entry in report.get("mismatched_keys", ()))
    unexpected = _unknown(set(report["unexpected_keys"]) - _explained(model), source)
    faults = {"missing": missing, "of another shape": mismatched, "unexpected": unexpected}
    said = [f"{len(keys)} {what} (first: {keys[0]})" for what, keys in faults.items() if keys]
    if not said:
        return
    if missing or mismatched:
        danger = "Scoring it would measure random weights."
    else:
        danger = "Scoring it would measure a model without them, which is not the one saved."
    raise InputError(
        f"model.id={source.id}: the checkpoint does not hold a {type(model).__name__}: "
        f"weights {'; '.join(said)}. {danger} Use the class the checkpoint was saved with (its "
        "config.json) or another checkpoint."
    )


def _of_another_shape(name: str, stored: Iterable[int], wanted: Iterable[int]) -> str:
    return f"{name}: {tuple(stored)} in the file, {tuple(wanted)} by config.json"


def _explained(model: "PreTrainedModel") -> set[str]:
    """Names of weights that belong to the same family but to no language-model head.

    Poolers and next-sentence heads of pretraining checkpoints; found by building the siblings of
    the class without memory.
    """
    import torch
    from transformers import MODEL_FOR_PRETRAINING_MAPPING, MODEL_MAPPING

    names: set[str] = set()
    for mapping in (MODEL_MAPPING, MODEL_FOR_PRETRAINING_MAPPING):
        found = mapping.get(type(model.config), ())
        # Funnel has two base models, with a decoder and without.
        for sibling in found if isinstance(found, tuple) else (found,):
            with torch.device("meta"):
                keys = sibling(model.config).state_dict().keys()
            names.update(keys, (f"{model.base_model_prefix}.{key}" for key in keys))
    return names


def _unknown(keys: Iterable[str], source: Source) -> list[str]:
    """Leave out the known leftovers."""
    keys = sorted(key for key in keys if not _named(LEFTOVERS, key))
    if not any(_named((MASK,), key) for key in keys):
        return keys
    masks = _stored_masks(source)
    return [key for key in keys if key not in masks]


def _named(patterns: Iterable[str], key: str) -> bool:
    return any(re.search(rf"(^|\.){pattern}$", key) for pattern in patterns)


def _stored_masks(source: Source) -> set[str]:
    """Find the names under which a checkpoint's files hold causal masks, by name and shape."""
    from transformers.modeling_utils import load_state_dict

    folder = folder_of(source)
    found: set[str] = set()
    for path in [] if folder is None else weight_files(folder):
        # "meta": names and shapes only.
        for key, value in load_state_dict(path, map_location="meta").items():
            square = value.dim() == 4 and value.shape[:2] == (1, 1)
            if square and value.shape[2] == value.shape[3] and _named((MASK,), key):
                found.add(key)
    return found
