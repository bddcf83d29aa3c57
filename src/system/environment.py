"""Where a cell ran: versions, code, hardware; enough to say why two numbers differ."""

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "datasets", "numpy"),
    *("scipy", "pandas", "pyarrow", "hydra-core", "omegaconf", "wandb", "compression-bias"),
)


def environment(packages: Sequence[str] = PACKAGES, root: Path | None = None) -> dict[str, Any]:
    """Describe this process's surroundings as plain data.

    Args:
        packages: Distributions whose versions are wanted; one that is not installed is None.
        root: The project's folder, for its git state; this checkout by default.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "git": git_state(root or Path(__file__).parents[2]),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "command": sys.argv,
        "cpu": {
            "model": cpu_model(),
            "logical_cores": psutil.cpu_count(),
            "physical_cores": psutil.cpu_count(logical=False),
            "usable_cores": _usable_cores(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        **_torch(),
    }


def git_state(root: Path) -> dict[str, Any] | None:
    """Give the commit of the checkout at `root` and whether files differ from it.

    Returns:
        `commit` (None before the first one) and `dirty`; None where `root` is no checkout of its
        own, or there is no git.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    # Installed below somebody else's repository, that one's commit says nothing about this code.
    if top is None or Path(top).resolve() != root.resolve():
        return None
    status = _git(root, "status", "--porcelain")
    return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": status is None or bool(status)}


def cpu_model() -> str:
    """Name the processor, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    # Inside a git hook these point at another repository than the one at `root`.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=clean, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):  # a container or SLURM may allow fewer than there are
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count()


def _torch() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if cuda else None,
        "driver": driver_version() if cuda else None,
        "gpus": [
            {
                "name": device.name,
                "memory_bytes": device.total_memory,
                "compute_capability": f"{device.major}.{device.minor}",
            }
            for device in (devices if cuda else [])
        ],
    }


def driver_version() -> str | None:
    """Give the NVIDIA driver's version, where pynvml is installed and finds one."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None
