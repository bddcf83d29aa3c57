"""What a cell cost: seconds of its phases, peak memory."""

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from src.system.memory import ProcessPeak, device_memory, reset_device_peak


class Meter:
    """Measures one cell, from `with meter:` to its end.

    Example:
        with Meter("cuda") as meter:
            with meter.phase("load"):
                ...
        meter.report()["load_seconds"]
    """

    def __init__(self, device: str = "cpu") -> None:
        """Name the device type, "cpu" or "cuda"; CUDA work is waited for at the end of a phase."""
        self._device = device
        self._seconds: dict[str, float] = {}
        self._memory: dict[str, Any] = {}
        self._peak = ProcessPeak()

    def __enter__(self) -> "Meter":
        """Start the clock and forget the peaks of earlier cells."""
        self._peak = ProcessPeak()
        reset_device_peak(self._device)
        self._peak.start()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the clock and read the peaks, also where the cell failed."""
        del kind, error, trace
        self._seconds["cell"] = time.perf_counter() - self._started
        self._memory = {
            "peak_process_bytes": self._peak.stop(),
            "peak_process_memory_source": self._peak.source,
            **device_memory(self._device),
        }

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase as `<name>_seconds`; entered again, it adds up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            elapsed = time.perf_counter() - started
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed

    def report(self) -> dict[str, Any]:
        """Give all measurements, units in the names.

        Returns:
            `<phase>_seconds`, and after the end of the cell `cell_seconds` and the peaks. Memory is
            that of this process and of its device alone; None is what could not be measured here.
        """
        timed = {f"{name}_seconds": value for name, value in self._seconds.items()}
        return {**timed, **self._memory}

    def _wait(self) -> None:
        if self._device == "cuda":  # kernels run on after the call that queued them
            import torch

            torch.cuda.synchronize()
