from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from steerage.synthesis import clock as module
from steerage.synthesis.clock import RunClock, Stopwatch


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that is set by hand: ``time.now``."""
    hands = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: hands.now)
    return hands


def test_a_new_run_starts_at_zero(time: SimpleNamespace) -> None:
    clock = RunClock()
    assert clock() == 0.0
    time.now += 5
    assert clock() == 5.0


def test_a_run_goes_on_where_it_was(time: SimpleNamespace) -> None:
    clock = RunClock(before=60.0, training_before=40.0)
    time.now += 5
    assert clock() == 65.0
    assert clock.training == 40.0


def test_time_before_the_clock_was_made_can_count(time: SimpleNamespace) -> None:
    assert RunClock(before=60.0, started=997.0)() == 63.0


def test_only_what_is_counted_is_training(time: SimpleNamespace) -> None:
    clock = RunClock()
    with clock.counted():
        time.now += 3
    time.now += 100
    with pytest.raises(RuntimeError), clock.counted():
        time.now += 4
        raise RuntimeError
    assert clock.training == 7.0


def test_the_time_between_items_of_work_is_training_and_the_callers_is_not(time: SimpleNamespace) -> None:
    def work() -> Iterator[int]:
        for item in range(3):
            time.now += 2
            yield item
        time.now += 1

    clock = RunClock()
    items = []
    for item in clock.counting(work()):
        items.append(item)
        time.now += 50
    assert items == [0, 1, 2]
    assert clock.training == 7.0


def test_a_stopwatch_rings_when_its_time_is_over_and_starts_anew(time: SimpleNamespace) -> None:
    watch = Stopwatch(10.0, now=lambda: time.now)
    rings = []
    for _ in range(6):
        time.now += 4
        rings.append(watch.due())
    assert rings == [False, False, True, False, False, True]
