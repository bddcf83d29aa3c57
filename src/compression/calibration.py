"""Calibration text: what the methods that look at activations let a model read beforehand."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from src.choices import at_least, help_
from src.errors import InputError

if TYPE_CHECKING:
    import torch

    from src.models.subject import Subject


@dataclass
class CalibrationConfig:
    """Which text, and how much of it."""

    text: str = field(
        default="wikitext2/valid.txt",
        metadata=help_(
            "plain text, as a path below data.root (wikitext2/valid.txt is also downloaded), or "
            "any file by a path that begins with /, . or ~"
        ),
    )
    samples: int = field(default=128, metadata=help_("pieces of text"))
    length: int = field(
        default=128, metadata=help_("tokens a piece; less where the model takes no more")
    )
    seed: int = field(default=0, metadata=help_("of the choice of pieces"))

    def __post_init__(self) -> None:
        """Check the amounts.

        Raises:
            InputError: No text, no samples, or pieces too short to hold anything.
        """
        if not self.text.strip():
            raise InputError("compression.calibration.text is empty; give a text file.")
        at_least("compression.calibration.samples", self.samples, 1)
        at_least("compression.calibration.length", self.length, 4)


class Files(Protocol):
    """What finds files and remembers their checksums: `src.data.locate.DataFiles`."""

    def locate(self, layout_path: str) -> Path:
        """Find a file of the data layout."""
        ...

    def locate_own(self, path: str) -> Path:
        """Find a file of the user's own."""
        ...


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pieces of a text as token ids, the same ones for the same settings and tokenizer.

    Attributes:
        settings: The `calibration` settings of a method.
        path: The text file.
    """

    settings: CalibrationConfig
    path: Path

    def samples(self, subject: "Subject") -> "torch.Tensor":
        """Cut the text into pieces for one subject.

        All pieces have the same length, so there is no padding for statistics to be wrong about.
        A masked model gets its special tokens around each piece and no mask: of a benchmark's
        sentence all tokens but one or a few are ordinary ones too, and which are masked there
        depends on the scorer. A causal model gets bare text, as the causal scorers give it.

        Args:
            subject: Whose tokenizer is used; the pieces are on its device.

        Returns:
            Token ids, (samples, length).

        Raises:
            InputError: The text is no UTF-8, is too short, or has tokens the model does not know.
        """
        import torch

        before, after = _special(subject)
        limit = subject.text.traits.max_length
        length = self.settings.length if limit is None else min(self.settings.length, limit)
        inside = length - len(before) - len(after)
        ids = self._ids(subject)
        starts = len(ids) - inside + 1
        if starts < self.settings.samples:
            raise InputError(
                f"the calibration text {self.path} has {len(ids)} tokens for this model, too few "
                f"for {self.settings.samples} pieces of {inside}: set compression.calibration.text "
                "to a longer one, or lower compression.calibration.samples or .length."
            )
        chosen = random.Random(self.settings.seed).sample(range(starts), self.settings.samples)
        pieces = [[*before, *ids[start : start + inside], *after] for start in chosen]
        return torch.tensor(pieces, device=subject.device)

    def batches(self, subject: "Subject", tokens: int = 4096) -> "Iterator[torch.Tensor]":
        """Give the pieces in batches.

        Args:
            subject: As for `samples`.
            tokens: Most tokens a batch; a batch has at least one piece.

        Yields:
            Token ids, (batch, length).
        """
        samples = self.samples(subject)
        yield from samples.split(max(1, tokens // samples.shape[1]))

    def _ids(self, subject: "Subject") -> list[int]:
        try:
            # With their ends: a byte-level tokenizer has tokens for them.
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read as UTF-8 text ({error}).") from error
        tokenizer = subject.text.tokenizer
        encoded = tokenizer(lines, add_special_tokens=False)["input_ids"] if lines else []
        ids = [token for line in encoded for token in line]
        rows = subject.text.traits.embeddings
        unknown = None if rows is None else next((one for one in ids if one >= rows), None)
        if unknown is not None:
            raise InputError(
                f"{self.path} holds token {unknown}, for which the model has no embedding; choose "
                "another compression.calibration.text."
            )
        return ids


def find_calibration(settings: Any, files: Files) -> Calibration | None:
    """Locate the calibration text of one method.

    Args:
        settings: A method's settings.
        files: Finds the text, so that its checksum becomes part of the cell's fingerprint.

    Returns:
        None for a method that has no `calibration` setting.

    Raises:
        InputError: The text cannot be had.
    """
    wanted = getattr(settings, "calibration", None)
    if not isinstance(wanted, CalibrationConfig):
        return None
    own = wanted.text.startswith(("/", ".", "~"))
    try:
        path = files.locate_own(wanted.text) if own else files.locate(wanted.text)
    except InputError as error:
        raise InputError(
            f"{error} It is the text that compression={settings.kind} calibrates on; any UTF-8 "
            "text will do: compression.calibration.text=PATH."
        ) from error
    return Calibration(wanted, path)


def _special(subject: "Subject") -> tuple[list[int], list[int]]:
    """Give the special tokens that a masked subject's tokenizer puts before and after a text."""
    if subject.objective != "masked":
        return [], []
    whole = subject.text.tokenizer.encode("a")
    inside = subject.text.tokenizer.encode("a", add_special_tokens=False)
    for start in range(len(whole) - len(inside) + 1):
        if whole[start : start + len(inside)] == inside:
            return whole[:start], whole[start + len(inside) :]
    return [], []
