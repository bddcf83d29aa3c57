import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from src.tracking.fingerprint import code_digest, difference, fingerprint

ROOT = Path(__file__).parents[2]
PARTS = {"model": {"id": "x", "revision": None}, "compression": {"bits": 8}, "seeds": (1, 2)}


def test_it_depends_on_values_and_not_on_order_or_container():
    base = fingerprint(PARTS)
    assert len(base) == 64
    assert fingerprint(dict(reversed(PARTS.items()))) == base
    assert fingerprint(OmegaConf.create(PARTS | {"seeds": [1, 2]})) == base
    assert fingerprint(PARTS | {"seeds": np.array([1, 2])}) == base
    for changed in ({"seeds": (2, 1)}, {"seeds": (1, 2.0)}, {"compression": {"bits": "8"}}):
        assert fingerprint(PARTS | changed) != base


def test_it_is_the_same_in_another_process():
    code = f"from src.tracking.fingerprint import fingerprint; print(fingerprint({PARTS!r}))"
    for seed in ("1", "2"):
        child = subprocess.run(
            [sys.executable, "-c", code],
            **{"cwd": ROOT, "env": {"PYTHONHASHSEED": seed}, "capture_output": True, "text": True},
        )
        assert child.stdout.strip() == fingerprint(PARTS)


def test_it_refuses_what_has_no_stable_text():
    with pytest.raises(TypeError, match=r"model\.load is a"):
        fingerprint({"model": {"load": object()}})


def test_difference_names_what_changed():
    new = {"model": {"id": "y"}, "compression": {"bits": 8.0}, "seeds": [1, 2], "scorer": {}}
    assert difference(PARTS, new) == ["compression.bits", "model.id", "model.revision", "scorer"]
    assert difference(PARTS, dict(PARTS)) == []


def test_any_change_of_the_code_changes_its_digest(tmp_path):
    (tmp_path / "scoring" / "deep").mkdir(parents=True)
    (tmp_path / "scoring" / "deep" / "a.py").write_bytes(b"x = 1\ny = 2\n")
    (tmp_path / "evaluate.py").write_bytes(b"")
    (tmp_path / "other.py").write_bytes(b"")

    def digest() -> str:
        return code_digest(["scoring", "evaluate.py"], tmp_path)

    seen = [digest()]
    (tmp_path / "other.py").write_bytes(b"not counted")
    (tmp_path / "scoring" / "readme.md").write_bytes(b"not counted")
    (tmp_path / "scoring" / "deep" / "a.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    assert digest() == seen[0]
    (tmp_path / "scoring" / "deep" / "a.py").write_bytes(b"x = 1\ny = 3\n")
    seen.append(digest())
    (tmp_path / "scoring" / "deep" / "a.py").rename(tmp_path / "scoring" / "a.py")
    seen.append(digest())
    (tmp_path / "evaluate.py").write_bytes(b"x = 1\ny = 3\n")
    (tmp_path / "scoring" / "a.py").write_bytes(b"")
    seen.append(digest())
    assert len(set(seen)) == 4
    with pytest.raises(FileNotFoundError, match="absent"):
        code_digest(["absent"], tmp_path)


def test_the_projects_own_code_has_a_digest():
    assert len(code_digest(["benchmarks", "tracking"])) == 64
