"""Whether a model that is to be scored as a causal one is causal."""

from typing import TYPE_CHECKING, Any

from src.errors import Unsupported
from src.models.quantized import quantization_method

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Relative to the largest logit: rounding is far below it (exactly 0, but for experts whose inputs
# are batched with others'), looking ahead far above it, even with weights as they are initialised.
TOLERANCE = 1e-3
# bitsandbytes' LLM.int8 looks for outliers over the whole text; measured up to 0.04 in a causal
# model, against 0.5 in one that looks ahead.
QUANTIZED_TOLERANCE = 0.1


def refuse_look_ahead(model: "PreTrainedModel", tokenizer: Any, device: "torch.device") -> None:
    """Refuse a model whose predictions depend on tokens that come later.

    A BERT whose config does not say `is_decoder`, or an XLNet, has a causal head but attends to
    the whole text: it would be asked to predict tokens that it sees. Two inputs that differ in
    their last token tell: a causal model's logits are the same up to it.

    Args:
        model: In eval mode.
        tokenizer: Its tokenizer.
        device: Where the model is.

    Raises:
        Unsupported: The model looks ahead.
    """
    import torch
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    *shared, one, other = _tokens(tokenizer, int(model.get_input_embeddings().weight.shape[0]))
    with torch.inference_mode():
        first, second = (
            model(input_ids=torch.tensor([[*shared, last]], device=device)).logits[0, :-1].double()
            for last in (one, other)
        )
    known = QUANTIZED_TOLERANCE if quantization_method(model.config) else TOLERANCE
    tolerance = max(known, 2 * torch.finfo(model.dtype).eps)
    # Values that are not finite compare as false here; the engine refuses them with their text.
    if bool((first - second).abs().max() > tolerance * first.abs().max()):
        masked = type(model.config) in MODEL_FOR_MASKED_LM_MAPPING
        raise Unsupported(
            f"this {type(model).__name__} looks ahead: its predictions change with tokens that "
            "come later, so causal scores of it would be meaningless; "
            + ("use model.objective=masked" if masked else "this project cannot score it")
        )


def _tokens(tokenizer: Any, rows: int) -> list[int]:
    """Pick five ids spread over the vocabulary, where real words are in any tokenizer.

    The first ids will not do: BERT's are a hundred unused tokens with nearly the same embedding.
    """
    size = min(rows, len(tokenizer))
    special = set(tokenizer.all_special_ids)
    ordinary = [token for token in range(size) if token not in special]
    return [ordinary[len(ordinary) * k // 6] for k in range(1, 6)]
