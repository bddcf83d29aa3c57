"""The HTML report: its data against the records, its text against an HTML parser."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.errors import InputError
from src.report.cells import collect
from src.report.comparison_table import joint_readings
from src.report.comparisons import Sweep
from src.report.flips import _flips
from src.report.html import blocks, summary
from src.report.html.__main__ import main
from src.report.html.page import ASSETS, SCRIPTS, write_report
from src.statistics.config import StatisticsConfig
from src.statistics.verdict import MARKS
from tests.report.report_sweep import EVIL, MODEL, write_sweep

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes and texts, as a parser sees them; tags must be balanced."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else ("", None), data))

    def block(self, name):
        texts = [data for (tag, own), data in self.texts if tag == "script" and own == name]
        return blocks.unpack("".join(texts).strip())

    @property
    def visible(self):
        return "".join(data for (tag, _), data in self.texts if tag not in ("script", "style"))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = write_sweep(tmp_path_factory.mktemp("report"))
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(sweep):
    return Page((sweep / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def comparisons(sweep):
    return json.loads((sweep / "comparisons.json").read_text())["comparisons"]


def test_nothing_that_was_measured_becomes_markup(page, sweep):
    tags = [tag for tag, _ in page.elements]
    assert "img" not in tags
    assert "b" in tags  # ours
    texts = [data for (tag, _), data in page.texts if tag == "b"]
    assert not any(re.fullmatch(r"&|&amp;", text) for text in texts)
    scripts = [attrs for tag, attrs in page.elements if tag == "script"]
    assert [attrs for attrs in scripts if attrs.get("type") != "text/plain"] == [{}]
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    # Names and reasons are there, as text.
    assert MODEL in page.visible
    assert '"><svg/onload=alert(1)>' in page.visible
    assert f"no memory {EVIL}" in page.visible
    raw = (sweep / "report.html").read_text(encoding="utf-8")
    assert raw.count("</script>") == len(scripts)
    assert "onerror=alert" not in raw.replace("&lt;img src=x onerror=alert(1)&gt;", "")


def test_the_file_needs_nothing_else(page, sweep):
    for tag, attrs in page.elements:
        assert tag not in ("link", "iframe", "object", "embed")
        assert "src" not in attrs
        if "href" in attrs:
            assert attrs["href"].startswith("#")
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    style = "".join(data for (tag, _), data in page.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style
    source = "".join((ASSETS / f"{name}.js").read_text() for name in SCRIPTS)
    for word in ("innerHTML", "outerHTML", "insertAdjacent", ".write(", "eval(", "fetch("):
        assert word not in source


def test_metrics_are_those_of_the_records(page, sweep):
    data = page.block("overview")
    cells = collect(sweep)
    about = [(row["benchmark"], row["category"], row["metric"]) for row in data["metrics"]["about"]]
    seen = 0
    for index, cell in enumerate(cells):
        for record in cell.metrics:
            if record["kind"] == "count":
                continue
            place = about.index((record["benchmark"], record["category"], record["metric"]))
            for name in ("value", "ci_low", "ci_high", "n"):
                assert data["metrics"][name][place][index] == record[name]
                seen += 1
    assert seen > 500
    assert [cell["state"] for cell in data["cells"]].count("failed") == 1


def test_the_table_has_the_numbers_of_the_records(page, sweep):
    cells = collect(sweep)
    known = {
        (index, record["benchmark"], record["category"], record["metric"]): record["value"]
        for index, cell in enumerate(cells)
        for record in cell.metrics
    }
    seen, place = set(), None
    for tag, attrs in page.elements:
        if tag == "td":
            place = attrs.get("data-sort")
        elif attrs.get("class") == "value":
            names = ("data-benchmark", "data-category", "data-metric")
            key = (int(attrs["data-cell"]), *(attrs[name] for name in names))
            assert float(place) == known[key]
            seen.add(key)
    overall = {key for key in known if key[2] == "overall"}
    for metric in ("stereotype_score", "ss", "lm_score", "mean_abs_effect_size"):
        assert {key for key in overall if key[3] == metric} <= seen


def test_comparisons_are_those_of_the_file(page, comparisons):
    data = page.block("overview")["comparisons"]
    assert data["n"] == len(comparisons)
    for name, column in data["columns"].items():
        if name in ("a", "b", "tone", "reading"):
            continue
        expected = [row.get(name) for row in comparisons]
        if isinstance(column, dict):  # texts, each named once
            column = [column["names"][row] for row in column["rows"]]
            expected = [value or "" for value in expected]
        assert column == expected


def test_the_summary_counts_what_the_file_says(page, comparisons):
    headline = [row for row in comparisons if row["family"] == "headline"]
    changed = sum(row["verdict"].startswith("changed") for row in headline)
    same = sum(row["verdict"] == "same" for row in headline)
    undecided = sum(row["verdict"] == "undecided" for row in headline)
    assert changed
    said = f"Of {len(headline)} headline numbers of 4 compressed cells"
    assert said in page.visible
    assert f"{changed} changed by more than noise" in page.visible
    assert f"{same or 'none'} moved by no more than 3 points (0.1 sd)" in page.visible
    assert f"{undecided} are undecided" in page.visible
    for row in headline:
        if row["verdict"].startswith("changed"):
            assert row["conclusion"] in page.visible
    assert "broken failed: RuntimeError: no memory" in page.visible


def row(verdict="changed", kind="bias", **more):
    base = {"difference": -4.0, "distance_difference": -4.0, "distance_p_holm": 0.01, "joint": None}
    return {"verdict": verdict, "kind": kind} | base | more


def test_marks_say_what_the_verdict_says():
    assert summary.tone(row(), 0.05) == "better"
    assert summary.tone(row(distance_difference=4.0), 0.05) == "worse"
    assert summary.tone(row(distance_p_holm=0.2), 0.05) == "moved"
    assert summary.tone(row(distance_difference=None), 0.05) == "moved"
    assert summary.tone(row(joint={"breakage": True}), 0.05) == "broken"
    assert summary.tone(row(kind="lm"), 0.05) == "worse"
    assert summary.tone(row("changed, small", kind="lm", difference=1.0), 0.05) == "better"
    for verdict in MARKS:
        assert summary.tone(row(verdict), 0.05) in summary.TONES
    assert summary.tone(row("undecided", joint={"breakage": True}), 0.05) == "undecided"


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([2.5, 11.34], "what is undecided would have been found with power 0.8 from a change of "
         "2.5 points on in the best case, of 11.3 in the worst."),
        ([3.3, None, None], "1 of 3 would have been found with power 0.8 from a change of 3.3 "
         "points on; in the others too little changed to tell."),
        ([None], None),
    ],
)  # fmt: skip
def test_what_the_undecided_could_have_shown_is_said_of_those_it_is_known_of(sizes, told):
    rows = [
        {"verdict": "undecided", "family": "headline", "kind": "bias", "unit": "%", "mde": size}
        | {"pair": "a -> b", "benchmark": "seat", "category": "race", "joint": None}
        for size in sizes
    ]
    sweep = Sweep(rows, "", StatisticsConfig(), [], False, "", {})
    expected = [] if told is None else [f"Undecided is not unchanged: {told}"]
    assert list(summary.cautions(sweep)) == expected


def test_readings_name_what_they_are_about_and_all_as_all():
    def row(pair, benchmark, category, lost, kind="bias"):
        joint = {"reading": "no gain", "breakage": lost} if kind == "bias" else None
        about = {"pair": pair, "benchmark": benchmark, "category": category, "kind": kind}
        return about | {"joint": joint}

    rows = [row("a -> b", "seat", category, True) for category in ("race", "gender")]
    rows += [
        row("a -> b", "stereoset", category, category == "race") for category in ("gender", "race")
    ]
    rows += [row("a -> b", "stereoset", "race", True, "lm"), row("a -> c", "seat", "race", True)]
    rows += [row("a -> d", "seat", "race", False)]
    assert joint_readings(rows) == {
        "no gain": {"a -> b": "seat (all 2); stereoset race", "a -> c": "seat race"}
    }


def test_items_are_those_of_the_parquet_files(page, sweep):
    data = page.block("overview")
    cells = collect(sweep)
    for index, sets in data["answers"].items():
        table = pd.read_parquet(cells[int(index)].directory / "items.parquet")
        packed = page.block(f"answers-{index}")
        assert list(packed) == sets
        for key in sets:
            shared, own = page.block(f"items-{key}"), packed[key]
            rows = table[table.benchmark == shared["benchmark"]]
            assert shared["item_id"] == rows.item_id.tolist()
            assert blocks.column(shared["category"]) == rows.category.tolist()
            assert blocks.column(own["decision"]) == rows.decision.tolist()
            for name, column in own["scores"].items():
                expected = rows[name].to_numpy("float32")
                np.testing.assert_array_equal(np.float32(blocks.column(column)), expected)
    assert len(data["answers"]) == 5
    # All cells of a benchmark share one set of items, and its texts.
    assert sorted(each["benchmark"] for each in data["sets"].values()) == sorted(
        ["crows_pairs", "stereoset", "seat"]
    )


def test_sides_are_those_that_flips_are_made_of(page, sweep):
    """By flips.parquet's own code: as many items change sides, in the same directions."""
    data = page.block("overview")
    cells = collect(sweep)
    names = ["cell", "benchmark", "direction"]
    expected = pd.concat(_flips(cells)).groupby(names).size().to_dict()
    found = {}
    for index, cell in enumerate(data["cells"]):
        if cell["twin"] is None or str(index) not in data["answers"]:
            continue
        after, before = (page.block(f"answers-{i}") for i in (index, cell["twin"]))
        for key in data["answers"][str(index)]:
            one, other = (np.array(blocks.column(each[key]["side"])) for each in (before, after))
            both = (one < 2) & (other < 2)
            name = f"{cell['model']} {cell['compression']}"
            benchmark = data["sets"][key]["benchmark"]
            for direction, step in (("to_stereo", 1), ("to_anti", -1)):
                if n := int((both & (other - one == step)).sum()):
                    found[name, benchmark, direction] = n
    assert found == expected
    assert sum(found.values()) > 20


