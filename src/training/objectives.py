"""What a model is trained to predict, and its loss: next tokens, or masked ones."""

import random
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from src.training.batches import Batch, seed_of

IGNORED = -100
"""A target that counts for nothing, as in transformers."""


class NextTokens:
    """The rows of a step for a causal model; half of the steps lack the start token.

    Scorers ask with and without it, so that a model has to know both.
    """

    def __init__(self, seed: int) -> None:
        """Args: seed: of which steps lack it."""
        self.seed = seed

    def __call__(self, ids: torch.Tensor, step: int) -> Batch:
        """Give inputs and targets, each (rows, length - 1 or - 2)."""
        ids = ids[:, random.Random(seed_of(self.seed, "start", step)).randrange(2) :]
        return {"ids": ids[:, :-1], "targets": ids[:, 1:]}


class MaskedTokens:
    """The rows of a step for a masked model, some of their tokens hidden.

    As Devlin et al. (2019): of the chosen tokens 80 % become the mask, 10 % a random token, 10 %
    stay. Each row has the same number of chosen ones, so that the head need run nowhere else.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float, seed: int) -> None:
        """Args: the tokenizer, the share of a row's tokens that is chosen, and the seed."""
        self.share, self.seed = share, seed
        self.mask_id, self.vocab = int(tokenizer.mask_token_id), len(tokenizer)
        self.special = torch.zeros(self.vocab, dtype=torch.bool)
        self.special[tokenizer.all_special_ids] = True

    def __call__(self, ids: torch.Tensor, step: int) -> Batch:
        """Mask (rows, length) ids, the same way for the same step.

        Returns:
            `ids` (rows, length) with masks, `places` (rows, chosen) of the chosen tokens, `targets`
            (rows, chosen) what stood there; IGNORED where a row has too few that can be chosen.
        """
        self.special = self.special.to(ids.device)
        draw = torch.Generator(ids.device).manual_seed(seed_of(self.seed, "mask", step))
        order = torch.rand(ids.shape, generator=draw, device=ids.device)
        order = order.masked_fill(self.special[ids], 2.0)
        count = max(1, round(self.share * ids.shape[1]))
        places = order.topk(count, dim=1, largest=False, sorted=True).indices
        stood = ids.gather(1, places)
        dice = torch.rand(places.shape, generator=draw, device=ids.device)
        other = torch.randint(self.vocab, places.shape, generator=draw, device=ids.device)
        shown = torch.where(dice < 0.8, self.mask_id, torch.where(dice < 0.9, other, stood))
        unfit = self.special[stood]
        shown = torch.where(unfit, stood, shown)
        targets = stood.masked_fill(unfit, IGNORED)
        return {"ids": ids.scatter(1, places, shown), "places": places, "targets": targets}


class Reader:
    """Runs a language model and keeps what losses need; the head runs at chosen places only.

    The head is the dearest layer of a small model. It is cut short by a hook on the part below it,
    so that it works within a wrapper for several processes too, for any architecture.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Args: the model itself, in no wrapper; it stays changed as long as the reader lives."""
        self.places: torch.Tensor | None = None
        self.states: torch.Tensor | None = None
        below = model.base_model
        below.register_forward_hook(self._below_the_head)
        if isinstance(inner := getattr(below, "decoder", None), nn.Module):
            inner.register_forward_hook(self._below_the_head)  # OPT's head is on this one

    def _below_the_head(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        del module, inputs
        if self.states is not None:
            return output  # the inner one of two was the first to be done
        self.states = output.last_hidden_state
        if self.places is not None:
            index = self.places[..., None].expand(-1, -1, self.states.shape[-1])
            output.last_hidden_state = self.states.gather(1, index)
        return output

    def __call__(
        self, model: nn.Module, ids: torch.Tensor, places: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run `model`, which is the reader's or a wrapper of it.

        Args:
            model: What is called.
            ids: (rows, length).
            places: (rows, chosen); None: everywhere.

        Returns:
            Logits (rows, chosen, vocabulary) and last hidden states (rows, length, hidden).
        """
        self.places, self.states = places, None
        try:
            logits = model(input_ids=ids).logits
            assert self.states is not None
            return logits, self.states
        finally:
            # Whoever else calls the model gets its whole answer.
            self.places, self.states = None, None


class LanguageModelling:
    """The mean negative log-likelihood (nats) of a batch's targets."""

    def __init__(self, read: Reader) -> None:
        """Args: read: of the model that is trained."""
        self.read = read

    def __call__(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Give the loss of `NextTokens` or `MaskedTokens`."""
        logits, _ = self.read(model, batch["ids"], batch.get("places"))
        return likelihood_loss(logits, batch["targets"])


def likelihood_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over all (rows, chosen) targets, ignored ones counting as 0.

    A mean over the others only would weight parts of a step by what happens to be in them.
    """
    summed = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="sum", ignore_index=IGNORED
    )
    return summed / targets.numel()
