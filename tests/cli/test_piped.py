"""What a command prints may be read by `head`, which closes the pipe."""

import os
import subprocess
import sys

import pytest

from src.piped import GONE
from src.schema import ROOT


def unread(*arguments):
    """Run Python with a standard output whose other end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": ""},  # empty: as most users have it
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "src.statistics.flips", "--help"),
        ("-m", "src.main", "debug=dry", "model=tiny"),
        ("-u", "-c", "from src.piped import piped; piped(lambda: print('text'))"),
    ],
    ids=["exits", "prints", "unbuffered"],
)
def test_a_closed_pipe_ends_a_command_without_a_word(command):
    assert unread(*command) == (GONE, "")


def test_another_pipe_that_breaks_is_an_error():
    code, errors = unread(
        "-c", "import os; from src.piped import piped; r, w = os.pipe(); os.close(r); "
        "os.dup2(2, 1); piped(lambda: os.write(w, b'x'))",
    )  # fmt: skip
    assert code == 1
    assert errors.endswith("BrokenPipeError: [Errno 32] Broken pipe\n")


def test_a_failure_keeps_its_code_and_message():
    program = "import sys; from src.piped import piped; piped(lambda: (print(1), sys.exit('bad')))"
    assert unread("-c", program) == (1, "bad\n")


def test_a_pipe_that_is_read_changes_nothing():
    program = "from src.piped import piped; piped(lambda: (print('text'), 3)[1])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "text\n", "")
