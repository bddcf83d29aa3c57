"""Which checkpoint a sweep reads ahead, and that reading it is all that happens."""

import psutil
import pytest
from hydra import initialize_config_dir

from src import ahead, schema, sweep
from src.ahead import ORDER, expect_models, read_ahead
from src.models.config import ModelConfig
from src.schema import ROOT

schema.register()
sweep.register()


@pytest.fixture(autouse=True)
def nothing_expected():
    yield
    ORDER.models.clear()
    ORDER.again = False


def expected(*arguments):
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        expect_models(sweep.check_cells(arguments, multirun=True), "config")
    return ORDER.models


def test_order_is_that_of_the_cells():
    models = expected(
        "model=pythia", "model.size=70m,160m", "model.step=1,2", "compression=none,ptq"
    )
    assert [(model.size, model.step) for model in models] == [
        *(("70m", 1), ("70m", 2)),
        *(("160m", 1), ("160m", 2)),
    ]
    assert not ORDER.again
    assert len(expected("compression=none,ptq", "model=bert,gpt2")) == 2
    assert ORDER.again
    assert expected("model=tiny", "compression=none,ptq") == []
    assert expected("model=bert,gpt2", "system.load_ahead=false") == []


def checkpoint(folder, size=100):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * size)
    (folder / "other.bin").write_bytes(b"y" * size)
    return ModelConfig(name=folder.name, id=str(folder))


def test_the_next_one_is_read_and_no_other_file(tmp_path, monkeypatch):
    one, two = (checkpoint(tmp_path / name) for name in ("one", "two"))
    ORDER.models[:], ORDER.again = [one, two], True
    read = []
    monkeypatch.setattr(ahead, "_read", read.extend)
    for present, following in ((one, two), (two, one)):
        read.clear()
        read_ahead(present).join()
        assert [str(path) for path in read] == [f"{following.id}/model.safetensors"]
    assert read_ahead(ModelConfig(name="three", id="three")) is None
    ORDER.again = False
    assert read_ahead(two) is None


def test_files_are_read_to_their_end_and_one_that_cannot_be_is_left(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ahead, "CHUNK", 7)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    before = psutil.Process().io_counters().read_chars
    with caplog.at_level("INFO"):
        ahead._read([tmp_path / "gone", path])
    assert psutil.Process().io_counters().read_chars - before >= 100
    assert "gone could not be read ahead" in caplog.text


def test_nothing_is_read_where_memory_is_short_or_there_is_nothing(tmp_path, monkeypatch):
    one, two = (checkpoint(tmp_path / name) for name in ("one", "two"))
    gone = ModelConfig(name="gone", id="somebody/model-that-no-cache-has")
    ORDER.models[:] = [one, gone]
    assert read_ahead(one) is None
    ORDER.models[:] = [one, two]
    monkeypatch.setattr(ahead, "SHARE", 1e-12)
    assert read_ahead(one) is None
