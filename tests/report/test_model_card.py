"""The card of the shipped models: it says what is in their folders."""

import re
import shutil

import pytest
from transformers import AutoModelForCausalLM

from src.errors import InputError
from src.report import model_card
from src.report.model_card import SHIPPED, card, main, shipped

TEXT = (SHIPPED / "README.md").read_text(encoding="utf-8")


def test_the_card_is_of_the_models_beside_it():
    models = shipped()
    assert len(models) == 18
    for one in models:
        assert f"\n| {one.name} | " in TEXT
    for one in {one.run: one for one in models}.values():
        line = next(line for line in TEXT.splitlines() if line.startswith(f"| {one.run} | "))
        assert f"| {one.parameters / 1e6:.2f} M | {one.training['steps']} |" in line
        assert f": {one.training['held_out_loss']:.2f} |" in TEXT


def test_parameters_are_those_of_the_loaded_model():
    """Tied embeddings count once, in the file and in the model."""
    one = next(one for one in shipped() if one.name == "pythia-0.4m/step16")
    model = AutoModelForCausalLM.from_pretrained(SHIPPED / one.name)
    assert one.parameters == sum(weight.numel() for weight in model.parameters())
    assert (one.run, one.step) == ("pythia-0.4m", 16)


def test_the_best_causal_model_is_the_one_called_tiny():
    """As the card measured it: the model that `model=tiny` names has the highest LM score."""
    rows = re.findall(r"^\| (pythia-\S+) \| ([\d.]+) \(", TEXT, re.MULTILINE)
    scores = {name: float(value) for name, value in rows}
    assert len(scores) == 14
    assert max(scores, key=scores.get) == "pythia-1.3m/step5100"
    assert scores["pythia-1.3m/step5100"] > 65


def test_the_student_and_its_twin_are_compared_with_intervals():
    """Of the same items, so an interval is narrower than that of either score."""
    number = r"(-?[\d.]+)"
    rows = re.findall(
        rf"^- .*: {number} without a teacher, {number} with it, a difference of {number} "
        rf"\({number} to {number}\): ",
        TEXT,
        re.MULTILINE,
    )
    scores = re.findall(
        rf"{number} \({number} to {number}\)",
        TEXT.partition("tiny_distilbert_twin |")[2].partition("\n")[0],
    )
    assert len(rows) == len(scores) == 3
    for row, score in zip(rows, scores, strict=True):
        without, with_it, difference, low, high = map(float, row)
        alone, lowest, highest = map(float, score)
        assert without == alone
        assert with_it - without == pytest.approx(difference, abs=0.11)
        assert low < difference < high
        assert high - low < highest - lowest


def test_models_that_were_not_measured_are_named(tmp_path, capsys):
    with pytest.raises(InputError, match="no finished cell of bert, "):
        card(tmp_path)
    assert main([str(tmp_path), "--out", str(tmp_path / "card.md")]) == 1
    assert "tiny_distilbert_twin" in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()


def test_a_model_without_a_record_is_refused(tmp_path):
    shutil.copytree(SHIPPED / "pythia-0.4m" / "step16", tmp_path / "m")
    with pytest.raises(InputError, match=r"no training\.json"):
        model_card.shipped(tmp_path)
