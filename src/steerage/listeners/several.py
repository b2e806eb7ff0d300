"""Several listeners as one, none of which can end a run by a fault of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TypeAlias, final

Listener: TypeAlias = Callable[[object], None]  # takes the events of ``steerage.events``


@final
class Listeners:
    """Tells each of ``listeners`` every event, in order.

    One that raises an Exception is told nothing more, with a warning; KeyboardInterrupt goes through: it stops the run.
    """

    def __init__(self, listeners: Listener | Iterable[Listener] = ()) -> None:
        self._listeners = [listeners] if callable(listeners) else list(listeners)

    def __call__(self, event: object) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:
                self._listeners.remove(listener)
                _warn(listener, error, "it is told nothing more, and the run goes on")

    def close(self) -> None:
        """Call ``close()`` of the listeners that have one: the run is over, whatever ended it."""
        for listener in self._listeners:
            close = getattr(listener, "close", None)
            try:
                if close is not None:
                    close()
            except Exception as error:
                _warn(listener, error, "its last entries may be missing")


def _warn(listener: Listener, error: Exception, consequence: str) -> None:
    name = getattr(listener, "__name__", type(listener).__name__)
    told = " ".join(str(error).split())
    warnings.warn(f"listener {name} failed ({type(error).__name__}: {told}); {consequence}", stacklevel=3)
