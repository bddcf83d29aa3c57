"""Settings of the `tracker` group."""

from dataclasses import dataclass, field

from src.choices import at_least, help_, one_of

MODES = ("auto", "online", "offline", "disabled")


@dataclass
class NoTrackerConfig:
    """Records on disk only."""

    kind: str = "none"


@dataclass
class WandbConfig:
    """One Weights & Biases run a cell."""

    kind: str = "wandb"
    project: str = field(default="compression-bias", metadata=help_("W&B project"))
    entity: str | None = field(default=None, metadata=help_("W&B user or team; null: your own"))
    mode: str = field(
        default="auto", metadata=help_("auto: online with credentials, else offline", MODES)
    )
    tags: list[str] = field(default_factory=list, metadata=help_("tags of every run"))
    log_items: bool = field(default=False, metadata=help_("also log the table of items"))
    max_rows: int = field(default=10_000, metadata=help_("items in that table at most"))

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: A value is not possible.
        """
        one_of("tracker.mode", self.mode, MODES)
        at_least("tracker.max_rows", self.max_rows, 1)


TrackerConfig = NoTrackerConfig | WandbConfig
