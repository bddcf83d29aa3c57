import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import src.benchmarks
import src.compression
from src.benchmarks.registry import BENCHMARKS
from src.compression.registry import METHODS
from src.modules import import_modules
from src.scoring.scorer import SCORERS, load_scorers
from src.tracking import fingerprint as fingerprint_module
from src.tracking.fingerprint import code_digest, difference, fingerprint

ROOT = Path(__file__).parents[2]
PARTS = {"model": {"id": "x", "revision": None}, "compression": {"bits": 8}, "seeds": (1, 2)}


def test_it_depends_on_values_and_not_on_order_or_container():
    base = fingerprint(PARTS)
    assert len(base) == 64
    assert fingerprint(dict(reversed(PARTS.items()))) == base
    assert fingerprint(OmegaConf.create(PARTS | {"seeds": [1, 2]})) == base
    assert fingerprint(PARTS | {"seeds": np.array([1, 2])}) == base
    for changed in ({"seeds": (2, 1)}, {"seeds": (1, 2.0)}, {"compression": {"bits": "8"}}):
        assert fingerprint(PARTS | changed) != base


def test_it_is_the_same_in_another_process():
    code = f"from src.tracking.fingerprint import fingerprint; print(fingerprint({PARTS!r}))"
    for seed in ("1", "2"):
        child = subprocess.run(
            [sys.executable, "-c", code],
            **{"cwd": ROOT, "env": {"PYTHONHASHSEED": seed}, "capture_output": True, "text": True},
        )
        assert child.stdout.strip() == fingerprint(PARTS)


def test_it_refuses_what_has_no_stable_text():
    with pytest.raises(TypeError, match=r"model\.load is a"):
        fingerprint({"model": {"load": object()}})


def test_difference_names_what_changed():
    new = {"model": {"id": "y"}, "compression": {"bits": 8.0}, "seeds": [1, 2], "scorer": {}}
    assert difference(PARTS, new) == ["compression.bits", "model.id", "model.revision", "scorer"]
    assert difference(PARTS, dict(PARTS)) == []


@pytest.fixture
def copied(tmp_path):
    """A copy of this project's `src/` that a test may change."""
    root = tmp_path / "src"
    shutil.copytree(
        ROOT / "src", root, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
    )
    return root


SHARED = [
    *(
        "data/readers.py",
        "data/locate.py",
        "cell.py",
        "device.py",
        "processes.py",
        "prepare.py",
        "evaluate.py",
    ),
    *("models/load.py", "scoring/engine.py", "benchmarks/stereoset_rates.py"),
    *("compression/layers/dynamic_int8.py", "compression/registry.py"),
]


@pytest.mark.parametrize("name", [*SHARED, "benchmarks/seat.py", "compression/ptq.py"])
def test_any_change_of_code_that_makes_numbers_changes_its_digest(copied, name):
    kinds = {"ptq", "seat", "original"}
    before = code_digest(), code_digest(kinds)
    assert (code_digest(root=copied), code_digest(kinds, copied)) == before
    with (copied / name).open("a") as file:
        file.write("\nsurprise = 1\n")
    assert code_digest(root=copied) != before[0]
    assert code_digest(kinds, copied) != before[1]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("compression/casting.py", {"ptq", "seat", "original"}),
        ("compression/ptq.py", {"none", "seat", "original"}),
        ("benchmarks/crows_pairs.py", {"none", "seat", "bias_bench"}),
        ("benchmarks/stereoset.py", {"none", "seat", "bias_bench"}),
        ("scoring/original.py", {"none", "seat", "bias_bench"}),
        ("compression/new_method.py", {"none", "seat", "bias_bench"}),
    ],
)
def test_other_methods_do_not_count(copied, name, kinds):
    before = code_digest(kinds, copied), code_digest((), copied)
    with (copied / name).open("a") as file:
        file.write("\nsurprise = 1\n@compression('new_method', object)\ndef new(): ...\n")
    assert code_digest(kinds, copied) == before[0]
    assert code_digest((), copied) != before[1]
    assert code_digest(kinds | {"new_method"}, copied) != before[0]


