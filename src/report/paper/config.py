"""Settings of the `paper` group: which cells stand for which rows of the paper's tables."""

import re
from dataclasses import dataclass, field
from typing import Any

from src.choices import help_
from src.errors import InputError

KINDS = ("masked", "pythia", "ladder")
"""The sweeps that all tables and figures are made from; `paper_KIND` is the experiment of each."""
FP32, INT8 = "fp32", "int8"
Rows = dict[str, dict[str, Any]]


@dataclass
class PaperConfig:
    """Which cells stand for which rows. What is swept is in `conf/paper/KIND/` under one name."""

    name: str = field(
        default="paper", metadata=help_("beginning of the sweeps' names; folder of the tables")
    )
    stand_in: bool = field(
        default=False,
        metadata=help_("other models in the places of the paper's: nothing is said to agree"),
    )
    precisions: dict[str, str] = field(
        default_factory=lambda: {FP32: "none", INT8: "ptq"},
        metadata=help_("the paper's precision -> compression.name"),
    )
    masked: Rows = field(
        default_factory=dict, metadata=help_("row of tables 1, 4, 7, 8, 9 -> settings of its cells")
    )
    pythia: Rows = field(
        default_factory=dict, metadata=help_("row of tables 2, 3, 5, 6 -> settings of its cells")
    )
    ladder: Rows = field(
        default_factory=dict, metadata=help_("model of the precision ladder -> settings")
    )

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            InputError: It is not the plain name of one folder.
        """
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise InputError(
                f"paper.name={self.name} is not possible; it names a folder, so it has letters, "
                "digits and _ . - only."
            )

    def rows(self, kind: str) -> Rows:
        """Give the rows of one of `KINDS`."""
        found: Rows = getattr(self, kind)
        return found
