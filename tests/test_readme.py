"""What the README refers to is there, and its commands are possible."""

import re
import shlex
import subprocess
from importlib.util import find_spec

import pytest
from hydra import initialize_config_dir

from src import schema, sweep
from src.schema import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
MAIN = sorted({line for line in LINES if re.match(r"(\.venv/bin/)?python -m src\.main ", line)})
schema.register()
sweep.register()


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_links_within_it_lead_to_a_heading():
    anchors = {slug(heading) for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert links
    assert links <= anchors, links - anchors


def test_files_it_names_are_there():
    paths = set(re.findall(r"`((?:src|conf|tests)/[\w./-]+\.\w+)`", README))
    paths |= set(re.findall(r"\]\(([.\w][\w./-]+)\)", README))
    made = {"src/compression/clip.py", "conf/compression/clip.yaml"}  # the reader's own, an example
    missing = {p for p in paths - made if "NAME" not in p and not (ROOT / p).exists()}
    assert missing == set()


def test_targets_and_programs_it_names_are_there():
    targets = set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", README, re.MULTILINE))
    assert {"demo", "test", "table1"} <= targets
    asked = ["make", "--dry-run", *sorted(targets)]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    programs = set(re.findall(r"-m (src(?:\.\w+)+)", README))
    assert programs
    for program in programs:
        assert find_spec(program) is not None, program


@pytest.mark.parametrize("line", MAIN)
def test_each_command_that_measures_is_possible(line):
    arguments = shlex.split(line.partition("src.main ")[2])
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        sweep.check_cells(overrides, "-m" in arguments)
