"""Tables and figures find the same cell in the same folder, and nothing else replaces it."""

import pytest

from src.paper.naming import paper_cell, paper_sweep

CELL = ["compression=ptq", "model.size=70m", "model.step=1000", "model=pythia"]
NAME = "compression=ptq,model.size=70m,model.step=1000,model=pythia"


@pytest.mark.parametrize(
    "arguments",
    [
        ["experiment=table2"],
        ["experiment=figure8", "compression=ptq"],
        ["-m", "experiment=table5", "model.size=70m", "model.step=1000,7000"],
        ["experiment=table5", "paper=tiny", "data.root=x", "hydra/launcher=joblib"],
    ],
)
def test_a_cell_has_one_folder_whoever_asks_for_it(arguments):
    shared = [one for one in arguments if not one.startswith(("-m", "model", "compression"))]
    assert paper_cell([*CELL, *shared], arguments) == NAME


def test_any_further_axis_is_part_of_a_cells_name():
    arguments = ["experiment=table1", "scorer=original,bias_bench"]
    overrides = [*CELL, "experiment=table1", "scorer=original"]
    assert paper_cell(overrides, arguments) == f"{NAME},scorer=original"
    assert paper_sweep("paper", "masked", arguments) == "paper_masked"


@pytest.mark.parametrize(
    "more",
    [
        *("model=bert", "compression=none", "model.step=1000,7000", "data.root=x", "paper=tiny"),
        *("system.threads=2", "tracker=none", "statistics.level=0.9", "debug=plan", "debug=dry"),
        *("hydra/launcher=submitit_slurm", "resume=false", "system.keep_checkpoints=false"),
    ],
)
def test_the_sweep_stays_the_same(more):
    assert paper_sweep("paper", "masked", ["experiment=table1", more]) == "paper_masked"


@pytest.mark.parametrize("more", ["debug=tiny", "scorer=original", "debug.limit=8"])
def test_settings_that_change_numbers_have_a_sweep_of_their_own(more):
    for experiment in ("table1", "table4"):
        name = paper_sweep("paper", "masked", [f"experiment={experiment}", more])
        assert name == f"paper_masked,{more}"