def test_a_method_that_another_builds_on_counts_with_it(copied):
    (copied / "compression" / "first.py").write_text("@registry.compression('one')\ndef f(): ...\n")
    (copied / "compression" / "second.py").write_text(
        "from src.compression import first\n@compression('two')\ndef f(): return first.f()\n"
    )

    def digests() -> list[str]:
        return [code_digest({kind, "seat", "original"}, copied) for kind in ("one", "two", "ptq")]

    one, two, ptq = digests()
    with (copied / "compression" / "first.py").open("a") as file:
        file.write("surprise = 1\n")
    same = [new == old for new, old in zip(digests(), (one, two, ptq), strict=True)]
    assert same == [False, False, True]


def test_what_cannot_be_told_apart_counts(copied):
    """A name that only running the code would tell, and a name that nobody registers."""
    chosen = {"ptq", "seat", "original"}
    before = code_digest(chosen, copied)
    written = "for name in ('q4', 'q8'):\n    compression(name, object)(print)\n"
    written += "@compression('fixed', object)\ndef f(): ...\n"
    (copied / "compression" / "many.py").write_text(written)
    assert code_digest(chosen, copied) != before
    assert code_digest({"seat", "nobody"}, copied) == code_digest((), copied)


REWRITTEN = """# A comment.
class C:
    \'\'\'Another docstring.\'\'\'

    x: int = 1
    "What x is."

    def f(self, y):

        '''Doc.'''
        return (self.x +
                y)  # a remark
"""


def test_docstrings_comments_and_layout_do_not_count(copied):
    file = copied / "scoring" / "added.py"
    same = [
        "class C:\n  x: int = 1\n  def f(self, y): return self.x + y\n",
        *(REWRITTEN, REWRITTEN.replace("\n", "\r\n")),
    ]
    other = [
        same[0].replace(" + ", " - "),
        same[0].replace("= 1", "= 1.0"),
        same[0].replace("return ", ""),
        same[0].replace("int = 1", "int"),
        same[0].replace("self.x + y", "'Doc.'"),
        same[0].replace("self.x + y", "None"),
        same[0].replace("self.x + y", "(None, None)"),
    ]
    digests = []
    for text in [*same, *other]:
        file.write_bytes(text.encode())
        digests.append(code_digest((), copied))
    assert len(set(digests[: len(same)])) == 1
    assert len(set(digests)) == 1 + len(other)
    file.rename(file.with_name("moved.py"))
    assert code_digest((), copied) not in digests


def test_only_python_that_makes_numbers_counts(copied):
    before = code_digest((), copied)
    (copied / "scoring" / "readme.md").write_text("not counted")
    (copied / "scoring" / ".#engine.py").symlink_to("an-editors-lock")
    (copied / "report" / "terminal.py").write_text("surprise = 1\n")
    (copied / "data" / "fetch.py").write_text("surprise = 1\n")
    assert code_digest((), copied) == before
    shutil.rmtree(copied / "scoring")
    with pytest.raises(FileNotFoundError, match="scoring, named as code that makes numbers"):
        code_digest((), copied)


def test_it_is_no_text_of_one_version_of_python():
    """`ast.dump` writes empty fields or not, by version; both must be read as the same code."""
    tree = ast.parse("def f(x, *, y=None): return x[0]\n")
    dumped = fingerprint_module._code(tree)
    assert dumped == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x')],"
        "kwonlyargs=[arg(arg='y')],kw_defaults=[Constant()]),body=[Return(value="
        "Subscript(value=Name(id='x',ctx=Load()),slice=Constant(value=0),ctx=Load()))])])"
    )


def test_every_method_that_can_be_chosen_is_known_by_its_name():
    """Otherwise everything would count, and adding a method would repeat finished cells."""
    load_scorers()
    import_modules(src.compression)
    import_modules(src.benchmarks)
    names = {*METHODS, *BENCHMARKS, *(name for name, _, _ in SCORERS)}
    modules = fingerprint_module._own_modules()
    homes = {name: tuple(m.path for m in modules if name in m.kinds) for name in names}
    assert all(homes.values())
    each = [code_digest({name}) for name in sorted(names)]
    assert len(set(each)) == len(set(homes.values()))  # two scorers may share a module
    assert code_digest() not in each


def test_the_code_that_runs_counts_and_not_what_is_edited_meanwhile(monkeypatch):
    before = code_digest()
    monkeypatch.setattr(fingerprint_module, "_modules", lambda root: [])
    assert code_digest() == before
