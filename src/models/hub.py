"""What the hub says of a checkpoint that is not on this machine."""

import re

from src.errors import InputError

TIMEOUT = 10.0
"""Seconds that the hub has to answer in."""
WEIGHTS = (r"model(-\d+-of-\d+)?\.safetensors", r"pytorch_model(-\d+-of-\d+)?\.bin")
"""The names of files and shards that transformers loads, in the order in which it looks for them.

What lies beside them (adapters, a copy in a publisher's own format, ONNX) is not loaded.
"""


def hub_bytes(name: str, revision: str, gguf: str = "") -> int | None:
    """Ask the hub how large a checkpoint's weights are.

    Args:
        name: Its id on the hub.
        revision: Branch, tag or commit.
        gguf: The file that is read instead of ordinary weights, if one is.

    Returns:
        Bytes; None where the repository has no such files, or does not say how large they are.

    Raises:
        InputError: The hub does not answer, or has no such checkpoint.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # its HTTP library's

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=TIMEOUT)
    # HTTPError: no network, no answer in time, an answer that is an error. OSError: offline mode,
    # no certificates. ValueError: an id or a proxy that cannot be, an answer that is no JSON.
    # ImportError: a proxy of a kind that needs another library.
    except (HTTPError, OSError, ValueError, ImportError) as error:
        lines = str(error).strip().splitlines()
        raise InputError(lines[0] if lines else type(error).__name__) from error
    sizes = {one.rfilename: one.size for one in info.siblings or ()}
    for pattern in (re.escape(gguf),) if gguf else WEIGHTS:
        found = [size for file, size in sizes.items() if re.fullmatch(pattern, file)]
        if found:
            known = [size for size in found if size is not None]
            return sum(known) if len(known) == len(found) else None
    return None
