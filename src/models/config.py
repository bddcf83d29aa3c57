"""Settings of the `model` group."""

from dataclasses import dataclass, field
from pathlib import Path

from src.choices import help_, one_of
from src.errors import InputError

OBJECTIVES = ("auto", "masked", "causal")
DTYPES = ("float32", "float16", "bfloat16")
PYTHIA_SIZES = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
# Every checkpoint the Pythia authors published: 0, powers of two to 512, then each 1000 to 143000.
PYTHIA_STEPS = (0, *(2**k for k in range(10)), *range(1000, 143001, 1000))
TINY_PYTHIA_SIZES = ("0.4m", "1.3m")
TINY_PYTHIA_STEPS = (16, 64, 256, 1024, 1700, 3400, 5100)


@dataclass
class ModelConfig:
    """A checkpoint: where it is and how it is loaded."""

    name: str = field(default="???", metadata=help_("short name for tables and W&B"))
    id: str = field(default="???", metadata=help_("hub id, or a local folder"))
    revision: str = field(
        default="main", metadata=help_("branch, tag or commit on the hub; the commit is recorded")
    )
    objective: str = field(
        default="auto", metadata=help_("auto: from the checkpoint's architecture", OBJECTIVES)
    )
    dtype: str = field(default="float32", metadata=help_("dtype of the weights", DTYPES))
    gguf: str = field(
        default="", metadata=help_("a GGUF file in it, which is loaded instead of its safetensors")
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: A value is not among its choices.
        """
        one_of("model.objective", self.objective, OBJECTIVES)
        one_of("model.dtype", self.dtype, DTYPES)


@dataclass
class PythiaConfig(ModelConfig):
    """A Pythia checkpoint (deduplicated Pile) of one size at one pretraining step."""

    size: str = field(default="410m", metadata=help_("parameters", PYTHIA_SIZES))
    step: int = field(
        default=143000,
        metadata=help_("pretraining step: 0, 1, 2, 4, ... 512, then every 1000 to 143000"),
    )

    def __post_init__(self) -> None:
        """Check size and step.

        Raises:
            InputError: No such checkpoint was published.
        """
        super().__post_init__()
        one_of("model.size", self.size, PYTHIA_SIZES)
        one_of(
            "model.step",
            self.step,
            PYTHIA_STEPS,
            show="0, 1, 2, 4, ... 512, 1000, 2000, ... 143000",
        )


@dataclass
class TinyPythiaConfig(ModelConfig):
    """A checkpoint of the causal family that ships with the project."""

    size: str = field(default="1.3m", metadata=help_("parameters", TINY_PYTHIA_SIZES))
    step: int = field(default=TINY_PYTHIA_STEPS[-1], metadata=help_("step", TINY_PYTHIA_STEPS))

    def __post_init__(self) -> None:
        """Check size and step.

        Raises:
            InputError: No such checkpoint is shipped.
        """
        super().__post_init__()
        one_of("model.size", self.size, TINY_PYTHIA_SIZES)
        one_of("model.step", self.step, TINY_PYTHIA_STEPS)


@dataclass
class TrainedConfig(ModelConfig):
    """A checkpoint that a training of this project wrote."""

    run: str = field(default="???", metadata=help_("folder of the training (its `out`)"))
    step: int = field(default=0, metadata=help_("a step that it wrote a folder after"))

    def __post_init__(self) -> None:
        """Check that the folder is there.

        Raises:
            InputError: It is not; lists the steps that are.
        """
        super().__post_init__()
        run = Path(self.run).expanduser()
        steps = sorted(
            int(path.name.removeprefix("step"))
            for path in run.glob("step*")
            if path.name.removeprefix("step").isdigit()
        )
        if self.step not in steps:
            there = ", ".join(map(str, steps)) or "none: is it the folder of a training?"
            raise InputError(f"model.step={self.step}: {run} has the steps {there}.")
