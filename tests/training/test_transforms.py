"""Counterfactual swaps and dropped groups, against texts written by hand."""

import csv
import random
import re
from pathlib import Path

import pytest

from src.errors import InputError
from src.training.transforms import counterfactual as cda
from src.training.transforms.counterfactual import CounterfactualConfig
from src.training.transforms.drop_groups import DropGroupsConfig, drop_groups
from src.training.transforms.possessives import is_possessive_her
from src.training.transforms.registry import built, schemas

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus" / "mix100.txt.xz"
RNG = random.Random(0)


def swap(text, **settings):
    given = cda.counterfactual(CounterfactualConfig(**settings))(text, random.Random(0))
    return given[-1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("He told her that his mother was ill.", "She told him that her father was ill."),
        ("She saw her brother; he saw her.", "He saw his sister; she saw him."),
        ("A friend of his is a friend of hers.", "A friend of hers is a friend of his."),
        ("The book is his.", "The book is hers."),
        ("Her 3 sons read his “new” book.", "His 3 daughters read her “new” book."),
        ("I gave her 'that'; it was hers, not his.", "I gave him 'that'; it was his, not hers."),
        ("HER HUSBAND HURT HIMSELF", "HIS WIFE HURT HERSELF"),
        ("He's the King's son, she'd say", "She's the Queen's daughter, he'd say"),
        ("The human manager there, theme, heresy", "The human manager there, theme, heresy"),
        ("an actress,\nthe heroes", "an actor,\nthe heroines"),
        ("Mr. Smith gave her his", "Mrs. Smith gave him hers"),
        ("Ms. Lee met Ms\nÅberg.", "Mr. Lee met Mr\nÅberg."),
        ("Miss Lee, a near Miss. The", "Mr. Lee, a near Miss. The"),
        ("I miss Ann for 5 ms. She had MS.", "I miss Ann for 5 ms. He had MS."),
        ("her very own hat", "his very own hat"),
        ("In his once rather grand house", "In her once rather grand house"),
        ("He met her once more.", "She met him once more."),
        ("I loved her very much", "I loved him very much"),
        ("He sees her still.", "She sees him still."),
    ],
)
def test_gendered_words_are_swapped(text, wanted):
    assert swap(text) == wanted


def test_names_are_swapped_where_asked_for_and_capitalised():
    assert swap("Mary met Robert to mary him") == "Mary met Robert to mary her"
    assert swap("Mary met Robert to mary him", names=True) == "James met Patricia to mary her"


def test_swapping_unambiguous_words_twice_gives_the_text_again():
    pairs = cda.read_pairs(cda.HERE / "gender_pairs.csv")
    mutual = [word for word, other in pairs.items() if pairs[other] == word]
    assert len(mutual) > 150
    text = " ".join(mutual)
    assert swap(text) != text
    assert swap(swap(text)) == text


def test_lists_hold_each_pair_once_and_whole_words():
    for name in ("gender_pairs.csv", "name_pairs.csv"):
        with (cda.HERE / name).open() as file:
            rows = [tuple(row) for row in csv.reader(file)][1:]
        assert len(set(rows)) == len(rows)
        assert all(
            len(row) == 2 and all(re.fullmatch(r"[A-Za-z]+", w) for w in row) for row in rows
        )
        assert not {a for a, _ in rows} & {b for _, b in rows}


def test_augment_adds_a_copy_and_substitute_takes_one_of_the_two_by_a_coin():
    plain, gendered = "The sky is blue.", "He ran."
    augment = cda.counterfactual(CounterfactualConfig())
    assert augment(plain, RNG) == [plain]
    assert augment(gendered, RNG) == [gendered, "She ran."]
    substitute = cda.counterfactual(CounterfactualConfig(mode="substitute"))
    drawn = [substitute(gendered, random.Random(seed))[0] for seed in range(400)]
    assert set(drawn) == {gendered, "She ran."}
    assert drawn.count(gendered) == pytest.approx(200, abs=40)


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_file(), reason="the text is not here")
def test_the_kind_of_her_is_found_from_the_next_word_in_real_text():
    """His and him are unambiguous, so text that has them tells how often the rule is right."""
    import lzma

    with lzma.open(CORPUS, "rt", encoding="utf-8") as file:
        text = file.read(20_000_000)
    right = {"his": [], "him": []}
    for found in re.finditer(r"\b(him|his)\b", text, re.IGNORECASE):
        word = found[0].lower()
        possessive = is_possessive_her(text[found.end() : found.end() + 60])
        right[word].append(possessive == (word == "his"))
    shares = {word: sum(told) / len(told) for word, told in right.items()}
    assert len(right["him"]) > 2000
    assert shares["his"] == pytest.approx(0.99, abs=0.005)
    assert shares["him"] == pytest.approx(0.87, abs=0.015)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The mosque is old.", False),
        ("MUSLIMS live here.", False),
        ("She jewelled the crown.", True),
        ("An  African\nAmerican poet", False),
        ("An African poet", True),
        ("", True),
    ],
)
def test_documents_that_name_a_group_are_dropped(text, kept):
    words = ["muslim*", "jew", "mosque", "African American"]
    assert drop_groups(DropGroupsConfig(words))(text, RNG) == ([text] if kept else [])


def test_mentions_say_how_many_are_too_many():
    twice = drop_groups(DropGroupsConfig(["church"], mentions=2))
    assert twice("one church", RNG) == ["one church"]
    assert twice("church and church", RNG) == []


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match="empty"):
        DropGroupsConfig([])
    with pytest.raises(InputError, match="empty"):
        DropGroupsConfig(["a", " *"])
    with pytest.raises(InputError, match="mode"):
        CounterfactualConfig(mode="both")
    wrong = tmp_path / "pairs.csv"
    wrong.write_text("he,she\n")
    for path in (wrong, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="pairs"):
            cda.counterfactual(CounterfactualConfig(pairs=str(path)))
    with pytest.raises(InputError, match="counterfactual, drop_groups"):
        built({"mine": object()})
    assert set(schemas()) == {"counterfactual", "drop_groups"}


def test_an_own_list_of_pairs(tmp_path):
    own = tmp_path / "pairs.csv"
    own.write_text("masculine,feminine\npilot,aviatrix\n")
    assert swap("The pilot and his man", pairs=str(own)) == "The aviatrix and her man"
