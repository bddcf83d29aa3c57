"""Pretraining from random weights, masked or causal, as one call."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments

from src.errors import InputError
from src.models.load import max_length
from src.tracking.tracker import Tracker
from src.training.architecture import build
from src.training.batches import Batch, RowBatches, Rows, seed_of
from src.training.config import TrainingConfig
from src.training.folders import save_model
from src.training.objectives import LanguageModelling, MaskedTokens, NextTokens, Reader
from src.training.rows import Prepared, prepare
from src.training.run import arguments, fit
from src.training.schema import PretrainConfig
from src.training.task import Loss, Task

log = logging.getLogger(__name__)
SMALL_STEP = 0.75
"""Share of `training.batch_tokens` below which the mean step is worth a warning."""


def pretrain(config: PretrainConfig, out: Path, tracker: Tracker | None = None) -> dict[str, Any]:
    """Train a model and write its checkpoints to `out`.

    Args:
        config: Everything that decides it.
        out: Gets step<N>/, final/ and training.json; see `src.training.run.fit`.
        tracker: Where the loss curve is logged.

    Returns:
        What training.json holds.

    Raises:
        InputError: The text, a setting or the folder is wrong.
    """
    args = arguments(config.training, config.seed, out)
    data = prepare(config.corpus, config.tokenizer)
    data.tokenizer.model_max_length = config.architecture.positions
    model = build(config.architecture, data.tokenizer, args.device, config.seed)
    check_fits(model, config.architecture.masked, data.tokenizer, config.corpus.length)
    loss = LanguageModelling(Reader(model))
    task = text_task(model, loss, loss, data, config.training, config.seed, args)
    return fit(task, args, config.training, out, about(config, data), tracker, config.resume_step)


def text_task(
    model: PreTrainedModel,
    loss: Loss,
    held_out_loss: Loss,
    data: Prepared,
    settings: TrainingConfig,
    seed: int,
    args: TrainingArguments,
) -> Task:
    """Train a language model on rows of text and keep it as ordinary folders."""
    tokenizer, device = data.tokenizer, args.device
    change = changes(tokenizer, settings, seed)
    split = (settings.accumulation, args.process_index, args.world_size)
    batches = RowBatches(data.seen, settings.batch_tokens, seed, device, split, change)
    if args.process_index == 0:
        warn_of_small_steps(batches, settings.batch_tokens)
    dtype = getattr(torch, settings.weights)

    def save(step: int, folder: Path) -> None:
        del step
        save_model(model, tokenizer, folder, dtype)

    held_out = held_out_batches(data.held_out, tokenizer, settings, device)
    return Task(model, batches, loss, save, held_out, held_out_loss)


def warn_of_small_steps(batches: RowBatches, batch_tokens: int) -> None:
    """Say so where the text is too small for steps of the size asked for.

    A step's rows have one length, so no step can hold more than all rows of a length do.

    Args:
        batches: Of the training text.
        batch_tokens: Tokens a step should have.
    """
    mean = batches.tokens(batches.per_epoch) / batches.per_epoch
    if mean < SMALL_STEP * batch_tokens:
        log.warning(
            "a step reads %s tokens on average, not the %s of training.batch_tokens, as the text "
            "has too few rows of each length: use more text, a smaller training.batch_tokens or a "
            "smaller corpus.length",
            f"{mean:,.0f}",
            f"{batch_tokens:,}",
        )


def check_fits(
    model: PreTrainedModel, masked: bool, tokenizer: PreTrainedTokenizerFast, length: int
) -> None:
    """Check that a model can be trained on rows of a tokenizer.

    Args:
        model: What is trained.
        masked: Whether it predicts masked tokens, not next ones.
        tokenizer: With a mask token, or without.
        length: The longest row, in tokens.

    Raises:
        InputError: Rows are longer than the model takes; or one that sees both sides would predict
            what it sees, or one that sees only what came before would fill masks.
    """
    most = max_length(model)
    if most is not None and length > most:
        raise InputError(
            f"corpus.length={length}: the model takes {most} tokens at most; use so many or fewer."
        )
    if masked and tokenizer.mask_token is None:
        raise InputError(
            "a masked model needs a tokenizer with a mask token, and this one has none: choose "
            "tokenizer=bert or tokenizer=roberta, another tokenizer.path, or a causal architecture."
        )
    if not masked and tokenizer.mask_token is not None:
        raise InputError(
            "a causal model needs a tokenizer without a mask token, and this one has "
            f"{tokenizer.mask_token}: choose tokenizer=gpt_neox, another tokenizer.path, or a "
            "masked architecture."
        )


def changes(
    tokenizer: PreTrainedTokenizerFast, settings: TrainingConfig, seed: int
) -> MaskedTokens | NextTokens:
    """Give what makes inputs and targets of rows, by what the tokenizer is for."""
    if tokenizer.mask_token_id is None:
        return NextTokens(seed)
    return MaskedTokens(tokenizer, settings.mask, seed)


def held_out_batches(
    rows: Rows, tokenizer: PreTrainedTokenizerFast, settings: TrainingConfig, device: torch.device
) -> list[Batch]:
    """Give the batches of the held-out loss: the same for every seed and training length."""
    seed = seed_of("held out")
    made = RowBatches(
        rows, settings.batch_tokens, seed, device, change=changes(tokenizer, settings, seed)
    )
    given: list[Batch] = []
    while len(given) < made.per_epoch and made.tokens(len(given)) < settings.held_out_tokens:
        given += made.parts(len(given))
    return given


def about(config: Any, data: Prepared) -> dict[str, Any]:
    """Say what decides a run: its settings and its data, not where it is written or logged."""
    kept = {name: value for name, value in vars(config).items() if name not in WHEREABOUTS}
    return {**kept, "data": data.provenance}


WHEREABOUTS = ("name", "out", "resume_step", "tracker", "dry", "corpus", "tokenizer")
"""Settings that say where things are, or what the data's own checksums say better."""
