"""The table of what compressions cost: from records as cells write them."""

import io
import json

import pytest
from rich.console import Console

from src.errors import InputError
from src.report import compression
from src.report.compression import print_compressions


def cell(folder, name, **receipt):
    folder.mkdir(parents=True)
    records = {
        "status.json": {"state": "done"},
        "metrics.json": [
            {"benchmark": "stereoset", "scorer": "bias_bench", "category": "overall", "unit": "%"}
            | {"metric": metric, "kind": kind, "value": value}
            for metric, kind, value in (("ss", "bias", 51.25), ("lm_score", "lm", 87.5))
        ],
        "receipt.json": {"method": name, "elements": 1000, "seconds": 1.25} | receipt,
        "system.json": {"evaluate_seconds": 3.0},
    }
    for file, content in records.items():
        (folder / file).write_text(json.dumps(content))
    (folder / "config.yaml").write_text(
        f"model: {{name: m}}\ncompression: {{name: {name}}}\nscorer: {{name: bias_bench}}\n"
    )


def printed(folder, width=200, **options):
    console = Console(width=width, record=True, file=io.StringIO())
    print_compressions(folder, console, **options)
    return console.export_text()


@pytest.fixture
def sweep(tmp_path):
    cell(tmp_path / "a", "none", disk_bytes=4000, stored_bits=None, drift={"mean_kl": None})
    drift = {"mean_kl": 0.0123, "top1_agreement": 0.915, "reason": "other blocks"}
    cell(
        tmp_path / "b", "four",
        disk_bytes=600, stored_bits=4.25, sparsity=0.5, relative_error=0.123, drift=drift,
    )  # fmt: skip
    return tmp_path


def test_a_row_has_bits_bytes_bias_drift_and_seconds(sweep):
    text = printed(sweep)
    dense, four = (next(x for x in text.splitlines() if f" {n} " in x) for n in ("none", "four"))
    assert four.split() == [
        *("m", "four", "4.25", "4.80", "0.001", "50.0", "0.12", "51.25", "87.50"),
        *("0.012", "91.5", "1.2", "3.0"),
    ]
    assert dense.split() == ["m", "none", "32.00", "0.004", "51.25", "87.50", "3.0"]
    assert "stereoset" in text
    assert "other blocks" not in text  # there is a drift; only the errors of blocks are missing


@pytest.mark.parametrize("width", [200, 90, 80, 60, 40])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_ones(sweep, width):
    text = printed(sweep, width=width)
    every = ["m", "four", "4.25", "4.80", "0.001", "50.0", "0.12", "51.25", "87.50"]
    every += ["0.012", "91.5", "1.2", "3.0"]
    (four,) = (line.split() for line in text.splitlines() if " four " in line)
    assert [one for one in every if one in four] == four
    assert four[:3] == every[:3]
    lacking = len(every) - len(four)
    assert (lacking > 0) == (width <= 90)
    assert ("columns more in a wider terminal" in text) == (lacking > 0)
    if lacking:
        assert f"({lacking} columns more" in text
    assert "…" not in text


def test_a_line_of_a_name_ends_between_words(sweep):
    points = [(bits, size) for bits in (4, 16) for size in (32, 128)]
    for bits, size in points:
        cell(sweep / f"{bits}-{size}", "uniform", disk_bytes=100)
        config = sweep / f"{bits}-{size}" / "config.yaml"
        settings = f"uniform, weight_bits: {bits}, size_of_groups: {size}}}"
        config.write_text(config.read_text().replace("uniform}", settings))
    words = printed(sweep, width=60).split()
    for bits, size in points:
        assert {f"weight_bits={bits}", f"size_of_groups={size}"} <= set(words)


def test_it_is_not_printed_for_one_compression_where_two_are_wanted(sweep):
    assert printed(sweep, least=2) == ""
    why = {"mean_kl": None, "reason": "another vocabulary"}
    cell(sweep / "c", "student", disk_bytes=100, drift=why)
    text = printed(sweep, least=2)
    assert "no drift for student: another vocabulary" in text


def test_no_folder(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="no folder"):
        print_compressions(tmp_path / "none")
    monkeypatch.setattr("sys.argv", ["compression", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        compression.main()
    assert "no folder" in capsys.readouterr().err
