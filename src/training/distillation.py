"""The loss of a student: its teacher's predictions, the text, its teacher's hidden states.

Sanh et al. (2019), "DistilBERT, a distilled version of BERT".
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from src.errors import InputError
from src.training.batches import Batch
from src.training.config import DistillationConfig
from src.training.objectives import LanguageModelling, Reader, likelihood_loss


class Distillation:
    """The weighted sum of the three losses for one part of a step.

    Attributes:
        text: The loss of the student on the text alone, to compare with models without a teacher.
    """

    def __init__(
        self,
        student: PreTrainedModel,
        teacher: PreTrainedModel,
        settings: DistillationConfig,
        bf16: bool = False,
    ) -> None:
        """Freeze the teacher.

        Args:
            student: What is trained, in no wrapper.
            teacher: On the same device; same vocabulary.
            settings: Weights and temperature.
            bf16: Run the teacher in mixed precision too.

        Raises:
            InputError: The two cannot be compared.
        """
        if student.config.vocab_size != teacher.config.vocab_size:
            raise InputError("distillation: teacher and student have different vocabularies.")
        if settings.cosine and student.config.hidden_size != teacher.config.hidden_size:
            raise InputError(
                "distillation.cosine: the hidden states of teacher and student have "
                f"{teacher.config.hidden_size} and {student.config.hidden_size} columns; use 0."
            )
        self.settings, self.bf16 = settings, bf16
        self.teacher = teacher.eval().requires_grad_(False)
        self.read, self.read_teacher = Reader(student), Reader(teacher)
        self.text = LanguageModelling(self.read)

    def __call__(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Give the loss of a part, made by `NextTokens` or `MaskedTokens`."""
        settings, places, targets = self.settings, batch.get("places"), batch["targets"]
        everywhere = settings.soft_targets == "all"
        asked = None if everywhere else places
        logits, states = self.read(model, batch["ids"], asked)
        loss = torch.zeros((), device=logits.device)
        if settings.soft or settings.cosine:
            with torch.no_grad(), torch.autocast(logits.device.type, torch.bfloat16, self.bf16):
                wanted, meant = self.read_teacher(self.teacher, batch["ids"], asked)
            if settings.soft:
                loss = loss + settings.soft * soft_loss(logits, wanted, settings.temperature)
            if settings.cosine:
                loss = loss + settings.cosine * cosine_loss(states, meant)
        if settings.hard:
            if everywhere and places is not None:
                logits = logits.gather(1, places[..., None].expand(-1, -1, logits.shape[-1]))
            loss = loss + settings.hard * likelihood_loss(logits, targets)
        return loss


def soft_loss(logits: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean KL divergence (nats) from the student's to the teacher's softened predictions.

    Args:
        logits: The student's, (rows, places, vocabulary).
        wanted: The teacher's, of the same shape.
        temperature: T; both are divided by it, and the loss is multiplied by T^2, so that its
            gradient does not shrink with it (Hinton et al. 2015).

    Returns:
        KL(teacher || student) * T^2, meant over rows and places.
    """
    student = F.log_softmax(logits.flatten(0, 1).float() / temperature, dim=-1)
    teacher = F.log_softmax(wanted.flatten(0, 1).float() / temperature, dim=-1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def cosine_loss(states: torch.Tensor, meant: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - the cosine between hidden states of shape (rows, length, hidden)."""
    return 1 - F.cosine_similarity(states.float(), meant.float(), dim=-1).mean()
