"""Listeners cannot end a run by their own faults, and are closed with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from steerage import events
from steerage.listeners import Listeners
from steerage.synthesis import synthesize
from steerage.synthesis.main import Interrupted
from tasks import table


class Closing:
    """Notes what it hears, and that it was closed."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.closed = 0

    def __call__(self, event: object) -> None:
        self.heard.append(event)

    def close(self) -> None:
        self.closed += 1


def failing(event: object) -> None:
    raise OSError("no route to host")


def test_one_that_fails_is_left_out_with_one_warning_and_the_others_go_on() -> None:
    other = Closing()
    told = Listeners([failing, other])
    with pytest.warns(UserWarning, match=r"listener failing failed \(OSError: no route to host\)") as warned:
        told("first")
        told("second")
    assert len(warned) == 1 and other.heard == ["first", "second"]


def test_a_stop_goes_through() -> None:
    def stops(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Listeners(stops)("event")


def test_a_fault_at_the_end_is_a_warning_and_the_next_is_closed_all_the_same() -> None:
    class Faulty(Closing):
        def close(self) -> None:
            raise TimeoutError("no answer")

    last = Closing()
    with pytest.warns(UserWarning, match="Faulty failed.*last entries may be missing"):
        Listeners([Faulty(), last]).close()
    assert last.closed == 1


def test_a_run_goes_on_without_a_listener_that_fails(tmp_path: Path) -> None:
    other = Closing()
    with pytest.warns(UserWarning, match="listener failing failed"):
        result = synthesize(table(), trials=1, epochs=1, out=tmp_path / "run", listener=[failing, other])
    assert isinstance(other.heard[0], events.RunStarted) and other.closed == 1
    assert other.heard[0].title.startswith("clouds: 120 training rows, 3 classes")
    assert other.heard[-1] == events.RunFinished(result.folder, result.summary)


def test_listeners_are_closed_when_a_run_is_stopped(tmp_path: Path) -> None:
    class Stops(Closing):
        def __call__(self, event: object) -> None:
            raise KeyboardInterrupt

    listener = Stops()
    with pytest.raises(Interrupted):
        synthesize(table(), trials=1, epochs=1, out=tmp_path / "run", listener=listener)
    assert listener.closed == 1
