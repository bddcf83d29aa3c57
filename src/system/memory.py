"""Peak memory of a cell: of this process, and of the device it works on.

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
_UNKNOWN: dict[str, int | None] = {"device_process_bytes": None, "device_used_bytes": None}


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


def reset_device_peak(device: str) -> None:
    """Forget earlier peaks of torch's CUDA memory: they are the whole process's, over all cells.

    Args:
        device: The cell's device type; nothing is touched unless it is "cuda".
    """
    if device == "cuda":
        import torch

        # Nothing has been put on the device yet, and torch refuses the reset until CUDA has begun.
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats()


def device_memory(device: str) -> dict[str, int | None]:
    """Peak memory, since the last reset, of the CUDA device this process works on, in bytes.

    Args:
        device: The cell's device type.

    Returns:
        None for each value that cannot be had (a cell on the CPU, whether or not there is a GPU;
        no pynvml; or the driver does not know this process, as in most containers).
    """
    if device != "cuda":
        return {"peak_device_allocated_bytes": None, "peak_device_reserved_bytes": None, **_UNKNOWN}
    import torch

    torch.cuda.init()
    current = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "peak_device_allocated_bytes": torch.cuda.max_memory_allocated(),
        "peak_device_reserved_bytes": torch.cuda.max_memory_reserved(),
        **_driver_memory(str(current.uuid)),
    }


def _driver_memory(uuid: str) -> dict[str, int | None]:
    try:
        import pynvml
    except ImportError:
        return _UNKNOWN
    try:
        pynvml.nvmlInit()
        # By name: the driver counts all devices, torch those that CUDA_VISIBLE_DEVICES leaves.
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        used = pynvml.nvmlDeviceGetMemoryInfo(handle).used
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return _UNKNOWN
    own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
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
