"""When the loop logs, evaluates, writes and ends, and where points of the loss curve go."""

import logging
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from src.tracking.tracker import Tracker

if TYPE_CHECKING:
    from src.training.trainer import LoopTrainer

log = logging.getLogger(__name__)


class Flow(TrainerCallback):
    """Says when the loop logs, evaluates, writes and ends."""

    def __init__(self, trainer: "LoopTrainer") -> None:
        """Args: whose loop it is."""
        self.trainer, self.settings = trainer, trainer.settings
        self.kept = self.due = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Start the clock, and keep the untrained model where step 0 is asked for."""
        del args, control, more
        self.trainer.clock.start()
        if state.global_step == 0 and 0 in self.settings.checkpoints:
            self._evaluate()
            self.trainer.save_folder("step0")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Decide what follows a step."""
        del args, more
        settings, step = self.settings, state.global_step
        over = self.trainer.clock.done(step) >= 1
        stops = step == settings.stop_at
        control.should_training_stop |= over or stops
        self.kept = step in settings.checkpoints
        self.due = self.kept or over or _every(settings.eval_every, step)
        state = self.kept or over or stops or _every(settings.state_every, step)
        control.should_save = state and settings.states != "none" and settings.seconds is None
        # A point wherever a state can be, so that points of a resumed run are of the same steps.
        regular = step == 1 or _every(settings.log_every, step)
        control.should_log = regular or state or self.due

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Evaluate and write what is kept of the model, once the step's point is in the curve."""
        del args, control
        if "loss" not in more["logs"]:
            return
        if self.due:
            self._evaluate()
        if self.kept:
            self.trainer.save_folder(f"step{state.global_step}")

    def _evaluate(self) -> None:
        if self.trainer.task.held_out:
            self.trainer.evaluate()


def _every(count: int | None, step: int) -> bool:
    return count is not None and step % count == 0


class Curve(TrainerCallback):
    """Shows the points of the loss curve in the log and the tracker."""

    def __init__(self, tracker: Tracker) -> None:
        """Args: tracker: where they go."""
        self.tracker = tracker

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Show one point."""
        del args, control
        values: dict[str, float] = {k: v for k, v in more["logs"].items() if k != "step"}
        shown = " ".join(f"{name}={value:.5g}" for name, value in values.items())
        log.info("step %d of %d: %s", state.global_step, state.max_steps, shown)
        self.tracker.log_training(values, state.global_step)
