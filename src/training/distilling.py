"""Knowledge distillation, masked or causal, as one call."""

from pathlib import Path
from typing import Any

from src.models.config import ModelConfig
from src.models.load import load_subject
from src.tracking.tracker import Tracker
from src.training.distillation import Distillation
from src.training.pretraining import about, check_fits, text_task
from src.training.rows import prepare
from src.training.run import arguments, fit
from src.training.schema import DistillConfig
from src.training.student import chosen_layers, make_student
from src.training.tokenizers import usable


def distill(config: DistillConfig, out: Path, tracker: Tracker | None = None) -> dict[str, Any]:
    """Train a student of a teacher and write its checkpoints to `out`.

    Args:
        config: Everything that decides it.
        out: Gets step<N>/, final/ and training.json; see `src.training.run.fit`.
        tracker: Where the loss curve is logged.

    Returns:
        What training.json holds; its held-out loss is the student's own, on the text.

    Raises:
        InputError: The teacher, the text, a setting or the folder is wrong.
        Unsupported: The teacher is no language model.
    """
    settings = config.distillation
    args = arguments(config.training, config.seed, out)
    named = ModelConfig(name="teacher", id=settings.teacher, revision=settings.revision)
    subject = load_subject(named, args.device, "auto")
    layers = chosen_layers(settings, int(subject.model.config.num_hidden_layers))
    student = make_student(subject.model, settings, config.seed).to(args.device)
    own = usable(subject.text.tokenizer, f"distillation.teacher={settings.teacher}")
    check_fits(subject.model, subject.objective == "masked", own, config.corpus.length)
    data = prepare(config.corpus, own)
    loss = Distillation(student, subject.model, settings, args.bf16)
    task = text_task(student, loss, loss.text, data, config.training, config.seed, args)
    source = {"commit": subject.source.commit, "digest": subject.source.digest}
    decided = about(config, data) | {"teacher": source, "layers": layers}
    return fit(task, args, config.training, out, decided, tracker, config.resume_step)
