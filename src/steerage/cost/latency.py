"""How long a prediction for one row takes on this machine: one thread, warmed up, in turns, median and quartiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import torch

ROUNDS = 20
ROUND_MS = 12.0  # that each runner has in a round
MIN_CALLS = 5  # of a runner in a round, however slow it is
WARM_UP = 3  # rounds that are not counted

Runner = Callable[[int], object]


@final
@dataclass(frozen=True)
class Latency:
    """Milliseconds that a call takes: half of the calls between ``low_ms`` and ``high_ms``, half below ``median_ms``.

    ``calls``: how many were timed. ``steady``: the middle half of the rounds have medians within a fifth of each
    other; where they have not, something else was using the machine.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    calls: int
    steady: bool

    def to_json(self) -> dict[str, Any]:
        """Figures by name; ``Latency(**json)`` restores them."""
        return asdict(self)


def latencies(runners: Mapping[str, Runner], *, rounds: int = ROUNDS, round_ms: float = ROUND_MS) -> dict[str, Latency]:
    """Time ``runners`` in turns, so that whatever slows the machine down slows all of them; figures by name.

    Each is called with 0, 1, 2 ... and predicts one row, another one each time if it likes. A round gives each of them
    as many calls as take ``round_ms`` (five at least), in an order that changes. PyTorch has one thread meanwhile;
    ONNX Runtime has as many as its session was made with (``steerage.export.runtime``: one).
    """
    with _one_thread():
        calls = {name: _calls(runner, round_ms) for name, runner in runners.items()}
        timed: dict[str, list[list[int]]] = {name: [] for name in runners}
        names = list(runners)
        for turn in range(WARM_UP + rounds):
            for name in names if turn % 2 else reversed(names):
                taken = _timed(runners[name], calls[name])
                if turn >= WARM_UP:
                    timed[name].append(taken)
    return {name: _summary(taken) for name, taken in timed.items()}


def _calls(runner: Runner, round_ms: float) -> int:
    """As many as take ``round_ms``, told from a few after the first, which may set things up."""
    runner(0)
    return max(MIN_CALLS, int(round_ms * 1e6 / max(1.0, float(np.median(_timed(runner, MIN_CALLS))))))


def _timed(runner: Runner, calls: int) -> list[int]:
    """Nanoseconds of each of so many calls."""
    taken, clock = [], time.perf_counter_ns
    for at in range(calls):
        began = clock()
        runner(at)
        taken.append(clock() - began)
    return taken


def _summary(rounds: list[list[int]]) -> Latency:
    low, median, high = (float(one) / 1e6 for one in np.percentile(np.concatenate(rounds), (25, 50, 75)))
    fast, slow = np.percentile([np.median(one) for one in rounds], (25, 75))
    return Latency(median, low, high, sum(map(len, rounds)), bool(slow < 1.2 * fast))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
