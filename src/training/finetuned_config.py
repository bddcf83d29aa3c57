"""`model=finetuned`: a checkpoint of fine-tuning, which is trained where it was not before."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from src.choices import help_, one_of
from src.compression.none import NoneConfig
from src.compression.stack import is_dense
from src.errors import Unsupported
from src.models.config import ModelConfig
from src.training.tuning_config import TuningConfig, TuningLoopConfig

if TYPE_CHECKING:
    from src.schema import Config

CODE = ("training", "models", "benchmarks/task_files.py", "benchmarks/task_head.py")
"""Parts of `src/` whose code decides a run."""
ORDERS = ("tune_first", "compress_first")


@dataclass
class FinetunedConfig(ModelConfig):
    """A model after some steps of fine-tuning on a task; `id` is the one that is tuned."""

    step: int = field(default=0, metadata=help_("after how many steps; 0: not tuned yet"))
    order: str = field(
        default="tune_first",
        metadata=help_(
            "whether the cell's compression is applied to the tuned model only, or before tuning "
            "and all through it (prune, wanda, sparsegpt, uniform, ptq) and once more at the end",
            ORDERS,
        ),
    )
    seed: int = field(default=0, metadata=help_("of the task's head, order and dropout"))
    tuning: TuningConfig = field(
        default_factory=TuningConfig, metadata=help_("the task and its head")
    )
    training: TuningLoopConfig = field(
        default_factory=TuningLoopConfig, metadata=help_("how the loop runs")
    )

    def __post_init__(self) -> None:
        """Check order and step.

        Raises:
            InputError: There is no such order, or no checkpoint at this step.
        """
        super().__post_init__()
        one_of("model.order", self.order, ORDERS)
        one_of("model.step", self.step, self.training.kept)

    @property
    def holds(self) -> bool:
        """Whether the cell's compression is held while the model is tuned."""
        return self.order == "compress_first"

    def make(self, config: "Config", now: bool) -> tuple[ModelConfig, dict[str, Any]]:
        """Give the checkpoint as a model that is there.

        Args:
            config: The cell's settings: its compression, where the task's files are, the device.
            now: Whether to train what was not trained before.

        Returns:
            The settings under which it is loaded, and what a cell records of it.

        Raises:
            InputError: The model or the data cannot be had.
            Unsupported: There is nothing to be held while tuning, or it was not trained yet.
        """
        from src.benchmarks.task_files import TASKS
        from src.data.locate import DataFiles
        from src.models.source import find_source
        from src.prepare import find_calibrations_of
        from src.training.finetuning import Tuning, decides, finetune
        from src.training.kept import here, told, trained
        from src.training.scores import training_apart

        held = self.holds
        if held and is_dense(config.compression):
            raise Unsupported(
                "model.order=compress_first has nothing to compress first with "
                "compression=none; the dense model is in the cell of tune_first"
            )
        base = ModelConfig(
            name=self.name,
            id=self.id,
            revision=self.revision,
            objective=self.objective,
            dtype=self.dtype,
        )
        loop = here(self.training, config.system)
        compression = config.compression if held else NoneConfig()
        run = Tuning(base, compression, self.tuning, loop, self.seed)
        files = DataFiles(config.data)
        files.locate(self.tuning.train or TASKS[self.tuning.task].train)
        if held:
            find_calibrations_of(compression, files)
        source, _ = find_source(base)
        exact = source.digest or f"{source.id}@{source.commit or source.revision}"
        parts = decides(run, {"checkpoint": exact}) | {"data": files.checksums()}
        del parts["training"]["threads"]

        def train(out: Any) -> None:
            with training_apart():
                finetune(run, files, out)

        what = f"{self.name} ({'held ' + config.compression.name if held else 'dense'})"
        code = (*CODE, *(("compression",) if held else ()))
        out = trained("finetuned", what, parts, train if now else None, code)
        folder = str(out / f"step{self.step}")
        return replace(base, id=folder, revision="main"), told(out)
