"""The program in this process: what is checked before it runs, and how it ends."""

import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from src import launch, main
from src.command_line import prepare
from src.errors import CellFailed, InputError
from src.sweep import NoteDirectory
from src.tracking.records import CellRecords

QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")


@pytest.fixture
def program(monkeypatch, tmp_path, capsys):
    """Start the program in an empty folder; gives its exit code or message, and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(NoteDirectory, "directory", None)

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["main", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert not GlobalHydra.instance().is_initialized()
        return ended.value.code, capsys.readouterr().out

    return start


@pytest.fixture
def configs(tmp_path):
    """A user's own folder of configs: a model, and primary configs with and without a schema."""
    folder = tmp_path / "own"
    (folder / "model").mkdir(parents=True)
    for name, text in {
        "model/mine": "defaults: [schema/checkpoint@_here_]\nname: mine\nid: some/thing\n",
        "paper": "defaults: [config, _self_]\nmodel:\n  dtype: bfloat16\n",
        "bare": "a: 1\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def cells(monkeypatch):
    """Replace the running of cells; gives the settings of those that were to run."""
    seen = []

    def run_cell(config, resolved, directory):
        seen.append((config, directory))
        return "done"

    import src.cell

    monkeypatch.setattr(src.cell, "run_cell", run_cell)
    return seen


def test_a_folder_of_ones_own_configs_is_checked_and_run(program, configs, cells):
    assert program("--config-dir", configs, "model=mine", *QUIET)[0] is None
    assert program(f"--config-dir={configs}", "-m", "model=glob(m*)", *QUIET)[0] is None
    assert [config.model.id for config, _ in cells] == ["some/thing"] * 2
    code, _ = program("-cd", configs, "model=mine", "model.dtype=int8", *QUIET)
    assert str(code).startswith("error: model.dtype=int8 is not possible")
    assert len(cells) == 2


def test_another_primary_config_is_checked_and_run(program, configs, cells):
    assert program("-cd", configs, "--config-name", "paper", *QUIET)[0] is None
    (config, directory) = cells[0]
    assert config.model.dtype == "bfloat16"
    assert "config-name=paper" in str(directory)
    code, _ = program("-cd", configs, "--config-name", "bare")
    assert code == "error: config bare lacks `schema` as the first of its defaults."
    code, _ = program("--config-name", "absent")
    assert code.startswith("error: Cannot find primary config 'absent'")


def test_another_folder_of_configs_is_checked_and_run(program, configs, cells):
    conf = launch.ROOT / "conf"
    assert program("--config-path", conf, "model=bert", *QUIET)[0] is None
    assert [config.model.name for config, _ in cells] == ["bert"]
    code, _ = program("--config-path", conf, "model=bert", "model.dtype=int8", *QUIET)
    assert code.startswith("error: model.dtype=int8")
    launch.check(["--config-path", "../conf", "model=bert"])  # as Hydra: from src/main.py


def test_a_missing_folder_of_configs_is_named(program, tmp_path):
    code, _ = program("--config-dir", tmp_path / "absent")
    assert code == f"error: Additional config directory '{tmp_path / 'absent'}' not found"


@pytest.mark.parametrize("mode", ["run", "sweep"])
def test_an_output_folder_that_cannot_be_made_is_named(mode, program, cells, tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    multirun = ["-m"] * (mode == "sweep")
    code, _ = program(*multirun, f"hydra.{mode}.dir={folder}", *QUIET)
    assert code.startswith(f"error: {folder} could not be written: Not a directory. Free some")
    assert not cells


def test_a_log_that_cannot_be_written_is_named(program, cells, tmp_path):
    (tmp_path / "out" / "main.log").mkdir(parents=True)
    # Refused by its kind here and by its permissions elsewhere; logging names only its handler.
    code, _ = program(f"hydra.run.dir={tmp_path / 'out'}", "hydra.job.name=main")
    assert code.startswith(f"error: {tmp_path / 'out' / 'main.log'} could not be written: ")
    assert not cells


def test_a_fault_is_not_taken_for_a_full_disk(program, monkeypatch):
    def run_cell(*_):
        raise ValueError("a fault") from FileNotFoundError(2, "No such file or directory", "x")

    import src.cell

    monkeypatch.setattr(src.cell, "run_cell", run_cell)
    with pytest.raises(ValueError, match="a fault"):
        program(*QUIET)


def test_a_sweep_that_is_stopped_ends_in_a_line(program, monkeypatch):
    def run_cell(*_):
        raise KeyboardInterrupt

    import src.cell

    monkeypatch.setattr(src.cell, "run_cell", run_cell)
    assert program("-m", "compression=none,ptq", *QUIET)[0] == 130


def test_cells_that_ran_are_shown_whatever_ends_the_sweep(program, monkeypatch):
    def run_cell(config, resolved, directory):
        if config.compression.name != "none":
            raise InputError("the second cell met something")
        records = CellRecords(directory)
        records.start("f")
        records.write_config(resolved)
        records.finish("failed", KeyError("the first one"))
        return "failed"

    import src.cell

    monkeypatch.setattr(src.cell, "run_cell", run_cell)
    code, output = program("-m", "compression=none,ptq", *QUIET)
    assert code == "error: the second cell met something"
    assert "failed: tiny none: KeyError: 'the first one'" in output


def test_a_failed_cell_is_an_exit_code(program, monkeypatch):
    def run_cell(*_):
        raise CellFailed("no")

    import src.cell

    monkeypatch.setattr(src.cell, "run_cell", run_cell)
    assert program(*QUIET) == ("error: at least one cell failed: no", "")


@pytest.mark.slow
def test_globs_and_sweeping_configs_run_every_cell(program, cells):
    assert program("-m", "model=glob(*bert)", *QUIET)[0] is None
    assert [config.model.name for config, _ in cells] == [
        *("albert", "bert", "distilbert", "tiny_bert", "tiny_distilbert"),
    ]
    cells.clear()
    assert program("-m", "experiment=demo_distilled", *QUIET)[0] is None
    assert [str(directory.relative_to(Path.cwd())) for _, directory in cells] == [
        "multirun/demo/compression=none",
        "multirun/demo/compression=ptq",
        "multirun/demo/compression=distilled",
    ]
    cells.clear()
    demo = ["model=tiny", "compression=none,ptq", "benchmark=sample"]
    assert program("-m", *demo, "system.threads=1", "tracker=none", *QUIET)[0] is None
    folder = "multirun/benchmark=sample,compression=none,ptq,model=tiny"
    assert [str(directory.relative_to(Path.cwd())) for _, directory in cells] == [
        f"{folder}/compression=none",
        f"{folder}/compression=ptq",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "model=pythia", "model.step=range(0,0)"], "model.step=range(0,0) has no value"),
        (["model=hf", "model.id=${oc.env:NOPE}"], "Environment variable 'NOPE' not found"),
        (["model.id=${nope}"], "model.id: Interpolation key 'nope' not found"),
        (["modle=bert"], "compression: how it is made smaller"),
        (["model=bret"], "distilroberta"),
        (["benchmark=[crows_pair]"], "  crows_pairs\n"),
        (["-cn", "absent"], "Cannot find primary config 'absent'"),
    ],
)
def test_what_is_wrong_is_said_with_the_choices_there_are(program, tmp_path, arguments, message):
    code, output = program(*arguments)
    assert code.startswith("error: ")
    assert message in f"{code}\n"
    assert output == ""
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--version"], "Hydra "),
        (["--shell-completion", "install=bash"], "COMP_LINE"),
        (["-sc", "uninstall=bash"], "unset hydra_bash_completion"),
        (["--info", "searchpath", "model=bert"], "conf"),
        (["--info", "defaults", "-cn", "config"], "Defaults List"),
        (["--cfg", "job", "model=hf"], "id: ???"),
    ],
)
def test_flags_that_run_nothing_are_left_to_hydra(program, tmp_path, arguments, expected):
    code, output = program(*arguments)
    assert not code
    assert expected in output
    assert not (tmp_path / "multirun").exists()


