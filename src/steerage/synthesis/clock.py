"""The clock of a run: active seconds that survive a stop, and how many of them went into training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class RunClock:
    """Seconds a run has been active, over all its processes.

    Time between a process's last heartbeat and its death is lost to the clock, and so is the time in between. The
    clock is monotonic: changes of the system time do not move it.
    """

    def __init__(self, *, before: float = 0.0, training_before: float = 0.0, started: float | None = None) -> None:
        self._offset = before - (time.monotonic() if started is None else started)
        self.training = training_before

    def __call__(self) -> float:
        """Active seconds so far."""
        return time.monotonic() + self._offset

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time inside as training or evaluation of networks, as opposed to the program's own work."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.training += time.monotonic() - began

    def counting(self, work: Iterator[T]) -> Iterator[T]:
        """``work``, with the time that it takes between its items counted as training."""
        while True:
            with self.counted():
                try:
                    item = next(work)
                except StopIteration:
                    return
            yield item


class Stopwatch:
    """True once ``seconds`` have passed since the last time it said so; for saving now and then."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now = seconds, now
        self._last = now()

    def due(self) -> bool:
        if self._now() - self._last < self._seconds:
            return False
        self._last = self._now()
        return True
