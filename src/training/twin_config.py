"""`model=twin`: a model pretrained for the sweep, one of several that differ in their data only."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from src.choices import help_, one_of
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.training.composed import composed, quoted
from src.training.schema import CONF

if TYPE_CHECKING:
    from src.schema import Config

BASELINE = "none"
"""The intervention of the twin that the others are compared with."""
JOIN = "+"


def interventions() -> list[str]:
    """List the changes of the data that there are: those of `conf/training/corpus/transform`."""
    return sorted(path.stem for path in (CONF / "corpus" / "transform").glob("*.yaml"))


@dataclass
class TwinConfig(ModelConfig):
    """A model that is trained from random weights, as `python -m src.pretrain` trains it."""

    recipe: str | None = field(
        default=None, metadata=help_("recipe=… of src.pretrain; null: its defaults")
    )
    corpus: str | None = field(default=None, metadata=help_("text file, plain or .xz"))
    intervention: str = field(
        default=BASELINE,
        metadata=help_(
            f"what is changed in the data; {BASELINE}: nothing; several as a{JOIN}b",
            [BASELINE, *interventions()],
        ),
    )
    step: int | None = field(default=None, metadata=help_("checkpoint; null: the last"))
    seed: int = field(default=0, metadata=help_("of first weights, order of the data and masks"))
    settings: list[str] = field(
        default_factory=list,
        metadata=help_("further settings of src.pretrain, as on its command line"),
    )

    def __post_init__(self) -> None:
        """Check the intervention.

        Raises:
            InputError: There is no such change, or no corpus.
        """
        super().__post_init__()
        for name in self.intervention.split(JOIN):
            choices = interventions() if JOIN in self.intervention else [BASELINE, *interventions()]
            one_of("model.intervention", name, choices)

    def overrides(self) -> list[str]:
        """Give the command line of src.pretrain that trains this model.

        Raises:
            InputError: There is no corpus.
        """
        if self.corpus is None:
            raise InputError("model=twin is trained on a text: model.corpus=FILE (plain or .xz).")
        changes = self.intervention.split(JOIN) if self.intervention != BASELINE else []
        return [
            *([f"recipe={self.recipe}"] if self.recipe else []),
            *([f"+corpus/transform=[{','.join(changes)}]"] if changes else []),
            *self.settings,
            f"corpus.sources.text.path={quoted(self.corpus)}",
            f"seed={self.seed}",
            "name=twin",
            "out=unused",
        ]

    def make(self, config: "Config", now: bool) -> tuple[ModelConfig, dict[str, Any]]:
        """Give the model as one that is there.

        Args:
            config: The cell's settings: the device.
            now: Whether to train what was not trained before.

        Returns:
            The settings under which it is loaded, and what a cell records of it.

        Raises:
            InputError: A setting or the text is wrong.
            Unsupported: It has no checkpoint of this step, or was not trained yet.
        """
        from src.training.kept import counted, here, told, trained
        from src.training.pretraining import pretrain
        from src.training.provenance import describe_corpus, tokenizer_digest
        from src.training.scores import training_apart
        from src.training.tokenizers import load

        run = composed("pretrain", self.overrides())
        run.training = here(run.training, config.system)
        if self.step is not None and self.step not in run.training.checkpoints:
            raise Unsupported(
                f"model.step={self.step} is none of training.checkpoints="
                f"{run.training.checkpoints}; give them in model.settings"
            )
        parts: dict[str, Any] = {
            name: asdict(getattr(run, name)) for name in ("architecture", "tokenizer")
        }
        parts |= {"training": counted(run.training), "seed": run.seed}
        parts |= {"corpus": describe_corpus(run.corpus)}
        if run.tokenizer.path is not None:  # it counts as what it is, wherever it is
            parts["tokenizer"] = tokenizer_digest(load(run.tokenizer.path))

        def train(out: Any) -> None:
            with training_apart():
                pretrain(run, out)

        what = f"{self.name} ({self.intervention})"
        out = trained("pretrained", what, parts, train if now else None)
        folder = out / ("final" if self.step is None else f"step{self.step}")
        made = ModelConfig(
            name=self.name, id=str(folder), objective=self.objective, dtype=self.dtype
        )
        return made, told(out) | {"command": ["python -m src.pretrain", *self.overrides()]}
