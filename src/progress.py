"""Progress with rate and time left: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time

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
        self._bar = tqdm(total=total, unit=f" {what}", leave=False) if terminal else None

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
