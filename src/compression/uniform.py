"""`compression=uniform`: the precision ladder, round to nearest on a uniform grid.

Weights have 1.58 (ternary), 2 to 8 or 16 bits and are stored packed; activations have 2 to 8 or 16
bits with a range per sequence, or are left alone. `ptq` is the point weight_bits=8,
activation_bits=7, granularity=tensor, conv1d=false. The grids are described in
`src.compression.layers.grid`.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import at_least, help_, one_of
from src.compression.linears import (
    Build,
    find_embeddings,
    find_linears,
    put,
    replace_linears,
    stored_bits,
    ties,
)
from src.compression.receipt import Change, describe_change
from src.compression.registry import Outcome, compression
from src.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.compression.layers.grid import Grid, Packed
    from src.models.subject import Subject

TERNARY = 1.58
WEIGHT_BITS = (TERNARY, 2, 3, 4, 5, 6, 7, 8, 16)
ACTIVATION_BITS = (2, 3, 4, 5, 6, 7, 8, 16, None)
GRANULARITIES = ("tensor", "channel", "group")
SCHEMES = ("symmetric", "affine")
MODULES = ("blocks", "with_head", "with_embeddings")


@dataclass
class UniformConfig:
    """Settings of uniform quantization."""

    kind: str = "uniform"
    name: str = "uniform"
    weight_bits: int | float = field(
        default=8, metadata=help_("bits a weight; 1.58 is ternary", WEIGHT_BITS)
    )
    activation_bits: int | None = field(
        default=None,
        metadata=help_("bits of the input of linear layers; null: as it is", ACTIVATION_BITS[:-1]),
    )
    granularity: str = field(
        default="channel",
        metadata=help_("weights that share a scale; channel: one output's", GRANULARITIES),
    )
    group_size: int = field(
        default=128, metadata=help_("consecutive weights of a row, with granularity=group")
    )
    scheme: str = field(default="symmetric", metadata=help_("affine has zero points", SCHEMES))
    modules: str = field(
        default="with_head",
        metadata=help_(
            "linear layers of the blocks, with those outside them (the language-model head), with "
            "embeddings as well",
            MODULES,
        ),
    )
    conv1d: bool = field(default=True, metadata=help_("also GPT-2's Conv1D layers"))

    @property
    def spans_sequences(self) -> bool:
        """Whether a range is taken over a whole sequence."""
        return self.activation_bits is not None

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not among its choices, or two do not go together.
        """
        one_of("compression.weight_bits", self.weight_bits, WEIGHT_BITS)
        one_of("compression.activation_bits", self.activation_bits, ACTIVATION_BITS)
        one_of("compression.granularity", self.granularity, GRANULARITIES)
        one_of("compression.scheme", self.scheme, SCHEMES)
        one_of("compression.modules", self.modules, MODULES)
        at_least("compression.group_size", self.group_size, 2)
        if self.weight_bits == TERNARY and self.scheme != "symmetric":
            raise InputError(
                f"compression.scheme={self.scheme} is not possible with "
                "compression.weight_bits=1.58: ternary weights are symmetric."
            )


@compression("uniform", UniformConfig)
def quantize_uniform(subject: "Subject", settings: UniformConfig) -> Outcome:
    """Replace linear layers, and embeddings where asked, by ones with packed weights."""
    from src.compression.layers.grid import Grid

    grid = Grid(
        settings.weight_bits,
        settings.granularity,
        settings.group_size,
        settings.scheme == "symmetric",
    )
    linears, skipped = find_linears(subject, settings.conv1d, settings.modules != "blocks")
    tables: dict[str, nn.Module] = {}
    if settings.modules == "with_embeddings":
        tables, others = find_embeddings(subject)
        skipped |= others
    twins = ties(subject, tables)
    tied = {linear: table for linear, table in twins.items() if linear in linears}
    kept = {table: linear for linear, table in twins.items() if linear not in linears}
    packed, changes = _replace_tables(subject, tables, grid, kept)
    build = _builder(subject, settings, grid, packed)
    # Both layers of a tied pair hold one packed weight, which is one change.
    changes += tuple(
        change for change in replace_linears(subject, linears, build) if change.module not in tied
    )
    skipped |= {linear: f"shares the packed weight of {table}" for linear, table in tied.items()}
    details = {"tied": tied} if tied else {}
    return Outcome(changes, skipped, details, nominal_bits=float(settings.weight_bits))


def _replace_tables(
    subject: "Subject", tables: "dict[str, nn.Module]", grid: "Grid", kept: "dict[str, str]"
) -> "tuple[dict[int, Packed], tuple[Change, ...]]":
    """Replace embeddings.

    Args:
        subject: Its model is changed.
        tables: Name -> embedding.
        grid: How they are rounded.
        kept: Name of an embedding -> of a layer that goes on with its weight as it was.

    Returns:
        What each weight has become, by the weight's address, and the changes.
    """
    from src.compression.layers.grid import quantize
    from src.compression.layers.uniform import UniformEmbedding

    found: dict[int, Packed] = {}
    changes = []
    for name, module in tables.items():
        weight = module.get_parameter("weight").detach()
        packed = quantize(weight, grid)
        new = UniformEmbedding(packed, grid, weight.shape[1], weight.dtype)
        dense, tie = new.dense_weight(), kept.get(name, "")
        bits = stored_bits(new, dense)
        changes.append(describe_change(name, "Embedding", weight, dense, bits, tie))
        put(subject.model, name, new)
        found[weight.data_ptr()] = packed
    return found, tuple(changes)


def _builder(
    subject: "Subject", settings: UniformConfig, grid: "Grid", packed: "dict[int, Packed]"
) -> Build:
    """Give what makes a layer of a weight; a weight that is packed already is used as it is."""
    from src.compression.layers.grid import quantize
    from src.compression.layers.uniform import UniformLinear
    from src.models.batch_layout import BatchLayout

    layout = BatchLayout(subject.model)

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        own = packed.get(weight.data_ptr()) or quantize(weight, grid)
        return UniformLinear(own, grid, weight.shape[1], bias, settings.activation_bits, layout)

    return build
