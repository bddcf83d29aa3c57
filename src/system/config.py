"""Settings of the `system` and `debug` groups."""

import re
from dataclasses import dataclass, field

from src.choices import at_least, help_, one_of
from src.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
DEVICE_MAPS = ("none", "auto")


@dataclass
class SystemConfig:
    """Where and how densely a cell runs. Nothing here changes a number by more than rounding."""

    device: str = field(default="auto", metadata=help_("auto: a GPU if there is one", DEVICES))
    threads: int | None = field(default=None, metadata=help_("CPU threads; null: torch's choice"))
    batch_tokens: int | None = field(
        default=None,
        metadata=help_(
            "most tokens a batch; null: 2048 on a CPU, 65536 on a GPU; halves itself "
            "when memory runs out"
        ),
    )
    batch_logits: int | None = field(
        default=None,
        metadata=help_(
            "most logits (positions x vocabulary) of a batch, an eighth of them held at a time "
            "where the model allows it; null: 2**25 on a CPU, 2**29 on a GPU"
        ),
    )
    device_map: str = field(
        default="none",
        metadata=help_(
            "auto: Accelerate spreads a dense model over several GPUs, memory and disk", DEVICE_MAPS
        ),
    )
    gpu_memory: str | None = field(
        default=None,
        metadata=help_("with device_map=auto, most memory for weights on each GPU: 70GiB"),
    )
    cpu_memory: str | None = field(
        default=None,
        metadata=help_("the same of main memory; what fits nowhere is read from disk as needed"),
    )
    progress: bool = field(default=True, metadata=help_("show progress"))
    reuse_weights: bool = field(
        default=True,
        metadata=help_(
            "in a sweep, keep a copy of the dense weights in memory for the compressed twins, if "
            "it takes at most a quarter of what is free"
        ),
    )
    load_ahead: bool = field(
        default=True,
        metadata=help_(
            "in a sweep over checkpoints, read the next one's files while the present one is "
            "scored, if they take at most half of the memory that is free"
        ),
    )
    keep_checkpoints: bool = field(
        default=True,
        metadata=help_(
            "false: what a sweep downloaded of the hub is removed from the cache once all its "
            "cells are done"
        ),
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: A value is not possible.
        """
        one_of("system.device", self.device, DEVICES)
        one_of("system.device_map", self.device_map, DEVICE_MAPS)
        for name in ("gpu_memory", "cpu_memory"):
            size = getattr(self, name)
            if size is not None and self.device_map == "none":
                raise InputError(f"system.{name} is for system.device_map=auto, which is not set.")
            if size is not None and not re.fullmatch(r"\d+(\.\d+)?([KMG]i?B)?", size):
                raise InputError(f"system.{name}={size} is no size; write it like 70GiB or 500MB.")
        at_least("system.threads", self.threads, 1)
        at_least("system.batch_tokens", self.batch_tokens, 1)
        at_least("system.batch_logits", self.batch_logits, 1)


@dataclass
class DebugConfig:
    """Short-cuts for trying things out."""

    dry: bool = field(default=False, metadata=help_("compose, check and print only"))
    plan: bool = field(
        default=False, metadata=help_("say what a cell would cost, without running its model")
    )
    limit: int | None = field(
        default=None,
        metadata=help_("items of each category (sentences of each SEAT set) at most; null: all"),
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: A value is not possible.
        """
        at_least("debug.limit", self.limit, 1)
