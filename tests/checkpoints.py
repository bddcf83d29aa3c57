"""Small random checkpoints of every architecture the project supports, with real tokenizers."""

from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForPreTraining,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    FunnelConfig,
    FunnelForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLNetConfig,
    XLNetLMHeadModel,
)

TEXT = [
    "The nurse who helped the farmer was late, but she was kind and patient with him.",
    "Many old men are strong; most young women are clever drivers and careful pilots.",
    "People from the north are cold. People from the south are warm and friendly.",
    "He snowboarded down the mountainside while her grandmother was crocheting.",
    "The engineer's husband stayed at home, and the unemployed actor cooked pasta.",
]
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
BERT = {**SIZES, "intermediate_size": 48, "max_position_embeddings": 64}

MASKED = ("bert", "roberta", "distilbert", "albert", "electra", "mobilebert")
CAUSAL = ("gpt2", "gpt_neox", "llama", "opt")
# Not tested all through: a tuple of base classes, local attention, and a causal head that is none.
OTHERS = ("funnel", "gpt_neo", "xlnet")


def wordpiece(size: int = 160) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[
            ("[CLS]", tokenizer.token_to_id("[CLS]")),
            ("[SEP]", tokenizer.token_to_id("[SEP]")),
        ],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def byte_level(masked: bool, size: int = 320) -> PreTrainedTokenizerFast:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if masked else ["<|endoftext|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if not masked:
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
        )
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    from tokenizers import AddedToken

    # RoBERTa's mask takes the space before it along.
    wrapped.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, special=True)})
    return wrapped


def build(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random model of one architecture and its tokenizer, with large weights: scores differ."""
    torch.manual_seed(sum(map(ord, name)))
    tokenizer = {
        "roberta": lambda: byte_level(True),
        **{causal: lambda: byte_level(False) for causal in (*CAUSAL, "gpt_neo")},
    }.get(name, wordpiece)()
    vocab = len(tokenizer)
    wide = {"vocab_size": vocab, "initializer_range": 0.2}
    model = {
        "bert": lambda: BertForPreTraining(BertConfig(**BERT, **wide)),
        "roberta": lambda: RobertaForMaskedLM(
            RobertaConfig(**(BERT | {"max_position_embeddings": 66}), **wide, pad_token_id=1)
        ),
        "distilbert": lambda: DistilBertForMaskedLM(
            DistilBertConfig(
                dim=32, n_heads=4, n_layers=2, hidden_dim=48, max_position_embeddings=64, **wide
            )
        ),
        "albert": lambda: AlbertForMaskedLM(AlbertConfig(**BERT, embedding_size=16, **wide)),
        "electra": lambda: ElectraForMaskedLM(ElectraConfig(**BERT, embedding_size=16, **wide)),
        "mobilebert": lambda: MobileBertForMaskedLM(
            MobileBertConfig(
                **BERT, embedding_size=16, intra_bottleneck_size=16, true_hidden_size=16, **wide
            )
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(
                n_embd=32,
                n_head=4,
                n_layer=2,
                n_positions=64,
                bos_token_id=0,
                eos_token_id=0,
                **wide,
            )
        ),
        "gpt_neox": lambda: GPTNeoXForCausalLM(
            GPTNeoXConfig(**BERT, **wide, bos_token_id=0, eos_token_id=0)
        ),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**BERT, **wide, num_key_value_heads=2)),
        "opt": lambda: OPTForCausalLM(
            OPTConfig(
                hidden_size=32,
                num_attention_heads=4,
                num_hidden_layers=2,
                ffn_dim=48,
                max_position_embeddings=64,
                word_embed_proj_dim=32,
                vocab_size=vocab,
                init_std=0.2,
            )
        ),
        "funnel": lambda: FunnelForMaskedLM(
            FunnelConfig(block_sizes=[1, 1], d_model=32, n_head=4, d_head=8, d_inner=48, **wide)
        ),
        "gpt_neo": lambda: GPTNeoForCausalLM(
            GPTNeoConfig(
                hidden_size=32,
                num_layers=2,
                num_heads=4,
                intermediate_size=48,
                max_position_embeddings=64,
                attention_types=[[["global", "local"], 1]],
                window_size=4,
                bos_token_id=0,
                eos_token_id=0,
                **wide,
            )
        ),
        "xlnet": lambda: XLNetLMHeadModel(
            XLNetConfig(d_model=32, n_layer=2, n_head=4, d_inner=48, **wide)
        ),
    }[name]()
    return model.eval(), tokenizer


def save(name: str, folder: Path) -> Path:
    model, tokenizer = build(name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
