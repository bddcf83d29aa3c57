"""The paper's tables: their numbers, marks, footnotes and files."""

import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pytest

from src.benchmarks.base import Skipped
from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.items import SentencePair
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.report.paper import published as printed_numbers
from src.report.paper.best_step import best_step
from src.report.paper.cells import paper_cells
from src.report.paper.compare import AGREES, DIFFERS, MISSING, OTHER, STAND_IN, WITHIN, mark
from src.report.paper.config import PaperConfig
from src.report.paper.latex import escape as latex_escape
from src.report.paper.layout import lay_out
from src.report.paper.published import Published, faults_of, published, rows_of
from src.report.paper.registry import load_artefacts
from src.report.paper.writing import tidy
from src.statistics.axes import analyse
from src.statistics.config import StatisticsConfig
from src.statistics.measured_cells import Measured
from src.statistics.on_disk import estimands_of
from tests.report.paper.written import TESTS, cell, crows, seat, stereoset

ROWS = {
    "BERT base": {"model.name": "bert"},
    "BERT large": {"model.name": "bert_large"},
    "DistilBERT": {"model.name": "distilbert_paper"},
    "DistilBERT (real)": {"model.name": "distilbert"},
    "RoBERTa base": {"model.name": "roberta"},
}
SIZES = {"70M": {"model.size": "70m"}, "1.4B": {"model.size": "1.4b"}}
PAPER = PaperConfig(masked=ROWS, pythia=SIZES)
TABLES = [f"table{number}" for number in range(1, 10)]


def drawn(name, paper, folders, tmp_path):
    """A table's CSV, and the texts of its other two files."""
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    files = load_artefacts()[name].draw(paper_cells(paper, folders), out)
    assert [path.name for path in files] == [f"{name}.{end}" for end in ("md", "tex", "csv")]
    return pd.read_csv(out / f"{name}.csv"), *(path.read_text() for path in files[:2])


def at(table, row, variant, category, **more):
    found = table[(table.row == row) & (table.variant == variant) & (table.category == category)]
    for name, value in more.items():
        found = found[found[name] == value]
    (only,) = found.to_dict("records")
    return only


@pytest.fixture
def masked(tmp_path):
    folder = tmp_path / "paper_masked"
    cell(folder / "a", "bert", metrics=crows(57.2519, 62.3301, 55.0))
    cell(folder / "b", "bert", "ptq", crows(56.1, 59.0, 47.0))
    cell(folder / "c", "distilbert", metrics=crows(54.0, 55.0, 56.0))
    cell(folder / "d", "roberta", metrics=crows(60.15, 63.57, 60.0))
    return {"masked": folder}


def test_marks():
    theirs = Published(57.25, 2, None, None, "")
    ours = {"value": 57.2549, "ci_low": 50.0, "ci_high": 60.0}
    assert mark(ours, theirs) == AGREES
    assert mark(ours | {"value": 57.245}, theirs) == AGREES  # a half rounds either way
    assert mark(ours | {"value": 57.2551}, theirs) == WITHIN
    assert mark(ours | {"value": 59.0, "ci_low": 57.25}, theirs) == WITHIN
    assert mark(ours | {"value": 59.0, "ci_low": 57.26}, theirs) == DIFFERS
    assert mark(ours | {"value": 59.0, "ci_low": None}, theirs) == DIFFERS
    assert mark(None, theirs) == MISSING
    assert mark(ours, theirs, STAND_IN) == STAND_IN


def test_a_row_has_ours_the_papers_and_their_difference(masked, tmp_path):
    table, text, _ = drawn("table1", PAPER, masked, tmp_path)
    base = at(table, "BERT base", "fp32", "gender")
    assert (base["value"], base["published"], base["mark"]) == (57.2519, 57.25, AGREES)
    assert base["difference"] == pytest.approx(0.0019)
    assert np.isnan(base["change"])
    religion = at(table, "BERT base", "fp32", "religion")
    assert religion["mark"] == DIFFERS  # 62.86 is not within 53 to 57
    int8 = at(table, "BERT base", "int8", "gender")
    assert int8["mark"] == WITHIN
    # The arrows: how the distance from 50 changes against the base model.
    assert int8["change"] == pytest.approx(6.1 - 7.2519)
    assert at(table, "BERT base", "int8", "religion")["change"] == pytest.approx(3.0 - 5.0)
    assert at(table, "BERT base", "int8", "religion")["published_change"] == pytest.approx(-9.53)
    assert "| BERT base int8 | ours | 110 | 181 | 56.10 ↓1.15 \\[54.1, 58.1\\] | " in text
    assert (
        at(table, "BERT base", "int8", "gender", metric="stereotype_score")["ours"] == "bert, ptq"
    )
    assert "| -1.15 ≈ |" in text