def test_texts_are_packed_and_can_be_left_out(page, sweep, tmp_path, capsys):
    raw = (sweep / "report.html").read_text(encoding="utf-8")
    assert "slurgender0" not in raw
    data = page.block("overview")
    (key,) = data["texts"]  # of the other two benchmarks there are no files
    texts = page.block(f"texts-{key}")
    ids = page.block(f"items-{key}")["item_id"]
    assert texts["more stereotyping"] == [f"{EVIL} more {each}" for each in ids]
    assert texts["less stereotyping"] == [f"slur{each} less" for each in ids]
    assert "CC BY-NC 4.0" in page.visible
    copy = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    main([str(copy), "--no-text"])
    assert "report.html" in capsys.readouterr().out
    bare = Page((copy / "report.html").read_text(encoding="utf-8"))
    assert bare.block("overview")["texts"] == []
    assert "CC BY-NC 4.0" not in bare.visible
    assert "Texts are not in this file" in bare.visible


def test_texts_of_another_file_than_the_cells_are_not_shown(sweep, tmp_path, capsys):
    copy = Path(shutil.copytree(sweep.parent, tmp_path / "all")) / sweep.name
    edited = copy.parent / "data" / "crows_pairs/crows_pairs_anonymized.csv"
    edited.write_text(edited.read_text().replace("less", "LESS"))
    for cell in copy.glob("*/environment.json"):
        cell.write_text(cell.read_text().replace(str(sweep.parent), str(copy.parent)))
    main([str(copy)])
    said = capsys.readouterr().out
    assert "crows_pairs_anonymized.csv as the cell read it is not at" in said
    assert "--data-root" in said
    main([str(copy), "--data-root", str(sweep.parent / "data")])
    assert "crows_pairs_anonymized.csv as the cell" not in capsys.readouterr().out


def test_a_folder_without_cells_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="is no folder"):
        write_report(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no cells"):
        write_report(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2
    assert "holds no cells" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_packed_data_come_back_as_they_were():
    rng = np.random.default_rng(0)
    numbers = [*rng.normal(size=50).tolist(), float("nan")]
    np.testing.assert_array_equal(blocks.column(blocks.floats(numbers)), np.float32(numbers))
    for n in (3, 300, 70_000):
        names = [f"name {i % n}" for i in range(n + 5)]
        assert blocks.column(blocks.codes(names)) == names
    assert blocks.unpack(blocks.pack({"a": ["</script>", "é", None, 1.5]})) == {
        "a": ["</script>", "é", None, 1.5]
    }
    assert blocks.pack([1]) == blocks.pack([1])
