"""Progress with rate and time left: a bar on a terminal, a line now and then in a log.

`CELLS` counts the cells of a sweep that this process runs; `Progress` counts within a cell.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

log = logging.getLogger(__name__)
LOG_EVERY = 15.0
"""Seconds between lines where there is no terminal."""


class Progress:
    """Counts towards a total and shows it."""

    def __init__(self, what: str, total: int, show: bool) -> None:
        """Name what is counted, how many there will be, and whether to show anything."""
        self.what, self.total, self.show = what, total, show
        self.done = 0
        self._started = self._said = time.monotonic()
        terminal = show and sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, unit=f" {what}", leave=False, dynamic_ncols=True)
            if terminal
            else None
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """Note that `count` more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
            return
        now = time.monotonic()
        if self.show and now - self._said >= LOG_EVERY:
            self._said = now
            rate = self.done / (now - self._started)
            left = (self.total - self.done) / rate
            log.info(
                "%d of %d %s, %.0f a second, %.0f s left",
                *(self.done, self.total, self.what, rate, left),
            )


class Cells:
    """The cells of a sweep that this process runs one after the other.

    Attributes:
        total: How many there are; 0 where this process does not know, as one that a launcher has
            started on another machine.
    """

    def __init__(self) -> None:
        """Know of none."""
        self.total = 0
        self._ran: list[float] = []
        self._first = 0.0

    def run(self, number: int, work: Callable[[], str]) -> str:
        """Run a cell, after a line that says which it is and how long the rest may take.

        Args:
            number: Its place in the sweep, from 0.
            work: Runs it and gives its state. One that was finished before ("skipped") says
                nothing of how long the others take.
        """
        began = time.monotonic()
        self._first = self._first or began
        if self.total > 1:
            log.info("%s", ", ".join(self._told(number, began)))
        state = "failed"
        try:
            state = work()
        finally:
            if state != "skipped":
                self._ran.append(time.monotonic() - began)
        return state

    def _told(self, number: int, now: float) -> Iterator[str]:
        yield f"cell {number + 1} of {self.total}"
        if number:
            yield f"{spoken(now - self._first)} gone"
        if self._ran:
            mean = sum(self._ran) / len(self._ran)
            yield f"about {spoken(mean * (self.total - number))} left"


def spoken(seconds: float) -> str:
    """Say a time in its largest unit and the one below: "45 s", "12 min", "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


CELLS = Cells()
