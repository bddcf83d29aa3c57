"""`compression=distill`: a student of the model, in its place; trained before, or trained now."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from src.choices import help_
from src.compression.distilled import put_in_place
from src.compression.registry import Outcome, compression
from src.errors import InputError, Unsupported
from src.models.config import ModelConfig
from src.training.composed import composed, quoted

if TYPE_CHECKING:
    from src.models.subject import Subject
    from src.schema import Config

CODE = ("training", "models")
"""Parts of `src/` whose code decides a student."""


@dataclass
class DistillConfig:
    """Where the student is, or how it is trained."""

    # The checkpoint that they come to counts.
    uncounted: ClassVar[tuple[str, ...]] = ("student", "corpus", "recipe", "settings", "made")

    kind: str = "distill"
    name: str = "distill"
    student: str | None = field(
        default=None,
        metadata=help_("folder of a student that was trained before; null: train it"),
    )
    corpus: str | None = field(
        default=None, metadata=help_("text file, plain or .xz, that a student is trained on")
    )
    recipe: str | None = field(
        default=None, metadata=help_("recipe=… of src.distill; null: its defaults")
    )
    settings: list[str] = field(
        default_factory=list,
        metadata=help_("further settings of src.distill, as on its command line"),
    )
    made: dict[str, Any] = field(
        default_factory=dict, metadata=help_("filled in by the program: how the student was made")
    )

    def overrides(self, teacher: ModelConfig) -> list[str]:
        """Give the command line of src.distill that trains a student of a model.

        Raises:
            Unsupported: There is no text to train it on.
        """
        if self.corpus is None:
            raise Unsupported(
                "compression=distill has neither a student that was trained before "
                "(compression.student=FOLDER) nor a text to train one on (compression.corpus=FILE)"
            )
        return [
            *([f"recipe={self.recipe}"] if self.recipe else []),
            *self.settings,
            f"corpus.sources.text.path={quoted(self.corpus)}",
            f"distillation.teacher={quoted(teacher.id)}",
            f"distillation.revision={quoted(teacher.revision)}",
            "name=student",
            "out=unused",
        ]

    def make(
        self, model: ModelConfig, config: "Config", now: bool
    ) -> tuple["DistillConfig", dict[str, Any]]:
        """Give the settings with a student that is there.

        Args:
            model: The teacher, which is there.
            config: The cell's settings: the device.
            now: Whether to train what was not trained before.

        Returns:
            The settings, and what a cell records of the student.

        Raises:
            InputError: A setting, the text or the student's folder is wrong.
            Unsupported: There is no student and no text, or it was not trained yet.
        """
        if self.student is not None:
            if not Path(self.student).expanduser().is_dir():
                raise InputError(f"compression.student={self.student}: there is no such folder.")
            made: dict[str, Any] = {"trained": "before", "folder": self.student}
            return replace(self, made=made), made
        from src.models.source import find_source
        from src.training.distilling import distill
        from src.training.kept import counted, here, told, trained
        from src.training.provenance import describe_corpus
        from src.training.scores import training_apart

        run = composed("distill", self.overrides(model))
        run.training = here(run.training, config.system)
        source, _ = find_source(model)
        parts: dict[str, Any] = {
            "teacher": source.digest or f"{source.id}@{source.commit or source.revision}",
            "distillation": asdict(run.distillation),
            "training": counted(run.training),
            "seed": run.seed,
            "corpus": describe_corpus(run.corpus),
        }
        # The teacher counts as what it is, wherever it is.
        for key in ("teacher", "revision"):
            del parts["distillation"][key]

        def train(out: Path) -> None:
            with training_apart():
                distill(run, out)

        what = f"a student of {model.name}"
        out = trained("distilled", what, parts, train if now else None, CODE)
        command = ["python -m src.distill", *self.overrides(model)]
        made = {"trained": "for this sweep or one before", **told(out), "command": command}
        return replace(self, student=str(out / "final"), made=made), made

    def checkpoint(self, model: ModelConfig) -> ModelConfig:
        """Say which checkpoint is measured in the place of a model.

        Args:
            model: The teacher.

        Raises:
            Unsupported: The student is still to be trained.
        """
        if self.student is None:
            raise Unsupported(f"the student of {model.id} is still to be trained")
        return ModelConfig(
            name=self.name, id=self.student, objective=model.objective, dtype=model.dtype
        )


@compression("distill", DistillConfig)
def swap(subject: "Subject", settings: DistillConfig) -> Outcome:
    """Load the student and measure it in the teacher's place."""
    found = put_in_place(subject, settings)
    return replace(found, details=found.details | {"made": settings.made})
