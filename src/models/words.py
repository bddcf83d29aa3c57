"""Which tokens are parts of one word, found by asking the tokenizer."""

from itertools import accumulate
from typing import Any

from src.errors import Unsupported

Word = tuple[int | None, int]
"""Equal for tokens of one word: the tokenizer's number of it, and its place between spaces."""


def words(tokenizer: Any, text: str) -> list[Word]:
    """Give the word of each token of a text, special tokens included.

    A word is what the tokenizer cuts no further before it makes tokens (its `word_ids`) and what
    stands between spaces, whichever is smaller: some SentencePiece tokenizers make tokens of a
    whole text at once. Where those cut at spaces only, a word has its punctuation with it.

    Args:
        tokenizer: A transformers tokenizer.
        text: One text.

    Raises:
        Unsupported: The tokenizer does not tell where in the text a token comes from.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise Unsupported("the tokenizer does not tell which tokens are parts of one word")
    encoded = tokenizer(text, return_offsets_mapping=True)
    places = _places(text)
    starts = (start for start, _ in encoded["offset_mapping"])
    return list(zip(encoded.word_ids(), (places[start] for start in starts), strict=True))


def _places(text: str) -> list[int]:
    """Number the characters of a text by what stands between spaces; a space is of what follows.

    A token may begin with the space before its word, or be that space alone.

    Returns:
        A number a character, and one for the text's end.
    """
    before = " " + text
    begins = (now.isspace() and not was.isspace() for was, now in zip(before, text, strict=False))
    return [*accumulate(map(int, begins)), len(text)]
