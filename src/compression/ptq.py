"""`compression=ptq`: the paper's dynamic int8 post-training quantization.

Every nn.Linear, the language-model head included, gets int8 weights (per tensor, symmetric) and
activations quantized at run time to 7 bits (per sequence, affine): what
`torch.quantization.quantize_dynamic(model, {nn.Linear}, qint8)` does on x86 to one sequence at a
time. A head tied to the input embeddings is untied, for the embeddings stay as they are.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from src.choices import help_
from src.compression.linears import find_linears, replace_linears
from src.compression.registry import Outcome, compression

if TYPE_CHECKING:
    import torch
    from torch import nn

    from src.models.subject import Subject


@dataclass
class PtqConfig:
    """Settings of dynamic int8 quantization."""

    spans_sequences: ClassVar[bool] = True
    multiplies_int8: ClassVar[bool] = True
    kind: str = "ptq"
    name: str = "ptq"
    conv1d: bool = field(
        default=False,
        metadata=help_("also quantize GPT-2's Conv1D layers, which the official code leaves alone"),
    )


@compression("ptq", PtqConfig)
def quantize_dynamic(subject: "Subject", settings: PtqConfig) -> Outcome:
    """Replace linear layers by dynamically quantized ones."""
    from src.compression.layers.dynamic_int8 import DynamicInt8Linear
    from src.models.batch_layout import BatchLayout

    layout = BatchLayout(subject.model)

    def build(weight: "torch.Tensor", bias: "torch.Tensor | None") -> "nn.Module":
        return DynamicInt8Linear(weight, bias, layout)

    linears, skipped = find_linears(subject, settings.conv1d)
    changes = replace_linears(subject, linears, build)
    return Outcome(changes, skipped, nominal_bits=8.0)
