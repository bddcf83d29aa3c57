"""Tokenizers learned from text, in the three shapes that the paper's models have."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from src.errors import InputError
from src.training.data_config import TokenizerConfig

START = "<|endoftext|>"
BERT = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
}


def learn(
    config: TokenizerConfig, documents: Iterable[str], context: int
) -> PreTrainedTokenizerFast:
    """Learn the tokenizer that the settings describe.

    Args:
        config: What kind, and how many tokens.
        documents: Texts to learn from; used up to `sample_chars`, so their order matters.
        context: Most tokens of a text that the model will take.

    Raises:
        InputError: The text does not give so many tokens.
    """
    kind = {"gpt_neox": gpt_neox, "bert": bert, "roberta": roberta}[config.kind]
    tokenizer = kind(list(_sample(documents, config.sample_chars)), config.vocab_size, context)
    if len(tokenizer) != config.vocab_size:
        raise InputError(
            f"tokenizer.vocab_size={config.vocab_size}: the text gives {len(tokenizer)} tokens; "
            "ask for so many, or give more text."
        )
    return tokenizer


def load(path: str) -> PreTrainedTokenizerFast:
    """Load the tokenizer in a folder.

    Raises:
        InputError: There is no fast one, or one without the tokens that rows need.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"tokenizer.path={folder} is no folder.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"tokenizer.path={folder} holds no tokenizer: {error}") from error
    return usable(tokenizer, f"tokenizer.path={folder}")


def usable(tokenizer: PreTrainedTokenizerBase, where: str) -> PreTrainedTokenizerFast:
    """Give a tokenizer that rows can be made with.

    Args:
        tokenizer: A loaded one.
        where: What the user would change, for messages.

    Raises:
        InputError: It is no fast one, or lacks the tokens that rows need.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"{where} holds no fast tokenizer (tokenizer.json).")
    if tokenizer.mask_token is None and tokenizer.bos_token is None:
        raise InputError(
            f"{where}: neither a mask token nor a start token, so rows of it would have no "
            "beginning."
        )
    return tokenizer


def gpt_neox(documents: list[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE as GPT-NeoX has it: any text is encodable, nothing is added.

    " word" and "word" are different tokens.
    """
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(documents, _byte_trainer(vocab_size, [START]))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=context,
        bos_token=START,
        eos_token=START,
        unk_token=START,
    )


def roberta(documents: list[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE as RoBERTa has it: <s> text </s>.

    As in the real one, special tokens come first but <mask>, which is the last id and takes the
    space before it, so that "the <mask>" is a word inside a sentence.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    first = list(dict.fromkeys(ROBERTA.values()))
    core.train_from_iterator(documents, _byte_trainer(vocab_size - 1, first))
    core.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    core.post_processor = processors.RobertaProcessing(
        ("</s>", first.index("</s>")), ("<s>", first.index("<s>")), add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=context,
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        **ROBERTA,
    )


def bert(documents: list[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a lower-casing WordPiece as BERT has it: [CLS] text [SEP]."""
    specials = list(BERT.values())
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # Without a limit every letter of every script takes a place in a small vocabulary.
    letters = _letters(documents, core.normalizer, max(1, min(200, vocab_size // 4)))
    # The trainer numbers letters within words in an order that changes from run to run, and the
    # numbers decide between pairs that are equally frequent. Special tokens have fixed numbers.
    fixed = [*specials, *letters, *(f"##{letter}" for letter in letters)]
    core.train_from_iterator(
        documents,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=fixed,
            initial_alphabet=letters,
            limit_alphabet=len(letters),
            show_progress=False,
        ),
    )
    vocabulary = json.loads(core.to_str())["model"]["vocab"]
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, specials.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=context, **BERT)


def _letters(documents: list[str], normalizer: normalizers.Normalizer, most: int) -> list[str]:
    """Give the most frequent characters, sorted; of equally frequent ones the first by code."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(normalizer.normalize_str(document))
    ranked = sorted((-n, letter) for letter, n in counts.items() if not letter.isspace())
    return sorted(letter for _, letter in ranked[:most])


def _byte_trainer(vocab_size: int, specials: list[str]) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _sample(documents: Iterable[str], chars: int) -> Iterable[str]:
    for document in documents:
        if chars <= 0:
            return
        chars -= len(document)
        yield document
