"""What a scorer must know of a tokenizer, found by asking it, never from a model's name."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from src.errors import InputError, TooLong, Unsupported
from src.models.words import Word, words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Traits:
    """Facts about a tokenizer and its model.

    Attributes:
        start_id: Token a causal model is given before the first one; None where there is none.
        mask_id: The mask token; None for a tokenizer without one.
        mask_token: Its text.
        leading_space: Whether a word inside a sentence is encoded differently from the same word
            alone (byte-level BPE: " word" and "word" are different tokens).
        max_length: Most tokens the model takes; None where nothing bounds it.
        embeddings: How many token ids the model has embeddings for; None where not known.
    """

    start_id: int | None
    mask_id: int | None
    mask_token: str | None
    leading_space: bool
    max_length: int | None
    embeddings: int | None = None


class TextSide:
    """Text to token ids and back for one subject; all that scorers see of the model."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", traits: Traits) -> None:
        """Args: the subject's tokenizer and what was found out about it."""
        self.tokenizer = tokenizer
        self.traits = traits
        self._encode = lru_cache(maxsize=200_000)(self._encode_once)

    def encode(self, text: str, special: bool = True) -> tuple[int, ...]:
        """Encode one text.

        Args:
            text: A sentence or word.
            special: Add the tokenizer's own special tokens ([CLS] ... [SEP]).

        Returns:
            Token ids.

        Raises:
            TooLong: The text is longer than the model takes.
            InputError: It has a token that the model does not know.
        """
        return self._encode(text, special)

    def encode_after_start(self, text: str) -> tuple[int, ...]:
        """Encode a text for a causal model that reads the start token first, if it has one.

        Returns:
            Token ids: the start token and the text's, without other special tokens.

        Raises:
            TooLong: As `encode`.
            InputError: As `encode`.
        """
        ids = self.encode(text, special=False)
        if self.traits.start_id is None:
            return ids
        self._check_length(len(ids) + 1, text)
        return (self.traits.start_id, *ids)

    def encode_pair(self, first: str, second: str | None, longest: int) -> tuple[int, ...]:
        """Encode one text or two for a task's head, cut to fit.

        A masked model's tokenizer joins two texts as it does ("[CLS] a [SEP] b [SEP]"; segment ids
        are not used). For a causal model they stand in two lines after the start token.

        Args:
            first: A text.
            second: Another one, or None.
            longest: Most tokens, special ones included; of two texts the longer one is cut first.

        Raises:
            InputError: A text has a token that the model does not know.
        """
        limit = min(longest, self.traits.max_length or longest)
        if self.traits.mask_id is not None:
            pair = (first,) if second is None else (first, second)
            cut = {"truncation": "longest_first", "max_length": limit}
            ids = tuple(self.tokenizer(*pair, **cut)["input_ids"])
        else:
            start = () if self.traits.start_id is None else (self.traits.start_id,)
            one, two = (
                list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []
                for text in (first, second and f"\n{second}")
            )
            while len(start) + len(one) + len(two) > limit:
                (one if len(one) >= len(two) else two).pop()
            ids = (*start, *one, *two)
        self._check_known(ids, repr(first[:120]))
        return ids

    def content(self, text: str) -> list[int]:
        """Find the positions in `encode(text)` of the text's own tokens, [CLS] and [SEP] left out.

        Raises:
            InputError: As `encode`.
        """
        self.encode(text)
        mask = self.tokenizer(text, return_special_tokens_mask=True)["special_tokens_mask"]
        return [at for at, special in enumerate(mask) if not special]

    def words(self, text: str) -> list[Word]:
        """Tell which tokens of `encode(text)` are parts of one word: those with equal entries.

        Raises:
            Unsupported: The tokenizer does not tell where in the text a token comes from.
        """
        return words(self.tokenizer, text)

    def decode(self, ids: Iterable[int]) -> str:
        """Give the text of some token ids."""
        return str(self.tokenizer.decode(list(ids)))

    def mask(self) -> int:
        """Give the mask token's id.

        Raises:
            Unsupported: The tokenizer has none.
            InputError: The model has no embedding for it.
        """
        if self.traits.mask_id is None:
            raise Unsupported("the tokenizer has no mask token, which a masked scorer needs")
        self._check_known((self.traits.mask_id,), "a masked text")
        return self.traits.mask_id

    def _encode_once(self, text: str, special: bool) -> tuple[int, ...]:
        ids = tuple(self.tokenizer.encode(text, add_special_tokens=special))
        self._check_length(len(ids), text)
        self._check_known(ids, repr(text[:120]))
        return ids

    def _check_length(self, tokens: int, text: str) -> None:
        limit = self.traits.max_length
        if limit is not None and tokens > limit:
            reason = f"a text of {tokens} tokens is longer than the {limit} this model takes"
            raise TooLong(
                reason,
                f"{reason}: {text[:120]!r}... Leave such items out by scorer.too_long=skip, or "
                "choose a model with a longer context.",
            )

    def _check_known(self, ids: tuple[int, ...], where: str) -> None:
        rows = self.traits.embeddings
        unknown = None if rows is None else next((one for one in ids if one >= rows), None)
        if unknown is not None:
            raise InputError(
                f"token {self.tokenizer.convert_ids_to_tokens(unknown)!r} (id {unknown}) in "
                f"{where} has no embedding: the model has {rows}. Use the tokenizer the model was "
                "trained with, or a checkpoint whose embeddings were made larger with it."
            )


def find_traits(
    tokenizer: Any,
    max_length: int | None,
    start_token: str = "auto",
    embeddings: int | None = None,
) -> Traits:
    """Ask a tokenizer for its traits.

    Args:
        tokenizer: A transformers tokenizer.
        max_length: Most tokens the model takes.
        start_token: "auto" (the beginning-of-sequence token, else the end-of-sequence one),
            "none", or a token of the vocabulary.
        embeddings: How many token ids the model knows; None: any the tokenizer has.

    Raises:
        InputError: `start_token` is not in the vocabulary, or the model does not know it.
    """
    return Traits(
        start_id=_start_id(tokenizer, start_token, embeddings),
        mask_id=tokenizer.mask_token_id,
        mask_token=tokenizer.mask_token,
        leading_space=_needs_leading_space(tokenizer),
        max_length=max_length,
        embeddings=embeddings,
    )


def _start_id(tokenizer: Any, start_token: str, embeddings: int | None) -> int | None:
    if start_token == "none":
        return None
    if start_token == "auto":
        # A token that was added to the tokenizer only cannot begin a text of this model.
        known = (
            one
            for one in (tokenizer.bos_token_id, tokenizer.eos_token_id)
            if one is not None and (embeddings is None or one < embeddings)
        )
        return next(known, None)
    ids = tokenizer.convert_tokens_to_ids(start_token)
    unknown = ids is None or (ids == tokenizer.unk_token_id and start_token != tokenizer.unk_token)
    if unknown or (embeddings is not None and ids >= embeddings):
        raise InputError(
            f"scorer.start_token={start_token} is not a token of this "
            f"{'tokenizer' if unknown else 'model'}; use auto, none, or one of its tokens."
        )
    return int(ids)


def _needs_leading_space(tokenizer: Any) -> bool:
    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    alone, spaced, inside = ids("the"), ids(" the"), ids("in the")
    return alone != spaced and inside[-len(spaced) :] == spaced
