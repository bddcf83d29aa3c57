"""The loaded thing that is measured."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.models.traits import TextSide

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint came from, exactly enough to get the same one again.

    Attributes:
        id: Hub id or local folder, as configured.
        revision: As configured; None for a local folder.
        commit: The hub commit the revision stood for; None for a local folder.
        digest: sha256 over the folder's files, for a local folder; None for the hub.
        weight_files: Names of the weight files.
        weight_bytes: Their size on disk.
        gguf: Name of the GGUF file that is loaded; empty for ordinary weights.
    """

    id: str
    revision: str | None
    commit: str | None
    digest: str | None
    weight_files: tuple[str, ...] = ()
    weight_bytes: int = 0
    gguf: str = ""


@dataclass(slots=True)
class Subject:
    """Model, tokenizer side, objective and device of one cell.

    Attributes:
        model: In eval mode, on `device`.
        text: Its tokenizer, and what is known of it.
        objective: "masked" or "causal".
        device: Where the model is.
        source: The checkpoint.
        start_token: The scorer's choice, as it was loaded with.
    """

    model: "PreTrainedModel"
    text: TextSide
    objective: str
    device: "torch.device"
    source: Source
    start_token: str = "auto"
