"""Fine-tune a model on a task: `python -m src.finetune [group=option ...] [key=value ...]`."""

from typing import Any

import hydra
from omegaconf import DictConfig

from src import schema as cells
from src import sweep
from src.command_line import is_first_process
from src.training import entry, schema, tuning_schema

cells.register()
sweep.register()
schema.register()
tuning_schema.register()


@hydra.main(version_base="1.3", config_path=str(schema.CONF), config_name="finetune")
def job(composed: DictConfig) -> None:
    """Tune, and score each checkpoint."""

    def train(config: Any, out: Any, tracker: Any) -> dict[str, Any]:
        # Imported here: torch is not needed to compose a config or to print the help.
        from src.data.locate import DataFiles
        from src.training.finetuning import Tuning, finetune
        from src.training.scores import lines, score_checkpoints, training_apart

        run = Tuning(config.model, config.compression, config.tuning, config.training, config.seed)
        files = DataFiles(config.data)
        with training_apart():
            record = finetune(run, files, out, tracker, config.resume_step)
        task, system, statistics = config.tuning.task, config.system, config.statistics
        scores = score_checkpoints(out, task, files, system, statistics)
        if is_first_process():
            print(*lines(scores), sep="\n")
        return record

    entry.run(composed, train)


if __name__ == "__main__":
    entry.main(job, "finetune")
