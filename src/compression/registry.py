"""Applying compression methods and writing the receipt; what a method needs to register itself."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from src.compression.methods import METHODS, Outcome, compression
from src.compression.receipt import Change, Receipt, Step, mean_over_weights, total_error
from src.compression.stack import is_dense, plain_settings, steps_of
from src.errors import InputError
from src.models.quantized import quantization_method
from src.models.spread import refuse_spread
from src.models.subject import Subject

if TYPE_CHECKING:
    from src.compression.calibration import Calibration
    from src.compression.originals import Originals

__all__ = ["METHODS", "Outcome", "compress", "compression"]


def compress(
    subject: Subject,
    settings: Any,
    calibration: "Calibration | Mapping[str, Calibration] | None" = None,
    held: bool = False,
) -> Receipt:
    """Make a subject smaller and write down what was done.

    Args:
        subject: The loaded subject; its model is changed, or another one put into its place.
        settings: The settings object of one method (its `kind` names the method), or a stack.
        calibration: What calibrated methods let the model read; of a stack by name of the step.
        held: The model was compressed like this before and trained within it, so that nothing may
            be left to change.

    Returns:
        The receipt.

    Raises:
        InputError: A step changed nothing, so it would be named for what it did not do.
        Unsupported: A method cannot be applied to this model or on this device.
    """
    from src.compression.originals import Originals
    from src.compression.storage import digest, disk_bytes, memory_bytes, tensors

    steps = steps_of(settings)
    _refuse_quantized(subject, next(iter(steps.values())).kind)
    if not is_dense(settings):
        refuse_spread(subject.model, f"compression={settings.name}")
    elements = sum(tensor.numel() for _, tensor in tensors(subject.model))
    bytes_before = memory_bytes(subject.model)
    originals = Originals(subject.model) if len(steps) > 1 else None
    done: list[Step] = []
    for name, step in steps.items():
        own = calibration.get(name) if isinstance(calibration, Mapping) else calibration
        before = done[-1].hash_after if done else digest(subject.model)
        done.append(_apply(subject, name, step, own, before, held))
        if originals is not None:
            originals.follow(subject.model, done[-1].changes)
            if _replaces(done[-1]):
                originals = Originals(subject.model)
    changes, skipped, error = _totals(done, originals)
    bytes_after = memory_bytes(subject.model)
    stacked = len(done) > 1
    return Receipt(
        method="+".join(step.method for step in done),
        settings=plain_settings(settings),
        changes=changes,
        skipped=skipped,
        details={step.step: step.details for step in done} if stacked else done[0].details,
        elements=elements,
        elements_changed=sum(change.elements for change in changes),
        memory_bytes_before=bytes_before,
        memory_bytes_after=bytes_after,
        disk_bytes=disk_bytes(subject.model),
        mean_bits=8 * bytes_after / elements,
        stored_bits=mean_over_weights(changes, "bits"),
        nominal_bits=next((s.nominal_bits for s in reversed(done) if s.nominal_bits), None),
        sparsity=mean_over_weights(changes, "sparsity") or 0.0,
        relative_error=error,
        hash_before=done[0].hash_before,
        hash_after=done[-1].hash_after,
        seconds=sum(step.seconds for step in done),
        steps=tuple(done) if stacked else (),
    )


def _refuse_quantized(subject: Subject, kind: str) -> None:
    method = quantization_method(subject.model.config) if hasattr(subject.model, "config") else ""
    if method and kind != "pretrained":
        raise InputError(
            f"{subject.source.id} is quantized already ({method}), so compression={kind} would not "
            "be named for what is measured; use compression=pretrained."
        )


def _apply(
    subject: Subject,
    name: str,
    settings: Any,
    calibration: "Calibration | None",
    before: str,
    held: bool,
) -> Step:
    from src.compression.storage import digest, memory_bytes

    method = METHODS[settings.kind]
    calibrated = method.needs(settings)
    if calibrated and calibration is None:
        raise InputError(f"compression={settings.kind} needs a calibration text, and has none.")
    arguments = (calibration,) if calibrated else ()
    started = time.perf_counter()
    outcome = method.transform(subject, settings, *arguments)
    seconds = time.perf_counter() - started
    # Hashing billions of weights takes seconds.
    after = before if is_dense(settings) else digest(subject.model)
    if after == before and not (held or method.may_change_nothing):
        raise InputError(
            f"compression={settings.name} changed no weight of {subject.source.id}, so the cell "
            "would measure the model without it. "
            + "; ".join(f"{module}: {why}" for module, why in outcome.skipped.items())
        )
    step = Step(
        step=name,
        method=settings.kind,
        settings=asdict(settings),
        changes=outcome.changes,
        skipped=outcome.skipped,
        details=outcome.details,
        relative_error=total_error(outcome.changes),
        sparsity=mean_over_weights(outcome.changes, "sparsity") or 0.0,
        nominal_bits=outcome.nominal_bits,
        memory_bytes_after=memory_bytes(subject.model),
        hash_before=before,
        hash_after=after,
        seconds=seconds,
    )
    return replace(step, relative_error=float("nan")) if _replaces(step) else step


def _replaces(step: Step) -> bool:
    """Whether a step put another model into the place of the one it was given."""
    return step.hash_after != step.hash_before and not step.changes


def _totals(
    steps: list[Step], originals: "Originals | None"
) -> tuple[tuple[Change, ...], dict[str, str], float]:
    """Give changes against the original weights, what no step changed, and the total error."""
    if originals is None:
        return steps[0].changes, steps[0].skipped, steps[0].relative_error
    changes = originals.changes()
    changed = {change.module for step in steps for change in step.changes}
    skipped = {
        module: f"{step.step}: {why}"
        for step in steps
        for module, why in step.skipped.items()
        if module not in changed
    }
    replaced = any(step.relative_error != step.relative_error for step in steps)
    return changes, skipped, float("nan") if replaced else total_error(changes)
