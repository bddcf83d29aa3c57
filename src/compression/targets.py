"""Which linear layers a method that is told `modules` works on."""

from typing import TYPE_CHECKING

from src.compression.linears import find_linears

if TYPE_CHECKING:
    from torch import nn

    from src.models.subject import Subject

MODULES = ("blocks", "linears")
MODULES_HELP = (
    "blocks: linear layers of the repeated blocks, as in the literature; linears: also the others, "
    "head included"
)


def linears_of(subject: "Subject", modules: str) -> tuple[dict[str, "nn.Module"], dict[str, str]]:
    """List the linear layers that a setting `modules` means, Conv1D included.

    Args:
        subject: The loaded subject.
        modules: One of `MODULES`.

    Returns:
        Dotted name -> layer, and those left alone -> why.
    """
    return find_linears(subject, conv1d=True, outside=modules == "linears")
