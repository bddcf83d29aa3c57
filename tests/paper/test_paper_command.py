"""What tables and figures need is found, told, run once each and drawn."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from src import schema, sweep
from src.errors import InputError
from src.models.misloaded import MisloadedConfig
from src.paper import command
from src.paper.command import output_folder, read_command
from src.paper.experiments import find_experiment, needed, sweep_folders
from src.paper.shapes import scored_shape, shapes
from src.paper.statement import find_needs, models_of
from src.paper.tell import duration
from src.report.paper.config import PaperConfig
from src.report.paper.published import printed
from src.report.paper.registry import load_artefacts
from src.schema import typed

ROOT = Path(__file__).parents[2]
PYTHIA_PARAMETERS = {  # Biderman et al. (2023), table 1 and the model cards
    **{"70m": 70_426_624, "160m": 162_322_944, "410m": 405_334_016, "1b": 1_011_781_632},
    **{"1.4b": 1_414_647_808, "2.8b": 2_775_208_960, "6.9b": 6_857_302_016},
}
schema.register()
sweep.register()


@pytest.fixture
def hydra_ready(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["paper"])
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        yield


def test_every_artefact_has_an_experiment_and_every_table_is_drawn():
    known = load_artefacts()
    assert {f"table{number}" for number in range(1, 10)} <= set(known)
    for name in known:
        assert (ROOT / "conf" / "experiment" / f"{name}.yaml").is_file()


def test_tables_run_each_cell_once(hydra_ready):
    known = load_artefacts()
    tables = [known[name] for name in ("table1", "table2", "table5", "table9")]
    found = needed(tables, ["paper=tiny"])
    assert len(found) == 2  # one sweep of masked models, one of causal ones
    cells = [cell for experiment in found for cell in experiment.cells]
    assert len(cells) == len(set(cells))
    everything = {
        cell for one in tables for cell in find_experiment(one.name, ["paper=tiny"]).cells
    }
    assert set(cells) == everything


def test_a_table_of_one_precision_runs_no_other(hydra_ready):
    known = load_artefacts()
    (only,) = needed([known["table2"]], [])
    assert len(only.cells) == 6 * 21
    assert all("compression=none" in cell for _, cell in only.cells)
    (larger,) = needed([known["table2"], known["table5"], known["table3"]], [])
    assert (larger.name, len(larger.cells)) == ("paper_pythia", 6 * 21 * 2)
    (alone,) = needed([known["table5"]], [])
    assert (alone.name, alone.cells) == ("table5", larger.cells)
    both = needed([known["table1"], known["table2"]], [])
    assert {one.name for one in both} == {"table1", "table2"}
    assert only.cells < larger.cells
    (fewer,) = needed([known["table5"]], ["model.size=70m", "model.step=1000,7000"])
    assert len(fewer.cells) == 4
    assert fewer.cells < larger.cells


def test_the_models_of_an_experiment_are_those_of_its_cells(hydra_ready):
    found = models_of(find_experiment("table2", ["model.step=1000,143000"]))
    expected = [
        typed(compose("config", ["model=pythia", f"model.size={size}", f"model.step={step}"])).model
        for size in ("70m", "160m", "410m", "1.4b", "2.8b", "6.9b")
        for step in (1000, 143000)
    ]
    assert list(found) == expected


def test_stand_ins_have_sweeps_and_tables_of_their_own(hydra_ready):
    artefacts = load_artefacts().values()
    ours, tiny = sweep_folders(artefacts, []), sweep_folders(artefacts, ["paper=tiny"])
    assert set(ours) == {"masked", "pythia", "ladder"}
    assert ours["masked"] == Path("multirun/paper_masked")
    assert not set(ours.values()) & set(tiny.values())
    assert output_folder(PaperConfig(name="paper"), ours) == Path("multirun/paper")
    assert output_folder(PaperConfig(name="paper_tiny"), tiny) == Path("multirun/paper_tiny")
    few = {"masked": Path("x/paper_masked,debug=tiny")}
    assert output_folder(PaperConfig(name="paper"), few) == Path("x/paper,debug=tiny")


@pytest.mark.parametrize(("size", "count"), PYTHIA_PARAMETERS.items())
def test_shapes_have_as_many_parameters_as_published(size, count):
    shape = shapes()[f"EleutherAI/pythia-{size}-deduped"]
    assert shape.parameters() == count
    assert shape.file_bytes() == 2 * count


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("google-bert/bert-base-uncased", "BERT base"),
        ("google-bert/bert-large-uncased", "BERT large"),
        ("distilbert/distilbert-base-uncased", "DistilBERT"),
        ("FacebookAI/roberta-base", "RoBERTa base"),
        ("FacebookAI/roberta-large", "RoBERTa large"),
        ("distilbert/distilroberta-base", "DistilRoBERTa"),
    ],
)
def test_sizes_are_those_of_the_papers_table(name, row):
    megabytes = printed("table1", row, "fp32", "", "megabytes")
    # Its models have no language-model head, and a pooler that ours lack.
    assert shapes()[name].file_bytes() / 1e6 == pytest.approx(megabytes.value, rel=0.005)


def test_a_misloaded_checkpoint_has_the_shape_that_is_scored():
    about = {"name": "x", "id": "distilbert/distilbert-base-uncased", "load_as": "bert"}
    assert scored_shape(MisloadedConfig(**about)).parameters() == 109_514_298  # BERT base's


def test_every_model_of_the_paper_has_a_known_shape(hydra_ready):
    one_step = ["model.step=1000"]
    for name, fewer in (("paper_masked", []), ("paper_pythia", one_step), ("paper_ladder", [])):
        for model in models_of(find_experiment(name, fewer)):
            assert scored_shape(model) is not None, model.id


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_without_a_network_it_says_what_is_missing_and_how_large(hydra_ready, empty_cache):
    needs = find_needs(models_of(find_experiment("table2", ["model.step=1000,7000,14000"])))
    assert needs.all_missing
    assert needs.total == sum(
        3 * 2 * count for size, count in PYTHIA_PARAMETERS.items() if size != "1b"
    )
    lines = list(needs.told())
    assert lines[0] == "not on this machine, to be downloaded, about 70.1 GB in all:"
    assert lines[1] == (
        "  3 checkpoints of EleutherAI/pythia-70m-deduped: 141 MB each, from its published shape"
    )
    assert lines[-1].startswith("the hub cannot be asked (")
    assert "HF_HOME" in lines[-1]


def test_the_hubs_sizes_are_preferred(hydra_ready, empty_cache, monkeypatch):
    import huggingface_hub

    files = [
        SimpleNamespace(rfilename="model-00001-of-00002.safetensors", size=500),
        SimpleNamespace(rfilename="model-00002-of-00002.safetensors", size=11),
        SimpleNamespace(rfilename="pytorch_model.bin", size=999),
    ]
    answer = SimpleNamespace(siblings=files)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: answer)
    needs = find_needs(models_of(find_experiment("table2", ["model.size=70m"])))
    assert (needs.total, needs.unreachable) == (21 * 511, "")
    assert not any("published shape" in line for line in needs.told())


def test_what_is_here_needs_nothing(hydra_ready):
    needs = find_needs(models_of(find_experiment("table1", ["paper=tiny"])))
    assert needs.missing == ()
    assert list(needs.told()) == []


def test_without_models_nothing_is_run_and_the_papers_numbers_are_drawn(
    hydra_ready, empty_cache, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: pytest.fail("it ran"))
    monkeypatch.setattr("src.paper.tell.estimate", lambda *_: 7200.0)
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    assert command.make(read_command(["table1", "table4"])) == 1
    output = capsys.readouterr().out
    assert "experiment=paper_masked: 14 cells, 7 models from 6 checkpoints, in" in output
    assert output.count("to be downloaded") == 1  # table 4 has the same cells
    assert "google-bert/bert-base-uncased: 438 MB, from its published shape" in output
    assert "all cells together take about 2 hours here" in output
    assert "| BERT base | ours | missing |" in Path("multirun/paper/tables/table1.md").read_text()


def test_the_time_is_that_of_the_operations(hydra_ready, monkeypatch, tmp_path):
    """Twice the models take twice as long, and a known peak gives a known time."""
    from src.paper import duration as module
    from src.system.flops import Need, model_cost

    monkeypatch.setattr("src.system.peak.calibrated_peak", lambda *_: 1e12)
    monkeypatch.setattr("src.forecast.SHARE_OF_PEAK", 0.5)
    run = Need(tokens=1000, pairs=5000, rows=70)
    planned = []
    monkeypatch.setattr(module, "_run", lambda *_: planned.append(1) or run)
    experiment = find_experiment("table2", ["model.size=70m", "model.step=1000,7000"])
    seconds = module.estimate(experiment, models_of(experiment))
    model = shapes()["EleutherAI/pythia-70m-deduped"].model()
    assert seconds == pytest.approx(2 * model_cost(model).of(run) / 5e11)
    both = find_experiment("paper_pythia", ["model.size=70m", "model.step=1000,7000"])
    planned.clear()
    assert module.estimate(both, models_of(both)) == pytest.approx(2 * seconds)
    assert len(planned) == 1  # compressed or not, the items are the same


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (2e5, "2 days"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel1"], r"tabel1 is none of: tables, figures, all, "),
        (["paper=tiny"], "name what to make"),
        (["table1", "experiment=table2"], "name the table or figure instead"),
        (["table1", "--multirun"], "--multirun is no option"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        read_command(arguments)


def test_a_group_is_all_of_its_members_in_order():
    asked = read_command(["tables", "table9", "paper=tiny", "~benchmark.seat", "--draw"])
    assert [one.name for one in asked.artefacts] == [f"table{number}" for number in range(1, 10)]
    assert asked.overrides == ("paper=tiny", "~benchmark.seat")
    assert (asked.run, asked.plan) == (False, False)


def start(*arguments, cwd=ROOT):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_table_of_a_real_run_is_what_its_item_files_say(tmp_path):
    """By hand: both scores rounded to 3 decimals, a tie is no hit, skips do not count."""
    (tmp_path / "data" / "crows_pairs").mkdir(parents=True)
    shutil.copy(
        ROOT / "src" / "data" / "sample" / "crows_pairs.csv",
        tmp_path / "data" / "crows_pairs" / "crows_pairs_anonymized.csv",
    )
    overrides = ["paper=tiny", "benchmark=crows_pairs", f"data.root={tmp_path / 'data'}"]
    quiet = ["tracker=none", "system.threads=1", "drift.requests=4"]
    code, output = start("src.paper", "table1", *overrides, *quiet, cwd=tmp_path)
    assert code == 0, output
    (path,) = tmp_path.rglob("table1.csv")
    table = pd.read_csv(path)
    measured = table[table.value.notna() & (table.metric == "stereotype_score")]
    assert set(measured.variant) == {"fp32", "int8"}
    assert len(measured) >= 6
    for row in measured.itertuples():
        items = pd.read_parquet(tmp_path / row.directory / "items.parquet")
        mine = items[(items.category == row.category) & (items.decision != "skipped")]
        hits = sum(
            round(more, 3) > round(less, 3)
            for more, less in zip(mine.score_more, mine.score_less, strict=True)
        )
        assert row.value == 100 * hits / len(mine)
    text = path.with_suffix(".md").read_text()
    assert re.search(rf"ours .*{measured.value.iloc[0]:.2f} ", text)
    # Again: nothing is run, and the table is the same.
    before = path.read_text()
    code, output = start("src.paper", "table1", *overrides, *quiet, cwd=tmp_path)
    assert code == 0
    assert output.count("finished before") == len(set(measured.directory))
    assert path.read_text() == before


def test_a_table_can_be_sent_to_a_cluster(hydra_ready):
    """The launcher of the extra `slurm` composes with an experiment of the paper."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    overrides = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    launcher = find_experiment("table1", overrides).composed.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert launcher.partition == "gpu"


def test_ones_own_stand_ins_need_not_lie_in_the_project(hydra_ready, tmp_path):
    for name, text in {
        "mine": "defaults: [schema/paper@_here_]\nname: paper_mine\nstand_in: true\n"
        "masked: {BERT base: {model.id: my/folder}}\n",
        "masked/mine": "model: hf\nmodel.id: my/folder\ncompression: none,ptq\n",
    }.items():
        path = tmp_path / "paper" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    overrides = ["paper=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    table1 = load_artefacts()["table1"]
    (experiment,) = needed([table1], overrides)
    assert experiment.folder.name == "paper_mine_masked"
    assert len(experiment.cells) == 2
    assert [model.id for model in models_of(experiment)] == ["my/folder"]
    assert set(sweep_folders([table1], overrides)) == {"masked"}
