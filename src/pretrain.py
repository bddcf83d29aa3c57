"""Training from random weights: `python -m src.pretrain [group=option ...] [key=value ...]`."""

import hydra
from omegaconf import DictConfig

from src.training import entry, schema

schema.register()


@hydra.main(version_base="1.3", config_path=str(schema.CONF), config_name="pretrain")
def job(composed: DictConfig) -> None:
    """Run one training."""

    def train(*given: object) -> dict[str, object]:
        # Imported here: torch is not needed to compose a config or to print the help.
        from src.training.pretraining import pretrain

        return pretrain(*given)  # type: ignore[arg-type]

    entry.run(composed, train)


if __name__ == "__main__":
    entry.main(job, "pretrain")
