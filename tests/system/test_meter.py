import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from src.system import memory
from src.system.memory import ProcessPeak, device_memory
from src.system.meter import Meter

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def test_phases_add_up_and_rates_are_of_the_evaluation():
    meter = Meter()
    with meter:
        with meter.phase("load"):
            time.sleep(0.05)
        for _ in range(2):
            with meter.phase("evaluate"):
                time.sleep(0.05)
                meter.count(tokens=100, requests=3)
    report = meter.report()
    assert 0.05 <= report["load_seconds"] < report["evaluate_seconds"]
    assert 0.1 <= report["evaluate_seconds"] < report["cell_seconds"]
    assert (report["tokens"], report["requests"]) == (200, 6)
    assert report["tokens_per_second"] == pytest.approx(200 / report["evaluate_seconds"])
    assert report["requests_per_second"] == pytest.approx(6 / report["evaluate_seconds"])


def test_a_failing_cell_is_measured_too():
    meter = Meter()
    with pytest.raises(KeyError), meter, meter.phase("load"):
        raise KeyError("x")
    assert {"load_seconds", "cell_seconds", "peak_process_bytes"} <= meter.report().keys()
    assert "evaluate_seconds" not in meter.report()


@pytest.mark.parametrize("sample", [False, True])
def test_each_cell_has_its_own_memory_peak(sample):
    """200 MB held for a moment are in the first cell's peak, and not in the second's."""

    def cell(megabytes: int) -> tuple[int, ProcessPeak]:
        before = psutil.Process().memory_info().rss
        peak = ProcessPeak(sample=sample)
        peak.start()
        # Straight from the kernel: an allocator may reuse memory that the process already has.
        with mmap.mmap(-1, megabytes * MB) as held:
            held.write(b"x" * len(held))
            time.sleep(5 * memory.INTERVAL_S)
        return peak.stop() - before, peak

    # The bytes written stand beside the mapping for a moment.
    large, _ = cell(200)
    small, peak = cell(20)
    assert 195 * MB <= large < 460 * MB
    assert 15 * MB <= small < 80 * MB
    if sample:
        assert peak.source.startswith("sampled every")


def kernels_mark() -> int:
    command = ["grep", "VmHWM", f"/proc/{os.getpid()}/status"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(told[1]) * 1024


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux")
def test_the_kernels_mark_is_used_where_it_can_be_reset():
    held = np.ones(100 * MB // 8)
    del held
    before = kernels_mark()
    Path("/proc/self/clear_refs").write_text("5")
    if kernels_mark() > before - 80 * MB:
        pytest.skip("this system takes the reset and does nothing")
    peak = ProcessPeak()
    peak.start()
    held = np.ones(50 * MB // 8)
    del held
    assert peak.stop() == pytest.approx(kernels_mark(), abs=2 * MB)
    assert peak.source == "VmHWM, reset at the start of the cell"
    held = np.ones(100 * MB // 8)
    del held
    peak = ProcessPeak()
    peak.start()
    assert peak.source == "VmHWM, reset at the start of the cell"


def test_where_the_mark_cannot_be_reset_it_is_sampled(monkeypatch):
    monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    meter = Meter()
    with meter:
        pass
    report = meter.report()
    assert report["peak_process_memory_source"] == "sampled every 0.02 s"
    assert report["peak_process_bytes"] > 10 * MB


def test_a_mark_that_ignores_the_reset_is_not_trusted(monkeypatch):
    real = memory._status_bytes

    def stuck(field: str) -> int | None:
        return 10**12 if field == "VmHWM" else real(field)

    monkeypatch.setattr(memory, "_status_bytes", stuck)
    peak = ProcessPeak()
    peak.start()
    assert peak.stop() < 10**12
    assert peak.source.startswith("sampled")


def test_without_a_gpu_device_memory_is_unknown_and_not_zero():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert set(device_memory().values()) == {None}
    assert len(device_memory()) == 4


class Driver:
    """Stands in for pynvml: one device with two processes, in the driver's own numbering."""

    class NVMLError(Exception):
        pass

    def __init__(self, pid: int, own: int | None = 7) -> None:
        self.processes = [SimpleNamespace(pid=1, usedGpuMemory=5)]
        self.processes.append(SimpleNamespace(pid=pid, usedGpuMemory=own))

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != "GPU-here":
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(used=100)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        return self.processes


@pytest.mark.parametrize(
    ("known", "own", "uuid", "expected"),
    [
        (True, 7, "here", (7, 100)),
        (False, 7, "here", (None, 100)),  # a container: the driver knows us by another number
        (True, None, "here", (None, 100)),  # not permitted to tell
        (True, 7, "gone", (None, None)),
    ],
)
def test_the_drivers_answer_is_named_or_unknown(monkeypatch, known, own, uuid, expected):
    # The number is read here: test names must be the same in every worker.
    monkeypatch.setitem(sys.modules, "pynvml", Driver(os.getpid() if known else 2, own))
    found = memory._driver_memory([uuid])
    assert (found["device_process_bytes"], found["device_used_bytes"]) == expected


def test_importing_it_does_not_import_torch():
    code = "import sys, src.system.meter, src.system.environment; print('torch' in sys.modules)"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert child.stdout == "False\n"