def test_table_1_is_what_its_item_files_say(tmp_path):
    """By hand: both scores rounded to 3 decimals, a tie is no hit, skips do not count."""
    rng = np.random.default_rng(0)
    benchmark = CrowsPairs(CrowsPairsConfig(revised=None))
    pairs = [
        SentencePair(str(n), category, str(n), "more", "less", "stereo")
        for n, category in enumerate(["gender"] * 90 + ["race"] * 70 + ["religion"] * 50)
    ]
    folder = tmp_path / "paper_masked"
    for name, compression in (("a", "none"), ("b", "ptq")):
        more = rng.normal(-3, 0.002, len(pairs))  # so close that some are ties at 3 decimals
        scores = [{"more": float(one), "less": -3.0} for one in more]
        scores[7] = Skipped("no words differ")
        items = benchmark.tabulate(pairs, scores, 3).assign(
            benchmark="crows_pairs", scorer="bias_bench"
        )
        rows = [
            {"benchmark": "crows_pairs", "scorer": "bias_bench", "ci_low": None, "ci_high": None}
            | {"ci_method": "none", "mde": None}
            | dataclasses.asdict(metric)
            for metric in benchmark.metrics(items)
        ]
        cell(folder / name, "bert", compression, rows, items)
    table, text, _ = drawn("table1", PAPER, {"masked": folder}, tmp_path)
    mine = table[table.value.notna() & (table.metric == "stereotype_score")]
    assert len(mine) == 6
    ties = 0
    for row in mine.itertuples():
        items = pd.read_parquet(f"{row.directory}/items.parquet")
        items = items[(items.category == row.category) & items.score_more.notna()]
        pairs_ = list(zip(items.score_more, items.score_less, strict=True))
        hits = sum(round(more, 3) > round(less, 3) for more, less in pairs_)
        ties += sum(round(more, 3) == round(less, 3) for more, less in pairs_)
        assert row.value == pytest.approx(100 * hits / len(pairs_), abs=1e-12)
        assert f"| {100 * hits / len(pairs_):.2f} " in text
    assert ties > 20
    assert sum(pd.read_parquet(folder / "a" / "items.parquet").score_more.isna()) == 1


def test_arrows_are_against_the_base_model_of_the_family(masked, tmp_path):
    table, *_ = drawn("table1", PAPER, masked, tmp_path)
    assert at(table, "DistilBERT (real)", "fp32", "gender")["change"] == pytest.approx(4 - 7.2519)
    assert at(table, "BERT large", "fp32", "gender")["published_change"] == pytest.approx(
        5.73 - 7.25
    )
    distil = at(table, "DistilRoBERTa", "fp32", "gender")
    assert distil["published_change"] == pytest.approx(2.87 - 10.15)


def test_missing_cells_are_shown_as_missing(masked, tmp_path):
    cell(masked["masked"] / "e", "bert_large", state="running")
    table, text, latex = drawn("table1", PAPER, masked, tmp_path)
    large = at(table, "BERT large", "fp32", "race")
    assert (large["mark"], large["published"]) == (MISSING, 60.39)
    assert np.isnan(large["value"])
    assert "| BERT large<sup>2</sup> | ours | missing | missing |" in text
    assert "The cell is running." in text
    assert "missing" in latex
    assert at(table, "DistilRoBERTa", "fp32", "race")["mark"] == MISSING


def test_rows_that_the_paper_quotes_are_published_only(masked, tmp_path):
    table, text, _ = drawn("table1", PAPER, masked, tmp_path)
    quoted = table[table.variant == "CDA"]
    assert len(quoted) == 10
    assert set(quoted.mark) == {"published only"}
    assert quoted.value.isna().all()
    assert "| BERT base + CDA<sup>1</sup> | paper |" in text
    assert "Quoted in the paper from Bias Bench" in text


def test_rows_that_the_paper_lacks_come_below_those_of_the_model(masked, tmp_path):
    table, *_ = drawn("table1", PAPER, masked, tmp_path)
    order = list(dict.fromkeys(zip(table.row, table.variant, strict=True)))
    assert order.index(("DistilBERT (real)", "fp32")) == order.index(("DistilBERT", "fp32")) + 1
    assert at(table, "DistilBERT (real)", "fp32", "race")["mark"] == "not in the paper"


