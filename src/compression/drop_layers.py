"""`compression=drop_layers`: leave out whole blocks of a model (Sajjad et al., 2023)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.choices import at_least, help_, one_of
from src.compression.receipt import Change, describe_change
from src.compression.registry import Outcome, compression
from src.errors import Unsupported

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    from src.models.subject import Subject

WHICH = ("first", "last", "alternate")
NUMBERS = ("layer_idx", "layer_id", "layer_index")
"""Names under which the parts of a block know its place, for the cache of keys and values."""


@dataclass
class DropLayersConfig:
    """Which blocks are left out."""

    kind: str = "drop_layers"
    name: str = "drop_layers"
    which: str = field(
        default="last",
        metadata=help_("alternate: the last one, and every second one before it", WHICH),
    )
    layers: int = field(default=1, metadata=help_("how many are left out"))

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            InputError: `which` is not among its choices, or no layer would go.
        """
        one_of("compression.which", self.which, WHICH)
        at_least("compression.layers", self.layers, 1)


# A model that computes with the same block again and again (ALBERT) loses no weight.
@compression("drop_layers", DropLayersConfig, may_change_nothing=True)
def drop_layers(subject: "Subject", settings: DropLayersConfig) -> Outcome:
    """Leave blocks out and number the others anew, in the model and in its config."""
    model = subject.model
    config, count = model.config, int(model.config.num_hidden_layers)
    if getattr(config, "scale_attn_by_inverse_layer_idx", False):
        raise Unsupported(
            "this model scales its attention by the number of the layer, so that without some of "
            "them the others would no longer be what they were"
        )
    dropped = chosen(settings, count)
    changes: list[Change] = []
    name = _list_of_layers(model, count)
    if name is not None:
        layers = model.get_submodule(name)
        for index in dropped:
            changes += _gone(f"{name}.{index}", layers[index])
        _keep(model, name, [index for index in range(count) if index not in dropped])
    _shorten(config, dropped)
    details = {
        "layers_before": count,
        "layers_after": count - len(dropped),
        "dropped": dropped,
        "shared_weights": name is None,
    }
    return Outcome(tuple(changes), {}, details)


def chosen(settings: DropLayersConfig, count: int) -> list[int]:
    """Number the blocks to leave out.

    Args:
        settings: Which and how many.
        count: Blocks the model has.

    Returns:
        Ascending, counted from 0.

    Raises:
        Unsupported: The model has too few.
    """
    most = (count + 1) // 2 if settings.which == "alternate" else count
    if settings.layers > most or settings.layers >= count:
        raise Unsupported(
            f"compression.layers={settings.layers} ({settings.which}) cannot be left out of a "
            f"model with {count} layers"
        )
    match settings.which:
        case "first":
            return list(range(settings.layers))
        case "last":
            return list(range(count - settings.layers, count))
    return sorted(range(count - 1, -1, -2)[: settings.layers])


def _list_of_layers(model: "PreTrainedModel", count: int) -> str | None:
    """Name the list of blocks; None where one group of weights serves for all of them."""
    from src.models.blocks import outermost_lists

    lists = [name for name, found in outermost_lists(model).items() if len(found) == count]
    if len(lists) == 1:
        return lists[0]
    if getattr(model.config, "num_hidden_groups", None) == 1:
        return None
    raise Unsupported(
        f"the layers of a {type(model).__name__} do not lie in one list of {count}, so it is not "
        "known what to leave out"
    )


def _gone(name: str, block: "nn.Module") -> "Iterator[Change]":
    """Describe the parameters of a block that was left out: nothing of them is stored."""
    import torch

    for parameter, weight in block.named_parameters():
        nothing = torch.zeros_like(weight)
        yield describe_change(f"{name}.{parameter}", "left out", weight, nothing, bits=0.0)


def _keep(model: "PreTrainedModel", name: str, kept: list[int]) -> None:
    from torch import nn

    from src.compression.linears import put

    layers = model.get_submodule(name)
    assert isinstance(layers, nn.ModuleList)
    put(model, name, nn.ModuleList(layers[index] for index in kept))
    for place, index in enumerate(kept):
        for module in layers[index].modules():
            for number in NUMBERS:
                if getattr(module, number, None) == index:
                    setattr(module, number, place)


def _shorten(config: "PretrainedConfig", dropped: list[int]) -> None:
    """Tell the config how many blocks there are, and of what type each is."""
    count = int(config.num_hidden_layers)
    for key, value in vars(config).items():
        if "layer" in key and isinstance(value, list | tuple) and len(value) == count:
            setattr(config, key, [one for i, one in enumerate(value) if i not in dropped])
    if getattr(config, "attention_types", None) and hasattr(config, "attention_layers"):
        # GPT-Neo makes the one of the other.
        config.attention_types = [[list(config.attention_layers), 1]]
    config.num_hidden_layers = count - len(dropped)
