"""What glibc does with freed memory, in a process of its own: the setting lasts as long as it."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.system import allocator

COUNT = """
import resource, torch
from src.system.allocator import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        batch = [torch.ones(2**22) for _ in range(3)]
    del batch
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

with freed_memory_kept():
    faults()
    kept = resident()
    again = faults()
print(again, kept - resident())
"""
PAGES = 3 * 2**24 // 4096
"""Of a batch of three tables."""


@pytest.mark.skipif(allocator._glibc() is None, reason="another C library")
def test_freed_memory_is_kept_until_the_end():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=root, capture_output=True, text=True, check=True
    )
    again, returned = map(int, done.stdout.split())
    assert again < PAGES  # a batch anew each time is twenty times as many
    assert returned > PAGES / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    with allocator.freed_memory_kept():
        pass
