"""The steps of a run are a function of their number, however they are split."""

import re
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from src.training.batches import RowBatches, seed_of
from src.training.config import TrainingConfig
from src.training.pretraining import text_task

CPU = torch.device("cpu")


def as_rows(batches, steps):
    return [
        tuple(row)
        for s in range(steps)
        for part in batches.parts(s)
        for row in part["ids"].tolist()
    ]


def test_an_epoch_has_every_row_once_and_the_next_one_in_another_order(rows):
    data = rows("gpt_neox")
    batches = RowBatches(data, 100, 0, CPU)
    every = sorted(tuple(row) for group in data.values() for row in group.tolist())
    first = as_rows(batches, batches.per_epoch)
    both = as_rows(batches, 2 * batches.per_epoch)
    assert sorted(first) == every
    assert sorted(both[len(first) :]) == every
    assert both[len(first) :] != first
    for step in range(batches.per_epoch):
        (part,) = batches.parts(step)
        assert part["ids"].dtype == torch.int64
        assert part["ids"].numel() <= 100
        assert part["weight"] == 1.0


def test_tokens_are_those_of_the_steps_before(rows):
    batches = RowBatches(rows("gpt_neox"), 100, 0, CPU)
    steps = 2 * batches.per_epoch + 3
    read = [sum(part["ids"].numel() for part in batches.parts(step)) for step in range(steps)]
    for step in (0, 1, batches.per_epoch, batches.per_epoch + 2, steps):
        assert batches.tokens(step) == sum(read[:step])


def test_any_step_can_be_asked_for_first(rows):
    data = rows("bert")
    whole = RowBatches(data, 64, 3, CPU)
    for step in (0, 5, whole.per_epoch + 1):
        (there,) = RowBatches(data, 64, 3, CPU).parts(step)
        (here,) = whole.parts(step)
        assert torch.equal(there["ids"], here["ids"])
    (other,) = RowBatches(data, 64, 4, CPU).parts(0)
    assert not torch.equal(other["ids"], whole.parts(0)[0]["ids"])


@pytest.mark.parametrize(("accumulation", "processes"), [(1, 1), (3, 1), (1, 2), (2, 3), (64, 2)])
def test_a_split_step_has_the_same_rows_and_weights_that_sum_to_one(rows, accumulation, processes):
    data = rows("bert")
    whole = RowBatches(data, 100, 0, CPU)
    split = [RowBatches(data, 100, 0, CPU, (accumulation, p, processes)) for p in range(processes)]
    for step in range(whole.per_epoch):
        parts = [part for one in split for part in one.parts(step)]
        assert len(parts) == accumulation * processes
        assert sum(part["weight"] for part in parts) / processes == pytest.approx(1.0)
        assert all(len(part["ids"]) for part in parts)
        counted = [row for p in parts if p["weight"] for row in p["ids"].tolist()]
        (wanted,) = whole.parts(step)
        assert sorted(counted) == sorted(wanted["ids"].tolist())
        rows_of = {
            p["weight"] / processes * len(wanted["ids"]) - len(p["ids"])
            for p in parts
            if p["weight"]
        }
        assert max(map(abs, rows_of)) < 1e-9  # a part counts by its rows


def test_what_changes_the_rows_sees_the_whole_step(rows):
    """Masks are drawn for all rows of a step, so that they do not depend on how it is split."""
    data = rows("bert")

    def numbered(ids, step):
        return {"ids": ids, "number": torch.arange(len(ids)) + 1000 * step}

    parts = [
        part
        for process in range(2)
        for part in RowBatches(data, 100, 0, CPU, (2, process, 2), numbered).parts(7)
    ]
    numbers = sorted(n for part in parts for n in part["number"].tolist())
    assert numbers == list(range(7000, 7000 + len(numbers)))


def test_seeds_of_different_things_differ():
    seeds = [seed_of(0, "epoch", n) for n in range(50)] + [seed_of(0, "mask", n) for n in range(50)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert [b - a for a, b in pairwise(seeds)] != [seeds[1] - seeds[0]] * 99


@pytest.mark.parametrize(("batch_tokens", "small"), [(64, False), (100, False), (4096, True)])
def test_steps_far_smaller_than_asked_for_are_said(rows, tokenizer, batch_tokens, small, caplog):
    seen = rows("bert")  # 40 rows of each of four lengths
    data = SimpleNamespace(tokenizer=tokenizer("bert"), seen=seen, held_out=seen)
    args = SimpleNamespace(device=CPU, process_index=0, world_size=1)
    settings = TrainingConfig(steps=1, batch_tokens=batch_tokens)
    task = text_task(None, None, None, data, settings, 0, args)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == small
    if small:
        sizes = [task.batches.parts(step)[0]["ids"].numel() for step in range(4)]
        mean, asked = re.findall(r"[\d,]+\d", said[0])
        assert (float(mean), asked) == (sum(sizes) / len(sizes), "4,096")
