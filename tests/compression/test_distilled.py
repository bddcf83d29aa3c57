"""The student in its teacher's place: loaded as what it is, from the table, in the fingerprint."""

import numpy as np
import pytest

from src.compression.distilled import DistilledConfig, Student
from src.compression.registry import compress
from src.compression.storage import digest
from src.errors import Unsupported
from src.models.config import ModelConfig
from tests.scoring.items import PAIRS
from tests.scoring.test_exactness import scored


@pytest.fixture
def table(checkpoint):
    return DistilledConfig(
        students={
            str(checkpoint("bert")): Student(id=str(checkpoint("distilbert"))),
            str(checkpoint("gpt2")): Student(id=str(checkpoint("gpt_neox"))),
        }
    )


@pytest.mark.parametrize(("teacher", "student"), [("bert", "distilbert"), ("gpt2", "gpt_neox")])
def test_the_student_is_measured_as_it_is(teacher, student, table, load):
    subject, alone = load(teacher), load(student)
    was = digest(subject.model)
    receipt = compress(subject, table)
    assert type(subject.model) is type(alone.model)
    assert digest(subject.model) == digest(alone.model) == receipt.hash_after
    assert receipt.hash_before == was
    assert subject.source == alone.source
    assert receipt.details["student"]["digest"] == alone.source.digest
    assert receipt.details["teacher"]["digest"] == load(teacher).source.digest
    assert np.isnan(receipt.relative_error)
    assert scored(subject, PAIRS, "bias_bench", 100) == scored(alone, PAIRS, "bias_bench", 100)


def test_the_student_is_loaded_as_the_teacher_was(table, load):
    subject = load("bert", dtype="bfloat16")
    compress(subject, table)
    assert str(subject.model.dtype) == "torch.bfloat16"


def test_a_model_without_a_student_says_how_to_add_one(table, load):
    with pytest.raises(Unsupported) as error:
        compress(load("llama"), table)
    for part in ("no student of", "distilled.yaml", "compression.students={"):
        assert part in str(error.value)


def test_the_shipped_table_is_of_pinned_models():
    from hydra import compose, initialize_config_dir

    from src import schema, sweep
    from src.schema import ROOT, typed

    schema.register()
    sweep.register()

    def composed(*overrides):
        with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            return typed(compose("config", overrides=list(overrides)))

    pairs = {
        **{"bert": "distilbert", "roberta": "distilroberta", "gpt2": "distilgpt2"},
        "tiny_bert": "tiny_distilbert",
    }
    table = composed("compression=distilled").compression
    assert len(table.students) == len(pairs)
    for teacher, student in pairs.items():
        found = table.checkpoint(composed(f"model={teacher}").model)
        wanted = composed(f"model={student}").model
        assert (found.id, found.revision) == (wanted.id, wanted.revision)
    more = composed("compression=distilled", "+compression.students={me/big: {id: me/small}}")
    assert len(more.compression.students) == len(pairs) + 1
    assert more.compression.checkpoint(ModelConfig(name="m", id="me/big")).id == "me/small"
