"""The one training loop: transformers' Trainer, told what a step reads and what a loss is."""

import itertools
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from torch import nn
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from src.errors import InputError
from src.training.batches import Batch, Batches
from src.training.config import TrainingConfig
from src.training.flow import Flow
from src.training.folders import PARTIAL, take_place, writing
from src.training.optimizers import Clock, optimizer, schedule
from src.training.record import write_curve
from src.training.task import Task


class Stream:
    """The parts of all steps from one on, without end; the Trainer reads it as its data loader."""

    def __init__(self, batches: Batches, start: int) -> None:
        """Args: the steps, and the first that is read."""
        self.batches, self.start = batches, start

    def __iter__(self) -> Iterator[Batch]:
        """Begin at the first step."""
        for step in itertools.count(self.start):
            yield from self.batches.parts(step)


class LoopTrainer(Trainer):
    """Trainer whose data are a function of the step, so that it resumes to the same result."""

    def __init__(
        self, task: Task, settings: TrainingConfig, args: TrainingArguments, start: int, out: Path
    ) -> None:
        """Make the optimiser and the schedule.

        Args:
            task: What is trained.
            settings: How.
            args: Those of `src.training.run.arguments`.
            start: The first step, 0 unless the run is resumed.
            out: Where folders of the model and states are written.
        """
        self.task, self.settings, self.start, self.out = task, settings, start, out
        self.clock = Clock(settings)
        task.model.to(args.device)
        used = optimizer(task.model, settings)
        rates = torch.optim.lr_scheduler.LambdaLR(used, schedule(settings, self.clock))
        super().__init__(
            model=task.model,
            args=args,
            callbacks=[*task.callbacks, Flow(self)],
            optimizers=(used, rates),
        )
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> Any:
        """Give the steps from the first one on; they are on the device already."""
        return Stream(self.task.batches, self.start)

    def training_step(
        self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Add the gradient of one part, by its share of the whole step."""
        del num_items_in_batch
        model.train()
        loss: torch.Tensor = self.task.loss(model, inputs) * inputs["weight"]
        self.accelerator.backward(loss)
        return loss.detach()

    def floating_point_ops(self, inputs: Batch) -> int:
        """Count nothing: the Trainer would go through all parameters for it, every step."""
        del inputs
        return 0

    @torch.no_grad()
    def evaluate(self, *unused: Any, **also_unused: Any) -> dict[str, float]:
        """Log the mean loss over the held-out batches, each by its targets."""
        del unused, also_unused
        self.model.eval()
        loss = self.task.held_out_loss or self.task.loss
        losses = [loss(self.model, batch) for batch in self.task.held_out]
        counts = [batch["targets"].numel() for batch in self.task.held_out]
        self.model.train()
        total = sum(one.item() * count for one, count in zip(losses, counts, strict=True))
        self.log({"held_out_loss": total / sum(counts)})
        return {"held_out_loss": total / sum(counts)}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add a point to the loss curve; the Trainer's summary at the end is none.

        Raises:
            InputError: A loss is not finite: what follows would be none either.
        """
        del start_time
        if "train_runtime" in logs:
            return
        step = self.state.global_step
        if not all(math.isfinite(logs.get(name, 0.0)) for name in ("loss", "held_out_loss")):
            raise InputError(
                f"the loss at step {step} is not finite; use a lower training.lr or "
                "training.muon_lr, a longer training.warmup, or training.precision=fp32."
            )
        entry = {"step": step, "tokens": self.task.batches.tokens(step), **logs}
        self.state.log_history.append(entry)
        spent = time.perf_counter() - self.clock.started
        since = entry["tokens"] - self.task.batches.tokens(self.start)
        speed = {"seconds": spent, "tokens_per_second": since / spent}
        self.control: TrainerControl = self.callback_handler.on_log(
            self.args, self.state, self.control, entry | speed
        )

    def load_state(self, folder: str) -> None:
        """Take the weights and the loss curve of a state, to train no further."""
        self._load_from_checkpoint(folder)
        self.state = TrainerState.load_from_json(str(Path(folder) / "trainer_state.json"))

    def save_folder(self, name: str) -> None:
        """Write what the task keeps of the model as a folder of `out`, in the first process."""
        if self.task.save is not None:
            step, save = self.state.global_step, self.task.save

            def write(partial: Path) -> None:
                save(step, partial)
                write_curve(partial / "training.json", self.state.log_history)

            self._staged(self.out / name, write, alone=True)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the weights of a state, in fp32, of a model of any class."""
        if self.args.should_save:
            file = Path(output_dir or self.args.output_dir) / "model.safetensors"
            save_weights(self.model, str(file))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(model or self.model, str(Path(resume_from_checkpoint) / "model.safetensors"))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a state to resume from: all of it or nothing."""
        del model, trial
        states = self.out / "states"

        def write(partial: Path) -> None:
            folder = str(partial)
            self.save_model(folder)
            self._save_optimizer_and_scheduler(folder)
            self._save_scaler(folder)
            self._save_rng_state(folder)
            if self.args.should_save:
                self.state.save_to_json(str(partial / "trainer_state.json"))

        self._staged(states / f"step{self.state.global_step}", write, alone=False)
        if self.settings.states == "last" and self.args.should_save:
            for old in states.glob("step*"):
                if old.name != f"step{self.state.global_step}":
                    shutil.rmtree(old)

    def _staged(self, path: Path, write: Callable[[Path], None], alone: bool) -> None:
        """Write a folder in one process or all, and give it its name when all are done."""
        partial, first = path.with_name(f"{PARTIAL}{path.name}"), self.args.should_save
        with writing(path):
            if first:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            if first or not alone:
                write(partial)
            self.accelerator.wait_for_everyone()
            if first:
                take_place(partial, path)
        self.accelerator.wait_for_everyone()
