"""Every yaml of the training programs composes and validates; their command lines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from src.errors import InputError
from src.training import schema
from src.training.entry import typed
from src.training.schema import CONF

ROOT = Path(__file__).parents[2]
schema.register()
PROGRAMS = {
    "pretrain": ["corpus.sources.text.path=text.txt"],
    "distill": ["corpus.sources.text.path=text.txt", "distillation.teacher=some/model"],
}
SHARED = ("corpus", "training", "tracker")
OWN = {"pretrain": ("architecture", "tokenizer"), "distill": ("distillation",)}
EVERY = [
    (program, group, option.stem)
    for program, groups in OWN.items()
    for group in (*SHARED, *groups)
    for option in sorted((CONF / group).glob("*.yaml"))
]


@pytest.fixture(autouse=True)
def hydra_ready():
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield


@pytest.mark.parametrize(("program", "group", "option"), EVERY)
def test_every_option_composes_and_validates(program, group, option):
    assert typed(compose(program, [*PROGRAMS[program], f"{group}={option}"])).training.steps


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (CONF / "recipe").glob("*.yaml")))
def test_every_recipe_composes_and_validates(recipe):
    text = (CONF / "recipe" / f"{recipe}.yaml").read_text()
    program = re.search(r"python -m src\.(\w+) recipe=(\S+)", text)
    assert program[2] == recipe
    checked = typed(compose(program[1], [*PROGRAMS[program[1]], f"recipe={recipe}"]))
    assert checked.name == recipe
    assert checked.out == f"multirun/training/{recipe}"


@pytest.mark.parametrize("kind", ["gpt_neox", "bert", "roberta"])
def test_the_tokenizer_is_of_the_architecture_unless_said_otherwise(kind):
    config = typed(compose("pretrain", [*PROGRAMS["pretrain"], f"architecture={kind}"]))
    assert config.tokenizer.kind == config.architecture.kind == config.name == kind
    assert config.out == f"multirun/training/{kind}"


@pytest.mark.parametrize(
    ("program", "overrides", "said"),
    [
        ("pretrain", [], "corpus.sources.text.path is required"),
        ("distill", ["corpus.sources.text.path=a"], "distillation.teacher is required"),
        ("pretrain", ["architecture.hidden_size=30"], "multiple of twice the heads"),
        ("pretrain", ["training.optimizer=muno"], "Did you mean 'muon'"),
        ("pretrain", ["architecture.rotary=1.5"], "architecture.rotary=1.5"),
        ("distill", ["distillation.soft=-1"], "at least 0"),
    ],
)
def test_impossible_values_name_the_key(program, overrides, said):
    given = overrides if "is required" in said else [*PROGRAMS[program], *overrides]
    with pytest.raises(InputError, match=said):
        typed(compose(program, given))


@pytest.mark.parametrize("program", ["pretrain", "distill"])
def test_help_is_readable_and_free_of_torch(program):
    code = f"""if True:
        import sys
        import src.{program} as program
        from src.training import entry
        sys.argv = ["{program}", "--help"]
        try:
            entry.main(program.job, "{program}")
        except SystemExit:
            pass
        print({{"torch", "pandas", "wandb", "transformers"}} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("set()")
    for word in (f"python -m src.{program}", "== Groups", "batch_tokens: 16384", "wandb"):
        assert word in done.stdout
    listed = re.findall(
        r"^([\w/]+): .*\w$", done.stdout.partition("== This config")[0], re.MULTILINE
    )
    assert set(listed) == {*SHARED, *OWN[program], "corpus/transform", "recipe"}
