"""What is said while a sweep runs."""

import io
import logging
import sys

import pytest

from src import progress
from src.progress import Cells, Progress, spoken


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: clock[0] is the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_each_cell_says_how_many_there_are_and_how_long_the_rest_may_take(clock, caplog):
    cells = Cells()
    cells.total = 4

    def taking(seconds, state):
        def work():
            clock[0] += seconds
            return state

        return work

    with caplog.at_level(logging.INFO):
        assert cells.run(0, taking(1, "skipped")) == "skipped"
        assert cells.run(1, taking(30, "done")) == "done"
        with pytest.raises(ZeroDivisionError):
            cells.run(2, lambda: str(1 / 0))
        cells.run(3, taking(600, "done"))
    # What was skipped is not counted; the failed cell took no time, so that the mean is 15 s.
    assert caplog.messages == [
        "cell 1 of 4",
        "cell 2 of 4, 1 s gone",
        "cell 3 of 4, 31 s gone, about 60 s left",
        "cell 4 of 4, 31 s gone, about 15 s left",
    ]


@pytest.mark.parametrize("total", [0, 1])
def test_one_cell_is_no_sweep(caplog, total):
    cells = Cells()
    cells.total = total
    with caplog.at_level(logging.INFO):
        cells.run(0, lambda: "done")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5400, "90 min"), (12000, "3 h 20 min")],
)
def test_times_are_said_in_units_that_fit(seconds, text):
    assert spoken(seconds) == text


def test_a_log_gets_a_line_now_and_then_and_no_bar(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", written := io.StringIO())
    with caplog.at_level(logging.INFO):
        shown = Progress("inputs", 1000, show=True)
        for _ in range(100):
            clock[0] += 1
            shown.advance(5)
        shown.close()
    assert written.getvalue() == ""
    assert len(caplog.messages) == 100 // 15
    assert caplog.messages[0] == "75 of 1000 inputs, 5 a second, 185 s left"


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", written := Terminal())
    shown = Progress("inputs", 10, show=True)
    shown.advance(10)
    shown.close()
    assert "/10" in written.getvalue()
    assert written.getvalue().rstrip(" ").endswith("\r")
    monkeypatch.setattr(sys, "stderr", silent := Terminal())
    Progress("inputs", 10, show=False).advance(10)
    assert silent.getvalue() == ""
