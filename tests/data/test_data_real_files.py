"""The public files themselves, where a copy of them is at hand."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.data.readers import read_csv, read_json, require_unique
from src.data.sources import SOURCES

DATA = Path(os.environ.get("COMPRESSION_BIAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no benchmark data: COMPRESSION_BIAS_DATA"
)

# Sentences of X (= Y), A and B in each of the 17 tests, as counted in the official copy.
SEAT_SIZES = {
    **{"weat6": (64, 101, 112), "weat6b": (80, 101, 112), "weat7": (72, 80, 80)},
    **{"weat7b": (72, 64, 64), "weat8": (56, 80, 80), "weat8b": (56, 64, 64)},
    "angry_black_woman_stereotype": (120, 54, 54),
    "angry_black_woman_stereotype_b": (52, 54, 54),
    **{"weat3": (256, 215, 249), "weat3b": (195, 215, 249), "weat4": (128, 215, 249)},
    **{"weat5": (128, 40, 47), "weat5b": (195, 40, 47)},
    **{"religion1": (84, 101, 112), "religion1b": (84, 101, 112)},
    **{"religion2": (84, 215, 249), "religion2b": (84, 215, 249)},
}


@pytest.fixture
def files() -> DataFiles:
    return DataFiles(DataConfig(root=str(DATA)))


def test_crows_pairs(files):
    layout = "crows_pairs/crows_pairs_anonymized.csv"
    path = files.locate(layout)
    assert files.used[layout]["git_blob"] == SOURCES[layout].git_blob
    rows = read_csv(path, ["", "sent_more", "sent_less", "stereo_antistereo"], unique="")
    with path.open(encoding="utf-8", newline="") as file:
        assert rows == list(csv.DictReader(file))
    assert [row[""] for row in rows] == [str(number) for number in range(1508)]
    counts = Counter(row["bias_type"] for row in rows)
    assert counts == {
        **{"race-color": 516, "gender": 262, "socioeconomic": 172, "nationality": 159},
        **{"religion": 105, "age": 87, "sexual-orientation": 84, "physical-appearance": 63},
        "disability": 60,
    }


def test_revised_crows_pairs_is_tab_separated(files):
    rows = read_csv(files.locate("crows_pairs/crows_pairs_revised.csv"), ["", "sent_more"], "\t")
    assert len(rows) == 1677


@pytest.mark.parametrize(("split", "intra", "inter"), [("dev", 2106, 2123), ("test", None, 6374)])
def test_stereoset(files, split, intra, inter):
    path = files.locate(f"stereoset/{split}.json")
    data = read_json(path)["data"]
    assert len(data["intersentence"]) == inter
    assert intra is None or len(data["intrasentence"]) == intra
    for clusters in data.values():
        require_unique(path, [cluster["id"] for cluster in clusters])
        assert {len(cluster["sentences"]) for cluster in clusters} == {3}


def test_seat(files):
    for name, sizes in SEAT_SIZES.items():
        layout = f"seat/sent-{name}.jsonl"
        test = read_json(files.locate(layout))
        x, y, a, b = (len(test[key]["examples"]) for key in ("targ1", "targ2", "attr1", "attr2"))
        assert (x, y, a, b) == (sizes[0], *sizes), name
        assert files.used[layout]["git_blob"] == SOURCES[layout].git_blob


def test_every_seat_file_at_hand_is_the_pinned_one(files):
    for layout in [layout for layout in SOURCES if layout.startswith("seat/")]:
        files.locate(layout)
    blobs = {layout: record["git_blob"] for layout, record in files.used.items()}
    assert len(blobs) == 50
    assert blobs == {layout: SOURCES[layout].git_blob for layout in blobs}
