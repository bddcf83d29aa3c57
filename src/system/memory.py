"""Peak memory of a cell: of this process, and of the devices it uses.

Each number says in its name what it counts: the process's resident memory, what torch's tensors
took (`allocated`), what torch held of the device (`reserved`), and, where pynvml is installed,
what the driver says of this process and of the whole device.
"""

import os
import threading
from pathlib import Path

import psutil

INTERVAL_S = 0.02
_MEBIBYTE = 2**20


class ProcessPeak:
    """Largest resident memory of this process between `start` and `stop`.

    Where Linux lets the process reset its own high-water mark, the kernel's exact value is used;
    elsewhere a thread samples, and a shorter peak than its interval can be missed. Which of the
    two it was is in `source`. One object measures once.
    """

    def __init__(self, sample: bool = False) -> None:
        """Choose the source.

        Args:
            sample: Sample also where the kernel's mark could be used.
        """
        self.source = ""
        self._sample = sample
        self._process = psutil.Process()
        self._peak = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Forget earlier peaks."""
        self._peak = self._process.memory_info().rss
        if not self._sample and _reset_high_water_mark():
            self.source = "VmHWM, reset at the start of the cell"
            return
        self.source = f"sampled every {INTERVAL_S} s"
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Stop watching and give the peak in bytes."""
        self._peak = max(self._peak, self._process.memory_info().rss)
        if self._thread is None:
            return max(self._peak, _status_bytes("VmHWM") or 0)
        self._end.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL_S):
            self._peak = max(self._peak, self._process.memory_info().rss)


def reset_device_peak() -> None:
    """Forget earlier peaks of torch's CUDA memory: they are the whole process's, over all cells."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def device_memory() -> dict[str, int | None]:
    """Peak device memory since the last reset, in bytes, summed over visible CUDA devices.

    Returns:
        None for each value that cannot be had (no CUDA device, no pynvml, or the driver does not
        know this process, as in most containers).
    """
    import torch

    cuda = torch.cuda.is_available()
    devices = range(torch.cuda.device_count() if cuda else 0)
    return {
        "peak_device_allocated_bytes": sum(map(torch.cuda.max_memory_allocated, devices))
        if cuda
        else None,
        "peak_device_reserved_bytes": sum(map(torch.cuda.max_memory_reserved, devices))
        if cuda
        else None,
        **_driver_memory([str(torch.cuda.get_device_properties(i).uuid) for i in devices]),
    }


def _driver_memory(uuids: list[str]) -> dict[str, int | None]:
    unknown: dict[str, int | None] = {"device_process_bytes": None, "device_used_bytes": None}
    try:
        import pynvml
    except ImportError:
        return unknown
    if not uuids:
        return unknown
    try:
        pynvml.nvmlInit()
        # By name: the driver counts all devices, torch those that CUDA_VISIBLE_DEVICES leaves.
        handles = [pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") for uuid in uuids]
        used = sum(pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in handles)
        own = [
            process.usedGpuMemory
            for handle in handles
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if process.pid == os.getpid()
        ]
    except pynvml.NVMLError:
        return unknown
    known = bool(own) and None not in own
    return {"device_process_bytes": sum(own) if known else None, "device_used_bytes": used}


def _reset_high_water_mark() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    # Some sandboxes accept the write and do nothing.
    mark, now = _status_bytes("VmHWM"), _status_bytes("VmRSS")
    return mark is not None and now is not None and mark <= now + 16 * _MEBIBYTE


def _status_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(values[0]) * 1024 if values else None
