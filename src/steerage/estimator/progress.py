"""What ``verbose`` prints of a synthesis."""

from __future__ import annotations

import time

from steerage import events
from steerage.listeners import Listener


def printer(verbose: int) -> Listener | tuple[()] | None:
    """Listener that prints a line for each phase and trained network, and above 1 for each trial.

    None for 0, which is silence but in a notebook; nothing listens below that.
    """
    if verbose <= 0:
        return None if verbose == 0 else ()
    began = time.monotonic()

    def listener(event: object) -> None:
        text = line(event)
        if text is not None and (verbose > 1 or not isinstance(event, events.TrialFinished)):
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            print(f"[{minutes}:{seconds:02}] {text}", flush=True)

    return listener


def line(event: object) -> str | None:
    """``event`` in a line of text; None for one that is not worth it."""
    if isinstance(event, events.PhaseStarted):
        return event.phase
    if isinstance(event, events.TrialFinished):
        error = event.metrics.get("error", event.error)
        return f"trial {event.number}: validation error {error:.4f}, {event.metrics['params']:,.0f} parameters"
    if isinstance(event, events.NetworkTrained):
        return f"{event.name}: validation error {event.error:.4f}, {event.params:,} parameters"
    return None
