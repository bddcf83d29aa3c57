"""Settings of what a model is trained on: the text, what is changed in it, and the tokens."""

from dataclasses import dataclass, field
from typing import Any

from src.choices import at_least, help_, one_of
from src.errors import InputError

TOKENIZERS = ("gpt_neox", "bert", "roberta")


@dataclass
class SourceConfig:
    """One file of text."""

    path: str = field(
        default="???",
        metadata=help_("text file (plain or .xz), documents separated by blank lines"),
    )
    weight: float = field(
        default=1.0,
        metadata=help_(
            "how often a document of it occurs in an epoch: 2 twice, 0.25 a quarter of them, "
            "chosen by hash"
        ),
    )


@dataclass
class CorpusConfig:
    """The text that a model is trained on; decides seen and held-out rows together with tokens."""

    sources: dict[str, SourceConfig] = field(
        default_factory=dict, metadata=help_("the mixture: name -> path and weight")
    )
    transform: dict[str, Any] = field(
        default_factory=dict,
        metadata=help_("changes to the seen documents, in this order: name -> settings"),
    )
    held_out: float = field(
        default=0.01,
        metadata=help_(
            "share of documents kept from training, chosen by hash of the text; never transformed"
        ),
    )
    length: int = field(default=128, metadata=help_("longest row, in tokens"))
    chars_per_token: float = field(
        default=3.0,
        metadata=help_("a passage ends after the sentence that brings it to length times this"),
    )
    single: float = field(default=0.5, metadata=help_("share of passages of one sentence alone"))
    seed: int = field(default=0, metadata=help_("of the split, the passages and the transforms"))
    cache: str | None = field(
        default=None,
        metadata=help_("folder of encoded rows; null: compression-bias/rows in the XDG cache"),
    )

    def __post_init__(self) -> None:
        """Check what can be checked without reading a file.

        Raises:
            InputError: No source, or a number out of range.
        """
        if not self.sources:
            raise InputError(
                "corpus.sources is empty; give a text: '+corpus.sources.text.path=FILE' "
                "(plain or .xz, documents separated by blank lines)."
            )
        for name, source in self.sources.items():
            if not 0 < source.weight <= 1000:
                raise InputError(
                    f"corpus.sources.{name}.weight={source.weight} is not possible; "
                    "it must be above 0 and at most 1000."
                )
        for key in ("held_out", "single"):
            value = getattr(self, key)
            if not 0 <= value <= 1 or (key == "held_out" and not 0 < value < 1):
                raise InputError(f"corpus.{key}={value} is not possible; it is a share.")
        at_least("corpus.length", self.length, 8)
        at_least("corpus.chars_per_token", self.chars_per_token, 0.5)


@dataclass
class TokenizerConfig:
    """How text becomes tokens: learned from the corpus, or one that is there."""

    kind: str = field(
        default="gpt_neox",
        metadata=help_(
            "byte-level BPE without added tokens; lower-casing WordPiece with [CLS] and [SEP]; "
            "byte-level BPE with <s> and </s>",
            TOKENIZERS,
        ),
    )
    vocab_size: int = field(default=4096, metadata=help_("tokens, special ones included"))
    sample_chars: int = field(
        default=20_000_000,
        metadata=help_(
            "learned from about so many characters of seen documents, before any transform"
        ),
    )
    path: str | None = field(
        default=None, metadata=help_("folder of a tokenizer to use instead of learning one")
    )

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: An unknown kind, or a number out of range.
        """
        one_of("tokenizer.kind", self.kind, TOKENIZERS)
        at_least("tokenizer.vocab_size", self.vocab_size, 16)
        at_least("tokenizer.sample_chars", self.sample_chars, 1)
