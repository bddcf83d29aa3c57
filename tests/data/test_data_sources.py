import re

from src.data.sources import SOURCES, git_blob


def test_git_blob_gives_what_git_gives():
    assert git_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_every_file_is_pinned_to_a_commit_and_a_blob():
    assert len(SOURCES) == 1 + 2 + 50 + 1
    assert len({source.git_blob for source in SOURCES.values()}) == len(SOURCES)
    pinned = r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/[\w/]*data/[\w/.%-]+"
    for layout, source in SOURCES.items():
        assert source.layout == layout
        assert re.fullmatch(r"[0-9a-f]{40}", source.git_blob)
        assert re.fullmatch(pinned, source.address)
        name = source.address.rpartition("/")[2].replace("%2B", "+")
        assert name == layout.rpartition("/")[2]


def test_the_pins_named_by_the_official_code():
    # Blob ids given with the paper's data; the last one was recomputed from another copy's text.
    expected = {
        "crows_pairs/crows_pairs_anonymized.csv": "28fa7d906a83d441001fb2a0eeae28c6d64a99e1",
        "stereoset/test.json": "dc0204cca28144732f14cb2466ffdb87c86ca5ec",
        "stereoset/dev.json": "637b1e3d284a3c629b74a4659c583b8eca9bd13e",
        "seat/sent-angry_black_woman_stereotype_b.jsonl": (
            "045bd494d096a178483589f1da0998f23bf547a5"
        ),
    }
    assert {layout: SOURCES[layout].git_blob for layout in expected} == expected
    assert (
        "/nyu-mll/crows-pairs/8aaac11" in SOURCES["crows_pairs/crows_pairs_anonymized.csv"].address
    )
    assert "/McGill-NLP/bias-bench/291426a" in SOURCES["stereoset/test.json"].address