def test_what_is_known_to_be_wrong_has_a_footnote():
    assert "random weights" in faults_of("table7", "DistilBERT", "fp32")[0]
    assert "copy of RoBERTa base int8" in faults_of("table8", "BERT large", "int8")[0]
    assert "copy of BERT base int8" in faults_of("table9", "BERT large", "int8")[0]
    assert "63 (60.00)" in faults_of("table1", "RoBERTa base", "fp32")[0]
    assert faults_of("table8", "BERT large", "fp32") == []
    # The copies are copies, and the rerun's numbers are those of the file.
    numbers = published().set_index(["table", "row", "variant", "category"])
    numbers = numbers.value.sort_index()
    for table, source in (("table8", "RoBERTa base"), ("table9", "BERT base")):
        copy, original = numbers[table, "BERT large", "int8"], numbers[table, source, "int8"]
        assert copy.tolist() == original.tolist()
        rerun = numbers["rerun", "BERT large", "int8"]
        for category, value in rerun.items():
            if category.startswith("race/" if table == "table8" else "religion/"):
                assert f"{value:.3f}" in faults_of(table, "BERT large", "int8")[0]


def test_every_fault_is_about_a_row_that_there_is():
    for fault in printed_numbers._faults():
        for table in fault["tables"]:
            rows = [row for row in rows_of(table) if row[0] == fault["row"]]
            assert rows, fault
            if "variant" in fault:
                assert (fault["row"], fault["variant"]) in rows


@pytest.mark.parametrize(
    ("table", "metric", "mean"),
    [
        ("table7", "mean_abs_effect_size", "gender"),
        ("table8", "mean_abs_effect_size", "race"),
        ("table9", "mean_abs_effect_size", "religion"),
    ],
)
def test_the_papers_means_are_those_of_its_rows(table, metric, mean):
    mine = published()[published().table == table]
    for _, row in mine.groupby(["row", "variant"]):
        effects = row[row.metric == "effect_size"].value
        assert len(effects) == len(TESTS[mean])
        assert float(row[row.metric == metric].value.iloc[0]) == pytest.approx(
            effects.abs().mean(), abs=0.0011
        )


def test_stand_ins_claim_nothing(masked, tmp_path):
    paper = PaperConfig(masked=ROWS, stand_in=True)
    table, text, latex = drawn("table1", paper, masked, tmp_path)
    assert set(table[table.value.notna() & table.published.notna()].mark) == {STAND_IN}
    assert table.difference.isna().all()
    assert not {AGREES, WITHIN, DIFFERS} & set(table.mark)
    for content in (text, latex):
        assert "[stand-in models" in content.replace("\\[", "[")
        assert "reproduces or contradicts" in content
        assert not set(content) & set("=≈≠") - {"="}
    assert "| BERT base (bert, none) | ours |" in text
    assert "57.25" in text  # the published column stays


@pytest.mark.parametrize(
    "other",
    [
        {"debug": {"limit": 8}},
        {"scorer": {"name": "original"}},
        {"benchmark": {"stereoset": {"split": "dev"}}},
    ],
)
def test_other_settings_than_the_papers_are_not_held_against_it(other, tmp_path):
    metrics = crows(57.25, 62.33, 62.86)
    if "scorer" in other:
        metrics = [row | {"scorer": "original"} for row in metrics]
    cell(tmp_path / "s" / "a", "bert", metrics=metrics, **other)
    table, text, _ = drawn("table1", PAPER, {"masked": tmp_path / "s"}, tmp_path)
    assert at(table, "BERT base", "fp32", "gender")["mark"] == OTHER
    assert "are not held against its own" in text


def test_seat_tables_have_effects_stars_and_means(tmp_path):
    effects = {name: (0.1 * n - 0.3, 0.009 * (n + 1)) for n, name in enumerate(TESTS["race"])}
    cell(tmp_path / "s" / "a", "bert", metrics=seat(effects, "race"))
    small = dict.fromkeys(TESTS["race"], (0.01, 0.5))
    cell(tmp_path / "s" / "b", "bert", "ptq", metrics=seat(small, "race"))
    table, text, _ = drawn("table8", PAPER, {"masked": tmp_path / "s"}, tmp_path)
    mine = table[(table.row == "BERT base") & (table.variant == "fp32")]
    assert mine.metric.tolist() == ["effect_size"] * 7 + ["mean_abs_effect_size"]
    assert mine.value[:7].tolist() == pytest.approx([d for d, _ in effects.values()])
    assert mine.significant[:7].tolist() == [True, *[False] * 6]  # p is 0.009, then 0.018, …
    mean = np.mean([abs(d) for d, _ in effects.values()])
    assert mine.value.iloc[-1] == pytest.approx(mean)
    assert mine.published[:2].tolist() == [-0.079, 0.69]
    assert mine.published_significant[:2].tolist() == [False, True]
    int8 = at(table, "BERT base", "int8", "race")
    assert int8["change"] == pytest.approx(0.01 - mean)
    assert int8["published_change"] == pytest.approx(0.735 - 0.620)
    assert "-0.300\\*" in text
    assert "| 0.690\\* |" in text


