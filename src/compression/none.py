"""`compression=none`: the model as it is, the twin that every compressed cell is compared with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    from src.models.subject import Subject


@dataclass
class NoneConfig:
    """Nothing to set."""

    changes_nothing: ClassVar[bool] = True

    kind: str = "none"
    name: str = "none"


@compression("none", NoneConfig, may_change_nothing=True)
def leave_alone(subject: "Subject", settings: NoneConfig) -> Outcome:
    """Change nothing."""
    del subject, settings
    return Outcome(changes=(), skipped={})
