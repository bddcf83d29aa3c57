"""Optimisers and the schedule of their learning rates."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from src.training.config import TrainingConfig


class StackedMuon(torch.optim.Muon):
    """torch's Muon with one Newton-Schulz iteration for all matrices of a shape.

    A small model has many equal matrices, and torch orthogonalizes them one by one, which on a
    GPU takes longer than the model's own work. Results are those of torch, to rounding in bf16.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Do one step."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
            buffers = [self.state[weight]["momentum_buffer"] for weight in weights]
            torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
            updates = buffers
            if group["nesterov"]:
                updates = list(torch._foreach_lerp(gradients, buffers, group["momentum"]))
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            by_shape: dict[torch.Size, list[int]] = defaultdict(list)
            for index, weight in enumerate(weights):
                by_shape[weight.shape].append(index)
            for shape, indices in by_shape.items():
                stack = torch.stack([updates[i] for i in indices])
                rate = group["lr"] * 0.2 * max(shape) ** 0.5  # as adjust_lr_fn="match_rms_adamw"
                flat = orthogonalized(stack, group["ns_coefficients"], group["ns_steps"])
                moved = list(flat.to(weights[indices[0]].dtype).unbind())
                torch._foreach_add_([weights[i] for i in indices], moved, alpha=-rate)
        return loss


def orthogonalized(
    stack: torch.Tensor, coefficients: tuple[float, float, float], steps: int
) -> torch.Tensor:
    """Bring the singular values of each matrix near 1 (Jordan et al. 2024), in bfloat16.

    Args:
        stack: (matrices, rows, columns).
        coefficients: Of the quintic iteration.
        steps: Iterations.

    Returns:
        (matrices, rows, columns) in bfloat16.
    """
    a, b, c = coefficients
    tall = stack.shape[1] > stack.shape[2]
    x = (stack.mT if tall else stack).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Together(torch.optim.Optimizer):
    """Several optimisers, of different parameters, as one."""

    def __init__(self, parts: Iterable[torch.optim.Optimizer]) -> None:
        """Args: the optimisers; their groups of parameters are this one's."""
        self.parts = list(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step of each."""
        assert closure is None
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Give the state of each."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of each."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        # Loading makes new groups; the schedule has to change those that are used.
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def optimizer(model: nn.Module, settings: TrainingConfig) -> Together:
    """Make the optimiser of a model's trainable parameters.

    Weight decay is for the layers' matrices alone, as they alone are what Muon works on; in runs
    of minutes Muon reaches a lower loss than AdamW alone, in the same time.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inner = parameter.ndim == 2 and not any(word in name for word in ("embed", "lm_head"))
            (matrices if inner else others).append(parameter)
    rest: dict[str, Any] = {"lr": settings.lr, "betas": tuple(settings.betas)}
    rest["fused"] = next(model.parameters()).device.type == "cuda"
    decay = settings.weight_decay
    parts: list[torch.optim.Optimizer] = []
    if matrices and settings.optimizer == "muon":
        more: dict[str, Any] = {"lr": settings.muon_lr, "weight_decay": decay}
        parts.append(StackedMuon(matrices, adjust_lr_fn="match_rms_adamw", **more))
    elif matrices:
        parts.append(torch.optim.AdamW(matrices, weight_decay=decay, **rest))
    if others:
        parts.append(torch.optim.AdamW(others, weight_decay=0.0, **rest))
    return Together(parts)


class Clock:
    """How much of a run is done, in steps and, where they are limited, seconds."""

    def __init__(self, settings: TrainingConfig) -> None:
        """Args: settings: with the steps and the seconds."""
        self.steps, self.seconds = settings.steps, settings.seconds
        self.started = time.perf_counter()

    def start(self) -> None:
        """Count seconds from now."""
        self.started = time.perf_counter()

    def done(self, step: int) -> float:
        """Give the share of the run that is over after `step` steps, 0 to 1."""
        share = step / self.steps
        if self.seconds is not None:
            share = max(share, (time.perf_counter() - self.started) / self.seconds)
        return min(1.0, share)


def schedule(settings: TrainingConfig, clock: Clock) -> Callable[[int], float]:
    """Give the factor of the learning rates at a step: a linear rise, then a fall to 0."""

    def factor(step: int) -> float:
        # The first step of a run by steps is not wasted on a rate of 0.
        done = max(clock.done(step), 0.5 / settings.steps)
        rise = done / settings.warmup if settings.warmup else 1.0
        return min(1.0, rise) * (1 - done)

    return factor
