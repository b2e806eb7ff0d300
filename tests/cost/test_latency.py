"""Latencies, by a clock that only the runners move."""

from __future__ import annotations

import pytest
import torch

from steerage.cost import latency
from steerage.cost.latency import Latency, latencies


class Clock:
    """Nanoseconds, and who was called."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[str] = []

    def runner(self, name: str, *milliseconds: float) -> latency.Runner:
        """Takes as long as the next of ``milliseconds``, over and over."""
        count = 0

        def run(at: int) -> None:
            nonlocal count
            self.calls.append(name)
            self.now += round(1e6 * milliseconds[count % len(milliseconds)])
            count += 1

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: made.now)
    return made


def test_median_and_quartiles_are_of_all_calls_but_the_first_rounds(clock: Clock) -> None:
    found = latencies({"a": clock.runner("a", 1.0, 2.0, 3.0, 4.0, 5.0)}, rounds=4, round_ms=0.0)
    assert found == {"a": Latency(median_ms=3.0, low_ms=2.0, high_ms=4.0, calls=20, steady=True)}


def test_runners_take_turns_and_each_has_its_share_of_a_round(clock: Clock) -> None:
    found = latencies({"fast": clock.runner("fast", 1.0), "slow": clock.runner("slow", 4.0)}, rounds=2, round_ms=40.0)
    assert (found["fast"].median_ms, found["slow"].median_ms) == (1.0, 4.0)
    assert (found["fast"].calls, found["slow"].calls) == (80, 20)
    turns = [name for at, name in enumerate(clock.calls) if at == 0 or clock.calls[at - 1] != name]
    assert turns == ["fast", "slow", "fast", "slow", "fast", "slow", "fast", "slow", "fast"][: len(turns)]
    assert len(turns) >= 5


def test_a_machine_that_is_not_quiet_is_told(clock: Clock) -> None:
    busy = clock.runner("busy", *[1.0] * 50, *[2.0] * 50)
    assert not latencies({"busy": busy}, rounds=12, round_ms=5.0)["busy"].steady


def test_pytorch_has_one_thread_meanwhile_and_its_own_after(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = [3]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    seen = set()
    latencies({"a": lambda at: seen.add(threads[-1])}, rounds=1, round_ms=0.0)
    assert seen == {1}
    assert threads[-1] == 3


def test_figures_come_back_from_json() -> None:
    one = Latency(0.5, 0.25, 1.0, 100, False)
    assert Latency(**one.to_json()) == one
