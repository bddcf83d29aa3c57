"""`compression=gptq` and `compression=awq`: integers in groups, fitted to a calibration text.

GPTQ (Frantar et al. 2023) rounds the weights of a layer one column after the other, the columns
that follow making up for the error on the layer's inputs. AWQ (Lin et al. 2024) scales up the
weights whose inputs are large before it rounds to nearest, and their inputs down.

gptqmodel does both, in an environment of its own, as it needs other versions of what this one has.
The checkpoint that it writes is measured as `compression=pretrained` measures one.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from src.choices import at_least, help_, one_of
from src.compression.calibration import CalibrationConfig
from src.compression.elsewhere.checkpoint import Job, quantized_checkpoint
from src.compression.elsewhere.interpreter import versions
from src.compression.linears import find_linears
from src.compression.pretrained import replace_model
from src.compression.registry import Outcome, compression
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.models.quantized import BITS

if TYPE_CHECKING:
    from src.compression.calibration import Calibration
    from src.models.subject import Subject


@dataclass
class GptqConfig:
    """Settings of GPTQ."""

    uncounted: ClassVar[tuple[str, ...]] = ("python", "timeout")

    kind: str = "gptq"
    name: str = "gptq"
    weight_bits: int = field(default=4, metadata=help_("bits of a weight", BITS["gptq"]))
    group_size: int = field(
        default=128,
        metadata=help_(
            "weights of an output channel that share scale and zero point; -1: all of them"
        ),
    )
    symmetric: bool = field(
        default=True, metadata=help_("the zero point is the middle of the integers' range")
    )
    act_order: bool = field(
        default=False,
        metadata=help_("round columns with large inputs first, which stores an order of columns"),
    )
    calibration: CalibrationConfig = field(
        default_factory=CalibrationConfig,
        metadata=help_("text whose inputs the weights are fit to"),
    )
    python: str | None = field(
        default=None,
        metadata=help_("interpreter that has gptqmodel; null: that of `make gptq-env`"),
    )
    timeout: float = field(
        default=0.0, metadata=help_("seconds after which quantizing is given up; 0: never")
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible.
        """
        one_of("compression.weight_bits", self.weight_bits, BITS[self.kind])
        if self.group_size != -1:
            at_least("compression.group_size", self.group_size, 8)
        at_least("compression.timeout", self.timeout, 0)
        if self.python is not None and not self.python.strip():
            raise InputError("compression.python is empty; give an interpreter's path, or null.")

    def versions(self) -> dict[str, str]:
        """Give versions of libraries elsewhere that decide what this does.

        Raises:
            Unsupported: There is no interpreter, and none was named.
            InputError: The one that there is does not have them.
        """
        return versions(self.python)


@dataclass
class AwqConfig(GptqConfig):
    """Settings of AWQ."""

    kind: str = "awq"
    name: str = "awq"
    symmetric: bool = False

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not possible.
        """
        super().__post_init__()
        if self.act_order:
            raise InputError("compression.act_order=true is not possible: AWQ has no order.")


@compression("gptq", GptqConfig, calibrated=True)
def gptq(subject: "Subject", settings: GptqConfig, calibration: "Calibration") -> Outcome:
    """Quantize with GPTQ, in the model's own precision."""
    dtype = str(subject.model.dtype).removeprefix("torch.")
    own = {"desc_act": settings.act_order}
    return _quantize(subject, settings, calibration, own, dtype)


@compression("awq", AwqConfig, calibrated=True)
def awq(subject: "Subject", settings: AwqConfig, calibration: "Calibration") -> Outcome:
    """Quantize with AWQ, in half precision, which is what gptqmodel has for it."""
    return _quantize(subject, settings, calibration, {"format": "gemm"}, "float16")


def _quantize(
    subject: "Subject",
    settings: GptqConfig,
    calibration: "Calibration",
    own: dict[str, Any],
    dtype: str,
) -> Outcome:
    _refuse(subject)
    common = {
        "method": settings.kind,
        "bits": settings.weight_bits,
        "group_size": settings.group_size,
        "sym": settings.symmetric,
    }
    job = Job(common | own, dtype, settings.python, settings.timeout)
    folder, facts = quantized_checkpoint(subject, job, calibration)
    original = subject.source
    loaded = ModelConfig(
        name=settings.name,
        id=str(folder),
        objective=subject.objective,
        dtype=str(subject.model.dtype).removeprefix("torch."),
    )
    outcome = replace_model(subject, loaded)
    subject.source = original  # it is that checkpoint, compressed; the folder is a place to keep it
    skipped = {
        name: "gptqmodel leaves it as it is"
        for name in find_linears(subject, conv1d=True)[0]
        if name not in outcome.skipped
    }
    details = {key: value for key, value in outcome.details.items() if key != "version_of"}
    return replace(outcome, skipped=outcome.skipped | skipped, details=details | facts)


def _refuse(subject: "Subject") -> None:
    """Refuse what cannot be handed over as an ordinary causal model.

    Raises:
        Unsupported: It is a masked model, or an earlier step has packed its weights.
    """
    if subject.objective != "causal":
        raise Unsupported(
            "gptqmodel quantizes causal language models only, and this is a masked one"
        )
    _, skipped = find_linears(subject, conv1d=True)
    for name, why in skipped.items():
        if "compressed already" in why:
            raise Unsupported(
                f"gptqmodel takes ordinary weights, and {name} {why.removeprefix('it ')}"
            )
