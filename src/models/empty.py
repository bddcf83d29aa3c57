"""A subject without weights: tokenizer and shape of a model, to plan with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import InputError
from src.models.config import ModelConfig
from src.models.hub import hub_bytes
from src.models.load import find_class, load_tokenizer, max_length
from src.models.source import find_source, folder_of, location, weight_files
from src.models.subject import Source, Subject
from src.models.traits import TextSide, find_traits

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a checkpoint's weight files.

    Attributes:
        bytes: Their size; None where it cannot be had.
        here: Whether they are on this machine's disk.
    """

    bytes: int | None
    here: bool


def empty_subject(config: ModelConfig, start_token: str) -> tuple[Subject, Weights]:
    """Make a subject whose model is on the meta device.

    Args:
        config: The `model` group.
        start_token: The scorer's choice, see `find_traits`.

    Raises:
        InputError: Config or tokenizer cannot be read.
        Unsupported: The architecture is no language model.
    """
    import torch

    source, architecture = find_source(config)
    wanted = "causal" if config.gguf and config.objective == "auto" else config.objective
    objective, model_class = find_class(architecture, wanted)
    with torch.device("meta"):
        model = model_class(_dense(architecture)).to(getattr(torch, config.dtype)).eval()
    tokenizer = load_tokenizer(config, source)
    rows = int(model.get_input_embeddings().weight.shape[0])
    traits = find_traits(tokenizer, max_length(model), start_token, rows)
    text = TextSide(tokenizer, traits)
    subject = Subject(model, text, objective, torch.device("meta"), source, start_token)
    return subject, find_weights(source)


def find_weights(source: Source) -> Weights:
    """Find the size of a checkpoint's weights, on disk or by asking the hub."""
    if source.weight_files:
        return Weights(source.weight_bytes, here=True)
    folder = folder_of(source)
    files = [] if folder is None else [folder / source.gguf] if source.gguf else _files(source)
    if files and all(file.exists() for file in files):
        return Weights(sum(file.stat().st_size for file in files), here=True)
    try:
        size = hub_bytes(location(source), source.commit or source.revision or "main", source.gguf)
    except InputError:  # a plan is worth having where the hub cannot be asked
        size = None
    return Weights(size, here=False)


def _files(source: Source) -> list[Path]:
    folder = folder_of(source)
    try:
        return [] if folder is None else weight_files(folder)
    except InputError:  # an index whose shards are not there yet
        return []


def _dense(architecture: "PretrainedConfig") -> "PretrainedConfig":
    """Leave out how weights are packed: the shape is that of the dense model."""
    import copy

    plain = copy.deepcopy(architecture)
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    plain.use_cache = True  # without it, masks are made by looking at values, which are not there
    return plain
