"""Calibration text: which tokens a method sees, and that it is the same ones every time."""

from pathlib import Path

import pytest
import torch

from src.compression.calibration import Calibration, CalibrationConfig, find_calibration
from src.data.config import DataConfig
from src.data.locate import DataFiles
from src.data.sources import SOURCES
from src.errors import InputError
from tests.checkpoints import CAUSAL, MASKED, TEXT

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXT * 8) + "\n", encoding="utf-8")
    return path


class Method:
    kind = "some_method"

    def __init__(self, **settings):
        self.calibration = CalibrationConfig(**settings)


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_pieces_are_runs_of_the_text(name, subject, text):
    loaded = subject(name)
    pieces = Calibration(CalibrationConfig(samples=7, length=20), text).samples(loaded)
    assert pieces.shape == (7, 20)
    assert len({tuple(piece) for piece in pieces.tolist()}) > 4  # the text repeats itself
    tokenizer = loaded.text.tokenizer
    lines = text.read_text().splitlines(keepends=True)
    ids = [i for line in lines for i in tokenizer.encode(line, add_special_tokens=False)]
    runs = {tuple(ids[start : start + 18]) for start in range(len(ids))}
    if loaded.objective == "masked":
        assert set(pieces[:, 0].tolist()) == {tokenizer.cls_token_id}
        assert set(pieces[:, -1].tolist()) == {tokenizer.sep_token_id}
        assert tokenizer.mask_token_id not in pieces
        pieces = pieces[:, 1:-1]
    assert {tuple(piece[:18]) for piece in pieces.tolist()} <= runs


def test_the_seed_chooses_the_pieces(subject, text):
    loaded = subject("gpt2")

    def pieces(seed):
        return Calibration(CalibrationConfig(samples=5, length=12, seed=seed), text).samples(loaded)

    assert torch.equal(pieces(0), pieces(0))
    assert not torch.equal(pieces(0), pieces(1))


def test_pieces_are_no_longer_than_the_model_takes_and_come_in_batches(subject, text):
    loaded = subject("bert")
    calibration = Calibration(CalibrationConfig(samples=5, length=4000), text)
    assert loaded.text.traits.max_length == 64
    batches = list(calibration.batches(loaded, tokens=2 * 64))
    assert [tuple(batch.shape) for batch in batches] == [(2, 64), (2, 64), (1, 64)]
    assert torch.equal(torch.cat(batches), calibration.samples(loaded))


def test_a_text_that_will_not_do_is_refused(subject, text, tmp_path):
    with pytest.raises(InputError, match=r"too few for 5000 pieces of 12: set compression\.calib"):
        Calibration(CalibrationConfig(samples=5000, length=12), text).samples(subject("gpt2"))
    (tmp_path / "empty").write_text("")
    with pytest.raises(InputError, match="has 0 tokens"):
        Calibration(CalibrationConfig(), tmp_path / "empty").samples(subject("gpt2"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        Calibration(CalibrationConfig(), tmp_path / "binary").samples(subject("gpt2"))
    for wrong in ({"samples": 0}, {"length": 3}, {"text": " "}):
        with pytest.raises(InputError, match=r"compression\.calibration\."):
            CalibrationConfig(**wrong)


def test_the_text_is_found_by_layout_or_path_and_its_checksum_kept(text, tmp_path):
    files = DataFiles(DataConfig(root=str(tmp_path)))
    assert find_calibration(object(), files) is None
    found = find_calibration(Method(text=str(text)), files)
    assert found.path == text
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "t.txt").write_text("other")
    assert find_calibration(Method(text="mine/t.txt"), files).path == tmp_path / "mine" / "t.txt"
    assert list(files.checksums()) == sorted([str(text), "mine/t.txt"])
    assert len(set(files.checksums().values())) == 2
    for missing in ("mine/none.txt", "./none.txt", "~/no such folder/none.txt"):
        with pytest.raises(InputError, match=r"compression=some_method.*calibration\.text=PATH"):
            find_calibration(Method(text=missing), files)


def test_the_published_text_is_the_pinned_one(subject):
    if not DATA.is_dir():
        pytest.skip("the shared data are not here")
    files = DataFiles(DataConfig(root=str(DATA)))
    found = find_calibration(Method(), files)
    layout = CalibrationConfig().text
    assert files.used[layout]["git_blob"] == SOURCES[layout].git_blob
    assert found.samples(subject("gpt2")).shape == (128, 64)
