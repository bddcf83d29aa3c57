import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.system.environment import cpu_model, environment, git_state
from src.tracking.plain import plain

ROOT = Path(__file__).parents[2]


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *identity, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=clean)
    return done.stdout.strip()


def test_it_tells_versions_without_importing_the_packages(tmp_path):
    code = """if True:
        import json, sys
        from src.system.environment import environment
        found = environment(["numpy", "wandb", "no-such-package"])
        assert "wandb" not in sys.modules
        print(json.dumps(found))
    """
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(child.stdout)
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["no-such-package"] is None
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_it_tells_the_hardware():
    import torch

    found = environment()
    assert plain(found) == found  # plain data throughout
    assert found["torch_threads"] == torch.get_num_threads()
    assert len(found["gpus"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert 1 <= found["cpu"]["usable_cores"] <= found["cpu"]["logical_cores"]
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux")
def test_the_processor_is_named_as_the_system_does():
    lscpu = subprocess.run(["lscpu", "--json"], capture_output=True, text=True, check=False)
    if lscpu.returncode:
        pytest.skip("lscpu is not installed")
    fields = {row["field"]: row["data"] for row in json.loads(lscpu.stdout)["lscpu"]}
    if "Model name:" not in fields:
        pytest.skip("lscpu does not know the processor")
    assert cpu_model() == fields["Model name:"]


def test_git_state_follows_the_checkout(tmp_path, monkeypatch):
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a.py").write_text("x = 2\n")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}
    # A folder of somebody's repository is not that repository; nor does a hook's variable mislead.
    (tmp_path / "below").mkdir()
    assert git_state(tmp_path / "below") is None
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_no_git_is_no_error(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None
