"""Quality flags: what they say of made-up items, and their counts in the published files."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from src.benchmarks.base import Skipped
from src.benchmarks.crows_pairs import CrowsPairs, CrowsPairsConfig
from src.benchmarks.crows_pairs_quality import pair_flags
from src.benchmarks.stereoset import StereoSet, StereoSetConfig
from src.benchmarks.stereoset_quality import blank_flags
from src.errors import InputError
from src.tracking.plain import plain

NEAR = Path(__file__).parents[3] / "shared" / "data"
SHARED = Path(os.environ.get("COMPRESSION_BIAS_DATA", NEAR))
PAIR = ",sent_more,sent_less,stereo_antistereo,bias_type\n0,a b,a c,stereo,age\n"
published = pytest.mark.skipif(not SHARED.is_dir(), reason="the published files are not here")
FLAGS = [
    *("flag_not_minimal", "flag_insertion_only"),
    *("flag_annotators_disagree", "flag_changed_in_revised"),
]


def flags(more, less, revised=None, **row):
    sides = {"sent_more": more, "sent_less": less, "bias_type": "age"}
    return list(pair_flags(sides | row, revised, "7", "file: pair 7").values())


def test_pairs_are_compared_word_by_word():
    assert flags("The old man is slow.", "The young man is slow.") == [False, False, None, None]
    assert flags("The old man is slow.", "The young man is fast.") == [True, False, None, None]
    assert flags("The old man is slow.", "The man is slow.") == [False, True, None, None]
    assert flags("The old man is very slow.", "The man is slow.") == [True, True, None, None]
    assert list(pair_flags({"sent_more": "a", "sent_less": "b"}, None, "7", "")) == FLAGS


@pytest.mark.parametrize(
    ("annotations", "disagree"),
    [
        ("[['age'], ['age'], [], ['gender'], []]", False),
        ("[['age', 'gender'], [], [], ['gender'], []]", True),
        ("[[], [], [], [], []]", True),
        ("", None),
    ],
)
def test_a_type_of_one_annotator_is_not_agreed_on(annotations, disagree):
    assert flags("a b", "a c", annotations=annotations)[2] is disagree


@pytest.mark.parametrize("annotations", ["age", "[1, 2]", "__import__('os')", "[", "(" * 3000])
def test_annotations_of_another_form_are_refused(annotations):
    with pytest.raises(InputError, match=r"file: pair 7, column 'annotations'.*leave the column"):
        flags("a b", "a c", annotations=annotations)


def test_a_pair_is_looked_up_in_the_revised_ones_by_its_number():
    assert flags("a b", "a c", {"7": ("a b", "a c")})[3] is False
    assert flags("a b", "a c", {"7": ("a b", "a d")})[3] is True
    assert flags("a b", "a c", {"8": ("a b", "a c")})[3] is True


@pytest.mark.parametrize(
    ("context", "sentences", "wanted"),
    [
        ("He is BLANK.", ["He is kind.", "He is very old."], [False, False, False, False]),
        ("BLANK is BLANK.", ["He is kind."], [True, True, False, False]),
        ("He is BLANK.", ["He is kind.", "She is kind."], [False, False, True, False]),
        ("He is BLANK.", ["he is kind.", "He is old."], [False, False, False, True]),
        ("He (now) is BLANK?", ["He (now) is kind?"], [False, False, False, False]),
    ],
)
def test_candidates_fill_the_blank_of_their_context(context, sentences, wanted):
    assert list(blank_flags(context, sentences, "BLANK").values()) == wanted


def table(benchmark, locate):
    items = benchmark.load(locate)
    return benchmark.tabulate(items, [Skipped("not asked")] * len(items), None)


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def test_optional_columns_and_files_need_not_be_there(tmp_path):
    write(
        tmp_path,
        "mine.csv",
        ",sent_more,sent_less,stereo_antistereo,bias_type\n0,a b,a c,stereo,age\n",
    )

    def locate(name):
        if name != "mine.csv":
            raise InputError("it is not here")
        return tmp_path / name

    found = table(CrowsPairs(CrowsPairsConfig(file="mine.csv")), locate)
    assert found[FLAGS[:2]].to_numpy().tolist() == [[False, False]]
    assert found[FLAGS[2:]].isna().all(axis=None)
    assert plain(found[FLAGS].to_numpy(object)) == [[False, False, None, None]]
    # Beside rows without flags, and through a file, a missing flag stays a missing one.
    both = pd.concat([found, pd.DataFrame({"item_id": ["sent-weat6"]})], ignore_index=True)
    both.to_parquet(tmp_path / "items.parquet")
    again = pd.read_parquet(tmp_path / "items.parquet")
    assert again["flag_not_minimal"].isna().tolist() == [False, True]


def test_a_revised_file_that_is_there_must_be_whole(tmp_path):
    write(
        tmp_path,
        "mine.csv",
        ",sent_more,sent_less,stereo_antistereo,bias_type\n0,a b,a c,stereo,age\n",
    )
    write(tmp_path, "revised.csv", "\tsent_more\n0\ta b\n")
    settings = CrowsPairsConfig(file="mine.csv", revised="revised.csv")
    with pytest.raises(InputError, match="no column 'sent_less'"):
        table(CrowsPairs(settings), lambda name: tmp_path / name)


def test_pairs_separated_by_tabs_and_the_category_other(tmp_path):
    write(
        tmp_path,
        "revised.csv",
        "\tsent_more\tsent_less\tstereo_antistereo\tbias_type\nLA0\ta b\ta c\tstereo\tautre\n",
    )
    settings = CrowsPairsConfig(file="revised.csv", separator="tab", revised=None)
    found = table(CrowsPairs(settings), lambda name: tmp_path / name)
    assert found[["item_id", "category"]].to_numpy().tolist() == [["LA0", "other"]]
    with pytest.raises(InputError, match="choose one of: comma, tab"):
        CrowsPairsConfig(separator="semicolon")


@published
def test_counts_in_the_published_pairs():
    found = table(CrowsPairs(CrowsPairsConfig()), lambda name: SHARED / name)
    assert found[FLAGS].sum().tolist() == [236, 4, 41, 191]
    settings = CrowsPairsConfig(
        file="crows_pairs/crows_pairs_revised.csv", separator="tab", revised=None
    )
    revised = table(CrowsPairs(settings), lambda name: SHARED / name)
    assert len(revised) == 1677
    assert (revised["category"] == "other").sum() == 11


@published
def test_counts_in_the_published_clusters():
    found = table(StereoSet(StereoSetConfig(split="dev")), lambda name: SHARED / name)
    assert found["flag_two_blanks"].sum() == 2
    assert found["flag_blank_first"].sum() == 19
    assert found["flag_template_mismatch"].sum() == 0
    raw = json.loads((SHARED / "stereoset" / "dev.json").read_text())["data"]["intrasentence"]
    case = {
        one["id"]
        for one in raw
        for flags in [
            blank_flags(one["context"], [s["sentence"]], "BLANK") for s in one["sentences"]
        ]
        if flags["flag_case_mismatch"]
    }
    assert set(found.loc[found["flag_case_mismatch"], "item_id"]) == case
    assert len(case) == 793  # with three candidates each: 2379
