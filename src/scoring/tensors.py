"""Arrays to the device, and answers back from it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from src.scoring.batching import Batch, Integers
from src.scoring.requests import Answer


def on(device: torch.device, array: npt.NDArray[np.generic]) -> torch.Tensor:
    """Put an array on the device, on a GPU without waiting for it."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def means(hidden: torch.Tensor, nodes: Sequence[Integers]) -> torch.Tensor:
    """Average hidden states, (tokens, width), over the tokens of each sequence."""
    # A padded table, because adding at indices is in no fixed order on a GPU.
    lengths = np.array([len(one) for one in nodes])
    inside = np.arange(lengths.max()) < lengths[:, None]
    table = np.zeros(inside.shape, dtype=np.int64)
    table[inside] = np.concatenate(nodes)
    weights = on(hidden.device, inside / lengths[:, None]).to(hidden.dtype)
    return torch.einsum("sn,snh->sh", weights, hidden[on(hidden.device, table)])


def split(batch: Batch, results: torch.Tensor) -> list[Answer]:
    """Give each forward of a batch its part of the joined answers."""
    values = results.cpu().numpy()
    if batch.pooling:
        return list(values)
    ends = np.cumsum([len(forward.pairs) for forward in batch.forwards])
    return np.split(values, ends[:-1])