def test_a_pickled_cell_can_be_run_again(program, cells):
    pickling = "+hydra.callbacks.pickle._target_=hydra.experimental.callbacks.PickleJobInfoCallback"
    program("model=bert", pickling, *QUIET)
    (path,) = Path.cwd().rglob("config.pickle")
    with pytest.warns(UserWarning, match="Experimental rerun"):
        assert program("--experimental-rerun", path)[0] is None
    (first, second) = cells
    assert first == second


def test_processes_beside_the_first_keep_what_decides_the_cells(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    kept = [
        *("-m", "model=bert", "hydra.mode=MULTIRUN", "hydra/launcher=basic", "hydra/sweeper=basic"),
        *("hydra.sweeper.params={compression:'none,ptq'}", "+hydra.callbacks.x=null"),
        *("hydra.searchpath=[file:///a]", "--config-dir", "hydra_configs", "hydra.job.chdir=false"),
    ]
    dropped = [
        *("hydra.run.dir=/a", "hydra.sweep.dir=/b", "++hydra.sweep.subdir=/c"),
        *("hydra.output_subdir=.x", "hydra/job_logging=colorlog", "hydra.job_logging.root=null"),
        *("+hydra/hydra_logging=colorlog", "~hydra.hydra_logging.root"),
    ]
    given = [one for pair in zip(kept, dropped, strict=False) for one in pair] + kept[
        len(dropped) :
    ]
    prepared = prepare(given)
    assert prepared[: len(kept)] == kept
    added = dict(argument.split("=") for argument in prepared[len(kept) :])
    assert added["hydra.run.dir"] == added["hydra.sweep.dir"]
    assert Path(added["hydra.run.dir"]).is_dir()
    monkeypatch.setenv("RANK", "0")
    assert prepare(given) == given


def test_processes_beside_the_first_run_the_same_cells(program, cells, monkeypatch, tmp_path):
    command = [
        *("compression=none,ptq", "hydra.mode=MULTIRUN"),
        *(f"hydra.sweep.dir={tmp_path}/out", "hydra/job_logging=none", "hydra/hydra_logging=none"),
    ]
    program(*command)
    monkeypatch.setenv("RANK", "1")
    program(*command)
    names = [config.compression.name for config, _ in cells]
    assert names == ["none", "ptq"] * 2
    assert all(directory.is_relative_to(tmp_path / "out") for _, directory in cells[:2])
    assert not any(directory.is_relative_to(tmp_path) for _, directory in cells[2:])