def steps(folder, size, compression, values):
    for step, (lm, *ss) in values.items():
        about = {"name": f"pythia-{size}-step{step}", "size": size, "step": step}
        cell(folder / f"{size}-{step}-{compression}", about, compression, stereoset(lm, *ss))


@pytest.fixture
def pythia(tmp_path):
    folder = tmp_path / "paper_pythia"
    steps(folder, "70m", "none", {21000: (89.1, 59.8, 58.4, 58.6), 29000: (88.4, 58.9, 55.4, 58.0)})
    steps(folder, "70m", "ptq", {21000: (87.6, 55.4, 56.8, 58.8), 29000: (87.7, 57.5, 54.8, 58.0)})
    fp32 = {114000: (92.7, 1, 2, 3), 129000: (92.6, 66.6, 63.2, 66.2), 136000: (92.7, 4, 5, 6)}
    steps(folder, "1.4b", "none", fp32)
    return {"pythia": folder}


def test_table_2_and_3_are_at_the_best_step_of_their_precision(pythia, tmp_path):
    two, text, _ = drawn("table2", PAPER, pythia, tmp_path)
    best = at(two, "70M", "fp32", "overall")
    assert (best["step"], best["value"], best["published"]) == (21000, 89.1, 89.2)
    assert at(two, "70M", "fp32", "gender")["mark"] == AGREES
    assert "| 70M (step 21,000; best of 2)" in text
    three, *_ = drawn("table3", PAPER, pythia, tmp_path)
    assert at(three, "70M", "int8", "overall")["step"] == 29000
    assert at(three, "70M", "int8", "gender")["mark"] == AGREES


def test_a_stand_ins_row_says_which_step_the_papers_is_of(pythia, tmp_path):
    paper = PaperConfig(pythia={"160M": {"model.size": "70m"}}, stand_in=True)
    table, text, _ = drawn("table2", paper, pythia, tmp_path)
    found = at(table, "160M", "fp32", "overall")
    assert (found["step"], found["published"], found["mark"]) == (21000, 90.2, STAND_IN)
    assert "|  | paper, step 36,000 | 90.2 |" in text


def test_another_best_step_is_followed_by_ours_at_the_papers(pythia, tmp_path):
    table, text, _ = drawn("table2", PAPER, pythia, tmp_path)
    ours, compared = table[(table.row == "1.4B") & (table.category == "overall")].to_dict("records")
    assert (ours["step"], ours["value"], ours["mark"]) == (114000, 92.7, "not in the paper")
    assert (compared["step"], compared["value"], compared["mark"]) == (129000, 92.6, AGREES)
    assert "| 1.4B (step 114,000; best of 3) | ours |" in text  # the earlier of two that are equal
    assert "| 1.4B (step 129,000; the paper's step) | ours |" in text


def test_table_5_and_6_are_at_the_best_step_of_the_other_precision(pythia, tmp_path):
    five, *_ = drawn("table5", PAPER, pythia, tmp_path)
    found = at(five, "70M", "int8", "overall")
    assert (found["step"], found["value"], found["published"]) == (21000, 87.6, 87.7)
    six, *_ = drawn("table6", PAPER, pythia, tmp_path)
    found = at(six, "70M", "fp32", "overall")
    assert (found["step"], found["value"], found["published"]) == (29000, 88.4, 88.4)
    assert at(six, "1.4B", "fp32", "overall")["mark"] == MISSING  # no int8 cell to choose by


