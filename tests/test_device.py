import pytest
import torch

from src.device import start_accelerator
from src.errors import InputError
from src.system.config import SystemConfig


def test_more_processes_than_gpus_are_refused(monkeypatch):
    """Two ranks on one GPU end in an error of NCCL that names neither the cause nor a way out."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="2 processes were started for 1 GPU"):
        start_accelerator(SystemConfig(device="cuda"))
