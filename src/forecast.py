"""`debug=plan`: what cells would cost, from their items, their tokenizers and the model's shape.

No model is run and no weight is read. The time is that of the matrix products at a share of what
this device was measured to do; loading, compressing and statistics come on top.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psutil
import torch

from src.compression.stack import multiplies_int8, spans_sequences
from src.data.locate import DataFiles
from src.device import release_memory, start_accelerator
from src.errors import CellFailed, InputError, Unsupported
from src.evaluate import BUDGETS, plan_questions, requests_of
from src.made import settle
from src.models.empty import empty_subject
from src.models.subject import Subject
from src.questions import find_questions
from src.schema import Config
from src.scoring.batching import Batch, Budget, Forward, batches, merge
from src.scoring.cpu_linear import MEMORY_SHARE
from src.scoring.engine import CHUNKS
from src.scoring.packed_attention import padding
from src.scoring.packing import POOLINGS, packs
from src.system.config import SystemConfig
from src.system.flops import Need, find_need, model_cost
from src.system.peak import calibrated_peak

SHARE_OF_PEAK = 0.75
"""Of the matrix peak, what a cell is taken to reach; `share_of_peak` in system.json says what one
really did."""
MEGA, TERA = 1e6, 1e12


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a cell, or several, would cost.

    Attributes:
        requests: Asked of the model.
        forwards: Distinct inputs.
        tokens_asked: In all requests.
        tokens: To run.
        padding: Places of attention's tables without a token.
        flops: Of the tokens to run.
        seconds: For these.
        weight_bytes: Of the checkpoint on disk; None where that is not known.
        download_bytes: What of it is not here yet.
        memory_bytes: Most memory, roughly.
    """

    requests: int
    forwards: int
    tokens_asked: int
    tokens: int
    padding: int
    flops: float
    seconds: float
    weight_bytes: int | None
    download_bytes: int | None
    memory_bytes: int

    def told(self) -> str:
        """Say it in two lines."""
        share = self.padding / max(1, self.padding + self.tokens)
        disk, load = (
            "unknown" if size is None else f"{size / MEGA:,.1f} MB"
            for size in (self.weight_bytes, self.download_bytes)
        )
        return (
            f"  {self.requests:,} requests, {self.forwards:,} distinct inputs; "
            f"{self.tokens_asked:,} tokens asked, {self.tokens:,} to run, "
            f"{self.padding:,} padded in attention ({share:.1%})\n"
            f"  {self.flops / TERA:.3g} TFLOP, scored in about {self.seconds:.3g} s; "
            f"weights {disk}, to download {load}; memory about {self.memory_bytes / MEGA:,.0f} MB"
        )


@dataclass(slots=True)
class Told:
    """The forecasts of this process, by name of the cell, with the checkpoint of each."""

    cells: list[tuple[str, Forecast]] = field(default_factory=list)


TOLD = Told()


def print_forecast(config: Config) -> str:
    """Print what one cell would cost.

    Raises:
        CellFailed: Its model or its data cannot be found.
    """
    name = f"{config.model.name} {config.compression.name}"
    try:
        found = forecast(config)
    except Unsupported as error:
        print(f"{name}: unsupported: {error}")
    except InputError as error:
        print(f"{name}: cannot be planned: {error}")
        raise CellFailed(str(error)) from None
    else:
        print(f"{name}\n{found.told()}", flush=True)
        TOLD.cells.append((f"{config.model.id}@{config.model.revision}", found))
    release_memory()
    return "plan"


def print_total() -> None:
    """Print the sum over all cells of this process, if there were several."""
    if len(TOLD.cells) > 1:
        print(f"all {len(TOLD.cells)} cells\n{total(TOLD.cells).told()}")


