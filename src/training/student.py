"""A student of a teacher's shape with fewer layers, begun with some of the teacher's."""

import copy

import torch
from transformers import PreTrainedModel

from src.errors import InputError
from src.models.blocks import outermost_lists
from src.training.config import DistillationConfig


def chosen_layers(settings: DistillationConfig, count: int) -> list[int]:
    """Number the teacher's layers that a student begins with.

    Evenly spaced with the first and the last among them: 0, 2, 4, 7, 9, 11 of twelve, as the
    authors of DistilBERT chose (Sanh et al. 2019).

    Args:
        settings: Which, or how many.
        count: Layers that the teacher has.

    Raises:
        InputError: The teacher has no such layers.
    """
    if settings.teacher_layers is not None:
        layers = list(settings.teacher_layers)
        if not layers or layers != sorted(set(layers)) or layers[0] < 0 or layers[-1] >= count:
            raise InputError(
                f"distillation.teacher_layers={layers} is not possible: ascending numbers from 0 "
                f"to {count - 1} are needed."
            )
        return layers
    wanted = max(1, round(settings.layers * count))
    if wanted == 1:
        return [0]
    return [round(place * (count - 1) / (wanted - 1)) for place in range(wanted)]


def make_student(
    teacher: PreTrainedModel, settings: DistillationConfig, seed: int
) -> PreTrainedModel:
    """Make the student: all of the teacher but some layers, or random weights in that shape.

    Args:
        teacher: Of any architecture whose layers lie in one list.
        settings: Which layers, and what it starts from.
        seed: Of random weights.

    Raises:
        InputError: The teacher's layers are not known, or not those asked for.
    """
    count = int(teacher.config.num_hidden_layers)
    lists = [name for name, found in outermost_lists(teacher).items() if len(found) == count]
    if len(lists) != 1:
        raise InputError(
            f"distillation.teacher: the layers of {type(teacher).__name__} do not lie in one list "
            f"of {count}, so that no student can be made of some of them."
        )
    layers = chosen_layers(settings, count)
    config = copy.deepcopy(teacher.config)
    for key, value in vars(config).items():
        if "layer" in key and isinstance(value, list | tuple) and len(value) == count:
            setattr(config, key, [value[layer] for layer in layers])
    config.num_hidden_layers = len(layers)
    torch.manual_seed(seed)
    student: PreTrainedModel = type(teacher)(config)
    if settings.start == "teacher":
        student.load_state_dict(_renumbered(teacher, lists[0], layers))
        student.tie_weights()
    return student


def _renumbered(teacher: PreTrainedModel, name: str, layers: list[int]) -> dict[str, torch.Tensor]:
    """Give the teacher's weights with the chosen layers numbered from 0, the others left out."""
    weights = {}
    for key, weight in teacher.state_dict().items():
        if not key.startswith(f"{name}."):
            weights[key] = weight
            continue
        number, _, rest = key[len(name) + 1 :].partition(".")
        if int(number) in layers:
            weights[f"{name}.{layers.index(int(number))}.{rest}"] = weight
    return weights
