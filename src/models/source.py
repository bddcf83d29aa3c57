"""Finding a checkpoint: hub id or local folder, its commit, its files, without loading it."""

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import InputError
from src.models.config import ModelConfig
from src.models.misloaded import MisloadedConfig, architecture_as
from src.models.subject import Source

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# In the order in which transformers looks for them, or for their index of shards.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What else in a folder can change a model's numbers: its config, its tokenizer's files.
SETTINGS = ("*.json", "*.txt", "*.model*", "*.tiktoken", "*.codes", "*.bpe")


def find_source(config: ModelConfig) -> tuple[Source, "PretrainedConfig"]:
    """Resolve a model's settings to one exact checkpoint and read its architecture.

    Args:
        config: The `model` group.

    Returns:
        The source (weight files filled in for a local folder only) and the checkpoint's
        transformers config.

    Raises:
        InputError: No such folder, repository or revision, or the hub cannot be reached and the
            checkpoint is not in its cache.
    """
    folder = Path(config.id).expanduser()
    local = folder.is_dir()
    if not local and (config.id.startswith((".", "/", "~")) or config.id.count("/") > 1):
        raise InputError(f"model.id={config.id}: there is no such folder.")
    if local and not config.gguf and not (folder / "config.json").is_file():
        raise InputError(
            f"model.id={config.id}: the folder holds no config.json, so it is no checkpoint that "
            "transformers wrote; name the folder that has config.json beside the weights."
        )
    try:
        architecture = _architecture(
            config, str(folder) if local else config.id, None if local else config.revision
        )
    except InputError:
        raise
    # Any kind: each architecture checks its own config, and a wrong type raises what it likes.
    except Exception as error:
        raise InputError(_cannot_read(config, local, error)) from error
    if local:
        files = [folder / config.gguf] if config.gguf else weight_files(folder)
        if not files:
            raise InputError(
                f"model.id={config.id}: the folder holds no model.safetensors "
                "or pytorch_model.bin, nor an index of shards of one."
            )
        return replace(_local_source(config.id, folder, files), gguf=config.gguf), architecture
    return Source(config.id, config.revision, _commit(config), None, gguf=config.gguf), architecture


def _architecture(config: ModelConfig, name: str, revision: str | None) -> "PretrainedConfig":
    from transformers import AutoConfig

    if isinstance(config, MisloadedConfig):
        return architecture_as(config.load_as, name, revision=revision)
    return AutoConfig.from_pretrained(
        name, revision=revision, trust_remote_code=False, **gguf_file(config.gguf)
    )


def gguf_file(name: str) -> dict[str, str]:
    """Give the argument that makes transformers read a GGUF file; none for ordinary weights."""
    return {"gguf_file": name} if name else {}


def weight_files(folder: Path) -> list[Path]:
    """List the files that a checkpoint's weights are read from, and no others beside them.

    Adapters, other formats and other precisions of the same weights stay unread.

    Args:
        folder: A checkpoint's folder.

    Returns:
        One file or all shards; none where the folder has no weights.

    Raises:
        InputError: An index of shards cannot be read, or a shard it names is not there.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    return []


def folder_of(source: Source) -> Path | None:
    """Give the folder a checkpoint lies in; None for one of the hub that is not in its cache."""
    from huggingface_hub import try_to_load_from_cache

    if source.commit is None:
        return None if source.digest is None else Path(source.id).expanduser()
    name = source.gguf or "config.json"
    found = try_to_load_from_cache(source.id, name, revision=source.commit)
    return Path(found).parent if isinstance(found, str) else None


def location(source: Source) -> str:
    """Give what transformers is to load: the hub id, or the folder with its ~ resolved."""
    return source.id if source.digest is None else str(Path(source.id).expanduser())


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [index.parent / name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{index} is no index of a checkpoint's shards ({type(error).__name__}: {error}); get "
            "the checkpoint again."
        ) from error
    for file in files:
        if not file.is_file():
            raise InputError(f"{index} names {file.name}, which is not there; get it too.")
    return files


def _commit(config: ModelConfig) -> str | None:
    """Find the commit a revision stands for, from the cache that reading the config has filled."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    path = cached_file(config.id, config.gguf or "config.json", revision=config.revision)
    commit = extract_commit_hash(path, None)
    return None if commit is None else str(commit)


def _local_source(name: str, folder: Path, files: list[Path]) -> Source:
    settings = {path for pattern in SETTINGS for path in folder.glob(pattern) if path.is_file()}
    parts = sorted({*files, *settings})
    digest = hashlib.sha256()
    for path in parts:
        stat = path.stat()
        digest.update(f"{path.name}:{_sha256(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
    size = sum(path.stat().st_size for path in files)
    names = tuple(path.name for path in files)
    return Source(name, None, None, digest.hexdigest(), names, size)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    # Size and time are in the key so that a folder is read once a process, not once a cell.
    del size, mtime_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_read(config: ModelConfig, local: bool, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first_line = lines[0] if lines else type(error).__name__
    if first_line.endswith(":"):  # "Validation error for field 'hidden_size':" and what it is
        first_line = " ".join(lines[:2])
    if local:
        return f"model.id={config.id}: its config.json cannot be used ({first_line})."
    return (
        f"model.id={config.id} at model.revision={config.revision} is no local folder, and could "
        f"not be had from the hub or its cache ({first_line}). Check the spelling and the network, "
        "point HF_ENDPOINT at a mirror or HF_HOME at a filled cache, or set model.id to a folder."
    )
