"""`compression=distilled`: the student that was published for a model, in the model's place.

Which student belongs to which model is a table in `conf/compression/distilled.yaml`.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from src.choices import help_
from src.compression.registry import Outcome, compression
from src.errors import Unsupported
from src.models.config import ModelConfig

if TYPE_CHECKING:
    from src.models.subject import Subject

SOURCE = Path(__file__).parents[1]
SHIPPED = "shipped:"
"""What a table's key begins with where the teacher is a folder of this project."""


@dataclass
class Student:
    """A checkpoint that was distilled from another one."""

    id: str = field(default="???", metadata=help_("hub id, or a local folder"))
    revision: str = field(default="main", metadata=help_("branch, tag or commit on the hub"))


@dataclass
class DistilledConfig:
    """Which student stands in for which model."""

    uncounted: ClassVar[tuple[str, ...]] = ("students",)

    kind: str = "distilled"
    name: str = "distilled"
    students: dict[str, Student] = field(
        default_factory=dict,
        metadata=help_(
            "model.id of the teacher (or shipped:models/tiny/..., as in conf/model) -> its student"
        ),
    )

    def checkpoint(self, model: ModelConfig) -> ModelConfig:
        """Say which checkpoint is measured in the place of a model.

        Args:
            model: The `model` group.

        Returns:
            The settings under which the student is loaded.

        Raises:
            Unsupported: The table has no student of this model.
        """
        student = self.students.get(model.id) or self.students.get(_shipped(model.id))
        if student is None:
            raise Unsupported(
                f"no student of {model.id} is known; there is one for "
                f"{', '.join(self.students) or 'no model'}. Add to conf/compression/distilled.yaml,"
                f" or say +compression.students={{{model.id}: {{id: STUDENT}}}}"
            )
        return ModelConfig(
            name=self.name,
            id=student.id,
            revision=student.revision,
            objective=model.objective,
            dtype=model.dtype,
        )


def _shipped(model_id: str) -> str:
    """Name a folder of this project as tables do, wherever the project lies."""
    path = Path(model_id)
    return SHIPPED + path.relative_to(SOURCE).as_posix() if path.is_relative_to(SOURCE) else ""


@compression("distilled", DistilledConfig)
def swap(subject: "Subject", settings: DistilledConfig) -> Outcome:
    """Load the student and measure it in the teacher's place."""
    return put_in_place(subject, settings)


class Replacing(Protocol):
    """Settings of a method that measures another checkpoint in a model's place."""

    name: str

    def checkpoint(self, model: ModelConfig) -> ModelConfig:
        """Say which one."""
        ...


def put_in_place(subject: "Subject", settings: Replacing) -> Outcome:
    """Put another checkpoint in a model's place.

    Args:
        subject: The teacher; becomes the student.
        settings: Which student.
    """
    from src.models.load import load_subject, with_weight_files

    teacher = subject.source
    dtype = str(subject.model.dtype).removeprefix("torch.")
    wanted = ModelConfig(
        name=settings.name, id=teacher.id, objective=subject.objective, dtype=dtype
    )
    student = load_subject(settings.checkpoint(wanted), subject.device, subject.start_token)
    subject.model, subject.text = student.model, student.text
    subject.source = with_weight_files(student.source)
    return Outcome((), {}, {"teacher": asdict(teacher), "student": asdict(subject.source)})
