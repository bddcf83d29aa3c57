from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.data.config import DataConfig
from src.errors import InputError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root": ""}, "data.root is empty"),
        ({"cache": " "}, "data.cache is empty"),
        ({"mirror": "ftp://host/x"}, "ftp is not possible; choose one of: http, https, file"),
        ({"mirror": "http:///x"}, "not a base address"),
        ({"mirror": "file://host/x"}, "not a base address"),
        ({"mirror": "http://host/x?y=1"}, "not a base address"),
        ({"mirror": "http://host:port/x"}, "not a valid address"),
        ({"timeout": 0}, "data.timeout=0"),
        ({"timeout": float("nan")}, "data.timeout=nan"),
        ({"timeout": float("inf")}, "data.timeout=inf"),
        ({"retries": -1}, "data.retries=-1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        DataConfig(**settings)


@pytest.mark.parametrize("port", ["", ":1", ":bad"])
def test_a_password_in_the_mirror_is_refused_and_not_repeated(port):
    with pytest.raises(InputError, match="user name or password") as refusal:
        DataConfig(mirror=f"https://me:secret@host{port}/x")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("mirror", ["http://h:1/a", "https://h", "file:///a", "/a/b", "relative"])
def test_possible_mirrors(mirror):
    assert DataConfig(mirror=mirror).mirror == mirror


def test_hydra_can_hold_it():
    merged = OmegaConf.merge(OmegaConf.structured(DataConfig), {"root": "x", "timeout": 3})
    assert OmegaConf.to_object(merged) == DataConfig(root="x", timeout=3.0)


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    in_home = Path("/home/someone/.cache/compression-bias/data")
    assert DataConfig().cache_folder() == in_home
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, by the XDG specification
    assert DataConfig().cache_folder() == in_home
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert DataConfig().cache_folder() == Path("/caches/compression-bias/data")
    assert DataConfig(cache="~/c").cache_folder() == Path("/home/someone/c")


def test_no_home_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match=r"set data\.cache=FOLDER"):
        DataConfig().cache_folder()