def stereoset_items(rng, hit_rate, terms=80, clusters=6):
    """StereoSet's item table with random answers: `hit_rate` of the LM comparisons are won."""
    n = terms * clusters
    hits = rng.random((2, n)) < hit_rate
    table = {
        "benchmark": "stereoset",
        "scorer": "bias_bench",
        "item_id": [str(number) for number in range(n)],
        "category": rng.permutation(["gender", "profession", "race", "religion"] * (n // 4)),
        "cluster": [f"term{number // clusters}" for number in range(n)],
        "decision": rng.choice(["stereotype", "anti-stereotype"], n),
        "lm_stereotype": hits[0].astype(float),
        "lm_anti_stereotype": hits[1].astype(float),
        "lm_hits": hits.sum(axis=0).astype(float),
        "skip_reason": "",
    }
    return pd.DataFrame(table)


def test_the_best_step_says_how_many_are_as_good(tmp_path):
    """As the sweep's own analysis along its axes finds them."""
    rng = np.random.default_rng(3)
    order = stereoset_items(rng, 0.5)[["category", "cluster"]]
    folder = tmp_path / "paper_pythia"
    for step, rate in ((1000, 0.55), (7000, 0.90), (14000, 0.905), (21000, 0.60)):
        items = stereoset_items(rng, rate)
        items[["category", "cluster"]] = order
        benchmark = {"stereoset": {"kind": "stereoset"}}
        about = {"name": f"pythia-70m-step{step}", "size": "70m", "step": step}
        rates = StereoSet(StereoSetConfig()).metrics(items)
        rows = [
            {"benchmark": "stereoset", "scorer": "bias_bench", "ci_low": None, "ci_high": None}
            | {"ci_method": "none", "mde": None}
            | dataclasses.asdict(metric)
            for metric in rates
        ]
        settings = {"resamples": 500}
        cell(
            folder / str(step), about, "none", rows, items, benchmark=benchmark, statistics=settings
        )
    found = paper_cells(PAPER, {"pythia": folder})
    best = best_step(found, "pythia", "70M", "fp32")
    values = {
        one.step: one.record("stereoset", "overall", "lm_score")["value"] for one in found.cells
    }
    assert best.cell.step == max(values, key=values.get)
    measured = [Measured(one.cell, estimands_of(one.cell)) for one in found.cells]
    (along,) = analyse(measured, StatisticsConfig(resamples=500))["best"]
    assert along["best_at"] == best.cell.step
    assert best.tied == len(along["tied"]) == 2
    text = drawn("table2", PAPER, {"pythia": folder}, tmp_path)[1]
    assert f"| 70M (step {best.cell.step:,}; best of 4, 1 other as good) | ours |" in text


@pytest.mark.parametrize("name", TABLES)
def test_without_a_cell_every_table_is_the_papers(name, tmp_path):
    table, text, latex = drawn(name, PAPER, {}, tmp_path)
    assert set(table.mark) <= {MISSING, "published only"}
    mine = published()[published().table == name]
    assert table.published.notna().sum() == len(mine)
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    columns = len(mine.drop_duplicates(["category", "metric"]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {columns + 3}


def test_texts_from_outside_are_escaped(masked, tmp_path):
    from src.errors import InputError
    from src.tracking.records import CellRecords

    directory = cell(masked["masked"] / "x", "bert_large", state="running")
    records = CellRecords(directory)
    records.started = True
    records.finish("failed", InputError("100 % of <b>a_b</b> & $x$ \\ {y} | *z* → é\nmore"))
    _, text, latex = drawn("table1", PAPER, masked, tmp_path)
    assert "100 % of &lt;b&gt;a\\_b&lt;/b&gt; &amp; $x$ \\\\ \\{y\\} \\| \\*z\\* → é" in text
    assert r"100 \% of $<$b$>$a\_b$<$/b$>$ \& \$x\$ \textbackslash{} \{y\} $|$ " in latex
    assert r"\textsuperscript{*}z\textsuperscript{*} ? é" in latex
    assert "more" not in latex.split("100 \\%")[1].split("\\par")[0]
    assert latex_escape("#~^") == r"\#\textasciitilde{}\textasciicircum{}"


def test_the_csv_is_unrounded_and_the_texts_round_it(masked, tmp_path):
    found = paper_cells(PAPER, masked)
    from src.report.paper.masked_tables import table1

    table = table1(found)
    again = pd.read_csv(io.StringIO(tidy(table).to_csv(index=False)))
    assert at(again, "BERT base", "fp32", "gender")["value"] == 57.2519
    lines = [line for row in lay_out(table).lines for line in row]
    assert lines[0].texts[2] == "57.25 [55.3, 59.3]"
    assert [line.kind for line in lines[:3]] == ["ours", "paper", "difference"]


def test_parameters_are_said_to_be_in_millions(tmp_path):
    table1 = load_artefacts()["table1"]
    table1.draw(paper_cells(PaperConfig(), {}), tmp_path)
    lines = (tmp_path / "table1.md").read_text().splitlines()
    assert "| params (M) |" in lines[2]
    assert any(line.startswith("|  | paper | 110 |") for line in lines)
