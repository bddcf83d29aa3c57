"""Which checkpoints a sweep removes, in a cache laid out as the hub library lays it out."""

import json
import shutil

import pytest
from hydra import compose, initialize_config_dir

from src import checkpoints, schema, sweep
from src.checkpoints import EXPECTED, NOTES, checkpoints_of, expect, on_demand
from src.schema import ROOT, typed

schema.register()
sweep.register()
MODEL = "EleutherAI/pythia-70m-deduped"
COMMITS = {"step1000": "1" * 40, "step2000": "2" * 40}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    EXPECTED.cells.clear()
    yield folder
    EXPECTED.cells.clear()


def download(cache, step, weights=True):
    """What the hub library leaves: blobs, links to them in a snapshot, and a reference."""
    place = cache / "models--EleutherAI--pythia-70m-deduped"
    snapshot = place / "snapshots" / COMMITS[step]
    for folder in (place / "blobs", place / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    files = {"config.json": "shared", "model.safetensors": step}
    for name, content in files.items() if weights else [("config.json", "shared")]:
        (place / "blobs" / content).write_text(content)
        (snapshot / name).unlink(missing_ok=True)
        (snapshot / name).symlink_to(place / "blobs" / content)
    (place / "refs" / step).write_text(COMMITS[step])
    return snapshot


def cells(*axes):
    """The configs of a sweep's cells, in order, as the program expects them."""
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        found = sweep.check_cells([*axes, "system.keep_checkpoints=false"], multirun=True)
        expect(found, "config")
        from itertools import product

        return [typed(compose("config", list(cell))) for cell in product(*found.values())]


GRID = ("model=pythia", "model.size=70m", "model.step=1000,2000", "compression=none,ptq")


def test_what_the_sweep_downloaded_goes_with_its_last_cell(cache, tmp_path):
    folder = tmp_path / "sweep"
    there = []
    for config in cells(*GRID):
        with on_demand(config, folder):
            download(cache, config.model.revision)
        there.append(sorted(path.name[0] for path in cache.glob("*/snapshots/*")))
    assert there == [["1"], [], ["2"], []]
    assert not list(cache.rglob("blobs/*"))
    assert not (folder / NOTES).exists()


def test_what_was_there_before_stays(cache, tmp_path):
    before = download(cache, "step1000")
    download(cache, "step2000", weights=False)  # its config only, as a plan leaves it
    for config in cells(*GRID):
        with on_demand(config, tmp_path / "sweep"):
            download(cache, config.model.revision)
    assert (before / "model.safetensors").read_text() == "step1000"
    assert (before / "config.json").read_text() == "shared"
    assert [path.name for path in cache.glob("*/snapshots/*")] == [COMMITS["step1000"]]


def test_a_killed_sweep_knows_what_was_its_own(cache, tmp_path):
    folder = tmp_path / "sweep"
    first, *_ = cells(*GRID)
    killed = on_demand(first, folder)
    killed.__enter__()
    download(cache, "step1000")
    assert json.loads((folder / NOTES).read_text()) == [f"{MODEL}@step1000"]
    for config in cells(*GRID):  # the same command again, in a process that knows of nothing
        with on_demand(config, folder):
            download(cache, config.model.revision)
    assert not list(cache.glob("*/snapshots/*"))
    EXPECTED.cells.clear()
    killed.gen.close()


def test_a_cell_that_fails_counts_as_done(cache, tmp_path):
    for config in cells(*GRID[:2], "model.step=1000", "compression=none"):
        with pytest.raises(ZeroDivisionError), on_demand(config, tmp_path):
            download(cache, "step1000").joinpath(str(1 / 0))
    assert not list(cache.glob("*/snapshots/*"))


def test_axes_in_another_order_remove_a_checkpoint_after_its_last_cell(cache, tmp_path):
    there = []
    for config in cells("compression=none,ptq", *GRID[:3]):
        with on_demand(config, tmp_path):
            download(cache, config.model.revision)
        there.append(sorted(path.name[0] for path in cache.glob("*/snapshots/*")))
    assert there == [["1"], ["1", "2"], ["2"], []]


def test_nothing_is_removed_unless_asked(cache, tmp_path):
    (config,) = cells(*GRID[:2], "model.step=1000")
    config.system.keep_checkpoints = True
    with on_demand(config, tmp_path):
        download(cache, "step1000")
    config.system.keep_checkpoints = False
    EXPECTED.cells.clear()  # as in a process that the sweep was not started in
    with on_demand(config, tmp_path):
        pass
    assert len(list(cache.glob("*/snapshots/*"))) == 1
    assert not (tmp_path / NOTES).exists()


def test_local_folders_are_none_of_it_and_students_are(checkpoint):
    local = f"model.id={checkpoint('gpt2')}"
    (config,) = cells("model=hf", local)
    assert checkpoints_of(config) == set()
    (config,) = cells("model=bert", "compression=distilled")
    assert len(checkpoints_of(config)) == 2
    EXPECTED.cells.clear()


def test_a_damaged_list_removes_nothing(cache, tmp_path):
    (config,) = cells(*GRID[:2], "model.step=1000")
    snapshot = download(cache, "step1000")
    (tmp_path / NOTES).write_text("{")
    with on_demand(config, tmp_path):
        pass
    assert snapshot.is_dir()
    shutil.rmtree(cache)
    checkpoints._remove(f"{MODEL}@step1000")