def total(cells: Sequence[tuple[str, Forecast]]) -> Forecast:
    """Add cells up; each checkpoint is on disk once, and memory is that of the largest cell."""
    apart, all_of_them = list(dict(cells).values()), [found for _, found in cells]
    return Forecast(
        requests=sum(one.requests for one in all_of_them),
        forwards=sum(one.forwards for one in all_of_them),
        tokens_asked=sum(one.tokens_asked for one in all_of_them),
        tokens=sum(one.tokens for one in all_of_them),
        padding=sum(one.padding for one in all_of_them),
        flops=sum(one.flops for one in all_of_them),
        seconds=sum(one.seconds for one in all_of_them),
        weight_bytes=_sum([one.weight_bytes for one in apart]),
        download_bytes=_sum([one.download_bytes for one in apart]),
        memory_bytes=max(one.memory_bytes for one in all_of_them),
    )


def _sum(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def forecast(config: Config) -> Forecast:
    """Plan one cell.

    Raises:
        InputError: The model or the data cannot be found.
        Unsupported: Nothing can be asked of this model.
    """
    config = settle(config, now=False).config
    device = start_accelerator(config.system).device.type
    questions = find_questions(config, DataFiles(config.data))
    subject, weights = empty_subject(config.model, config.scorer.start_token)
    requests = requests_of(
        plan_questions(subject, questions, config.scorer.names, config.scorer.skip_long)[0]
    )
    forwards, _ = merge(requests)
    run, padded = find_run(subject, forwards, config)
    flops = float(model_cost(subject.model).of(run))
    # On a GPU int8 products are so fast that other work decides.
    int8 = device == "cpu" and multiplies_int8(config.compression)
    dtype = torch.int8 if int8 else subject.model.dtype
    peak = calibrated_peak(device, dtype, torch.get_num_threads())
    return Forecast(
        requests=len(requests),
        forwards=len(forwards),
        tokens_asked=sum(len(request.ids) for request in requests),
        tokens=run.tokens,
        padding=padded,
        flops=flops,
        seconds=flops / (SHARE_OF_PEAK * peak),
        weight_bytes=weights.bytes,
        download_bytes=0 if weights.here else weights.bytes,
        memory_bytes=_memory(subject, device, *_budget(device, config.system)),
    )


def find_run(subject: Subject, forwards: Sequence[Forward], config: Config) -> tuple[Need, int]:
    """Find what a cell's engine will run.

    Args:
        subject: Its model may be on the meta device; its shape decides how inputs are packed.
        forwards: The distinct inputs.
        config: Of the cell.

    Returns:
        Tokens, attention pairs and head rows, and how many places of attention's tables are padded.
    """
    whole = spans_sequences(config.compression)
    tokens, _ = _budget(start_accelerator(config.system).device.type, config.system)
    cut = list(_cut(subject, forwards, tokens, whole))
    need = find_need(forwards, subject.objective == "causal", whole)
    run = Need(sum(batch.tokens for batch in cut), need.pairs, need.rows)
    return run, sum(padding(batch.ends) for batch in cut)


def _budget(device: str, system: SystemConfig) -> tuple[int, int]:
    tokens, logits = BUDGETS.get(device, BUDGETS["cpu"])
    return system.batch_tokens or tokens, system.batch_logits or logits


def _cut(
    subject: Subject, forwards: Sequence[Forward], tokens: int, whole: bool
) -> Iterator[Batch]:
    """Cut into batches as the engine does where it packs what the settings let it pack."""
    width, vocabulary = subject.model.get_input_embeddings().weight.shape[::-1]
    budget = Budget(tokens, vocabulary)
    can = [] if whole else [one for one in forwards if one.pooling in POOLINGS]
    rest = [one for one in forwards if whole or one.pooling not in POOLINGS]
    yield from packs(can, budget, subject.objective == "causal", width)
    yield from batches(rest, budget)


def _memory(subject: Subject, device: str, tokens: int, logits: int) -> int:
    """Estimate: the weights, their second copy on a CPU, a layer's activations, some logits."""
    model = subject.model
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    linear = [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]
    copy = sum(one.numel() * one.element_size() for one in linear)
    few = copy <= MEMORY_SHARE * psutil.virtual_memory().total
    second = copy if device == "cpu" and model.dtype == torch.float32 and few else 0
    widest = max(
        (max(one.shape) for one in linear if model.config.vocab_size not in one.shape),
        default=model.config.hidden_size,
    )
    activations = 4 * tokens * widest * model.dtype.itemsize
    return int(weights + second + activations + 4 * logits // CHUNKS)
