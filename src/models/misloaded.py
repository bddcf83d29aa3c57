"""A checkpoint loaded as a class that it is not, so that every weight of the model is random.

The paper's code loads `distilbert-base-uncased` through `BertForMaskedLM`. transformers makes a
BERT of what it finds in the checkpoint's config.json: BERT's own twelve layers, as DistilBERT's
keys are not BERT's, and none of the checkpoint's weights, as none has a name that BERT knows. It
says so in a warning and leaves every weight as it was initialised. The paper's "DistilBERT" rows
measure that model. `load_subject` refuses such a checkpoint; here the fault is asked for, with a
seed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from src.choices import help_
from src.errors import InputError
from src.models.config import ModelConfig

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass
class MisloadedConfig(ModelConfig):
    """A checkpoint that is loaded as another architecture, whose weights stay random."""

    load_as: str = field(
        default="???", metadata=help_("model type of transformers whose class is used (bert)")
    )
    seed: int = field(default=0, metadata=help_("of the random weights"))


def architecture_as(load_as: str, name: str, **where: Any) -> "PretrainedConfig":
    """Read a checkpoint's config.json as another architecture's, as `from_pretrained` does.

    Args:
        load_as: Model type ("bert").
        name: Hub id or local folder.
        where: Further arguments that say where it is (`revision`).

    Raises:
        InputError: transformers knows no such type.
    """
    from transformers import CONFIG_MAPPING, PretrainedConfig

    try:
        shape = CONFIG_MAPPING[load_as]
    except KeyError as error:
        raise InputError(
            f"model.load_as={load_as} is no model type that transformers knows; it is the "
            'model_type of a config.json, as in "bert".'
        ) from error
    # Through the content and not the file: reading it as another type's is warned of each time.
    content, _ = PretrainedConfig.get_config_dict(name, **where)
    content.pop("model_type", None)
    return shape.from_dict(content)


def check_nothing_fits(model: "PreTrainedModel", report: dict[str, Any], name: str) -> None:
    """Refuse a checkpoint of which anything was loaded after all: it would be half random.

    Args:
        model: As loaded.
        report: What transformers says about the loading.
        name: Of the checkpoint, for the message.

    Raises:
        InputError: The checkpoint held weights that the class has.
    """
    random = {*report["missing_keys"], *(key for key, *_ in report.get("mismatched_keys", ()))}
    loaded = {key for key, _ in model.named_parameters()} - random
    if loaded:
        raise InputError(
            f"model.id={name}: {len(loaded)} weights of a {type(model).__name__} are in this "
            f"checkpoint (first: {min(loaded)}), so the model would not be random. Load it as what "
            "it is (model=hf)."
        )
