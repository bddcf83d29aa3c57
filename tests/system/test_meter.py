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
from src.system.memory import ProcessPeak
from src.system.meter import Meter

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def test_phases_add_up():
    meter = Meter()
    with meter:
        with meter.phase("load"):
            time.sleep(0.05)
        for _ in range(2):
            with meter.phase("evaluate"):
                time.sleep(0.05)
    report = meter.report()
    assert 0.05 <= report["load_seconds"] < report["evaluate_seconds"]
    assert 0.1 <= report["evaluate_seconds"] < report["cell_seconds"]


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


DEVICE_KEYS = {
    *("peak_device_allocated_bytes", "peak_device_reserved_bytes"),
    *("device_process_bytes", "device_used_bytes"),
}


class Cuda:
    """Stands in for torch.cuda with two GPUs, of which this process works on the second.

    Like the real one it does not start CUDA by itself for memory statistics: resetting them before
    raises, and reading them gives 0.
    """

    def __init__(self) -> None:
        self.begun = False
        self.peaks = {0: 900, 1: 800}

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def init(self) -> None:
        self.begun = True

    def current_device(self) -> int:
        self.begun = True
        return 1

    def reset_peak_memory_stats(self, device: int | None = None) -> None:
        device = 1 if device is None else device
        if not self.begun:
            raise RuntimeError(f"Invalid device argument {device}: did you call init?")
        self.peaks[device] = 0

    def max_memory_allocated(self, device: int | None = None) -> int:
        return self.peaks[1 if device is None else device] if self.begun else 0

    def max_memory_reserved(self, device: int | None = None) -> int:
        return 2 * self.max_memory_allocated(device)

    def get_device_properties(self, device: int) -> SimpleNamespace:
        self.begun = True
        return SimpleNamespace(uuid=["there", "here"][device])

    def synchronize(self) -> None:
        self.begun = True


@pytest.fixture
def cuda(monkeypatch):
    import torch

    fake = Cuda()
    monkeypatch.setattr(torch, "cuda", fake)
    monkeypatch.setitem(sys.modules, "pynvml", Driver(os.getpid()))
    return fake


def test_a_cell_on_the_gpu_tells_the_peak_of_its_own_device(cuda):
    with Meter("cuda") as meter, meter.phase("load"):
        assert cuda.peaks == {0: 900, 1: 0}  # the other device is another process's
        cuda.peaks[1] = 30
    assert {key: meter.report()[key] for key in sorted(DEVICE_KEYS)} == {
        "peak_device_allocated_bytes": 30,
        "peak_device_reserved_bytes": 60,
        "device_process_bytes": 7,
        "device_used_bytes": 100,
    }


def test_a_cell_on_the_cpu_leaves_a_visible_gpu_alone(cuda):
    with Meter("cpu") as meter, meter.phase("load"):
        pass
    assert {meter.report()[key] for key in DEVICE_KEYS} == {None}
    assert not cuda.begun
    assert cuda.peaks == {0: 900, 1: 800}


def test_the_stand_in_refuses_what_torch_refuses():
    """The fault it is there for, on a machine that has a GPU; elsewhere only the stand-in's."""
    with pytest.raises(RuntimeError, match="did you call init"):
        Cuda().reset_peak_memory_stats(0)
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    code = "import torch; torch.cuda.reset_peak_memory_stats(0)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Invalid device argument" in child.stderr


def test_each_cell_on_a_gpu_has_its_own_peak():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    peaks = []
    for megabytes in (64, 4):
        with Meter("cuda") as meter, meter.phase("load"):
            held = torch.ones(megabytes * MB, dtype=torch.uint8, device="cuda")
            del held
        peaks.append(meter.report()["peak_device_allocated_bytes"])
    assert peaks[0] - peaks[1] == pytest.approx(60 * MB, abs=2 * 2**20)  # torch rounds to 2 MiB


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
    found = memory._driver_memory(uuid)
    assert (found["device_process_bytes"], found["device_used_bytes"]) == expected


def test_importing_it_does_not_import_torch():
    code = "import sys, src.system.meter, src.system.environment; print('torch' in sys.modules)"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert child.stdout == "False\n"
