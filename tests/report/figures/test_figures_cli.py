"""`python -m src.report.figures`: files, the same each time, and clear words without them."""

import json
from pathlib import Path

import pandas as pd
import pytest

from src.report.figures import cli
from src.report.figures.cli import draw, main
from src.report.figures.registry import KINDS, Kind, NotDrawn, everything
from src.report.figures.save import write_figure
from tests.report.figures.material import checkpoints, material
from tests.statistics.cells import write_cell
from tests.statistics.tables import BENCHMARKS, ITEMS

STEPS = {("70m", step, "none"): 50.0 + step for step in (1, 2, 3)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two checkpoints on disk, as a run leaves them."""
    root = tmp_path_factory.mktemp("sweep")
    benchmark = BENCHMARKS["stereoset"]
    for step in (1, 2):
        scores = [
            {c.id: float((n * step) % 3) for n, c in enumerate(item.candidates)}
            for item in ITEMS["stereoset"]
        ]
        table = benchmark.tabulate(ITEMS["stereoset"], scores, None)
        model = {"name": f"m-step{step}", "step": step, "dtype": "float32"}
        write_cell(root / str(step), {"stereoset": table}, {"stereoset": benchmark}, model=model)
    return root


def test_a_sweep_on_disk_is_drawn_as_far_as_it_goes(sweep, capsys):
    main([str(sweep), "--only", "figure8", "figure2", "forest"])
    printed = capsys.readouterr().out.splitlines()
    folder = sweep / "figures"
    assert any(line.startswith("figure8: ") and "figure8.pdf" in line for line in printed)
    assert "figure2: not drawn: no finished cell has stereotype_score of gender." in printed
    assert any(
        line.startswith("forest: not drawn: there is no comparisons.json") for line in printed
    )
    assert len(printed) == 3
    numbers = pd.read_csv(folder / "figure8.csv")
    for step, value in zip(numbers["step"], numbers["value"], strict=True):
        metrics = json.loads((sweep / str(int(step)) / "metrics.json").read_text())
        (record,) = (
            row for row in metrics if row["metric"] == "lm_score" and row["category"] == "overall"
        )
        assert value == pytest.approx(record["value"])
    assert (folder / "figure8.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "figure8.png").read_bytes().startswith(b"\x89PNG")


def test_a_dollar_sign_in_a_name_begins_no_formula(tmp_path):
    values = {(r"$\frac$", step, "none"): 50.0 + step for step in (1, 2)}
    found = material(checkpoints(values))
    kind = next(kind for kind in everything() if kind.name == "figure2")
    files = write_figure(kind, found, tmp_path)
    assert all(path.stat().st_size for path in files)


def test_files_are_the_same_at_every_run(tmp_path):
    found = material(checkpoints(STEPS))
    for folder in ("one", "two"):
        write_figure(KINDS["figure2"], found, tmp_path / folder)
    for name in ("figure2.csv", "figure2.pdf", "figure2.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_cannot_be_drawn_any_more_leaves_no_old_file(tmp_path):
    write_figure(KINDS["figure2"], material(checkpoints(STEPS)), tmp_path)
    (tmp_path / "figure2_note.txt").write_text("mine")
    (tmp_path / "figure2_2.png").write_text("a page of an earlier run")
    write_figure(KINDS["figure2"], material(checkpoints(STEPS)), tmp_path)
    assert not (tmp_path / "figure2_2.png").exists()
    with pytest.raises(NotDrawn):
        write_figure(KINDS["figure2"], material(checkpoints(STEPS, metric="ss")), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["figure2_note.txt"]


def test_the_figures_of_the_paper_come_first_and_in_its_order():
    names = [kind.name for kind in everything()]
    assert names[:11] == [f"figure{at}" for at in range(1, 12)]
    assert set(names[11:]) == {"flips", "forest", "ladder", "pareto"}


def test_a_fault_in_one_figure_is_no_missing_figure(tmp_path):
    def broken(found):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw([Kind("x", "", broken, broken)], material(checkpoints(STEPS)), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no folder"),
        (["empty"], "no finished cell in empty"),
        (["sweep", "--only", "figure2"], "none of the figures could be drawn"),
        (["sweep", "--out", "file/x"], "could not be made"),
    ],
)
def test_what_is_wrong_is_one_line(sweep, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    Path("sweep").symlink_to(sweep)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_matplotlib_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(cli.InputError, match=r"\.\[report\]"):
        cli.read([Path()])
