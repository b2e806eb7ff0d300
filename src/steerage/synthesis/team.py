"""Who trains for a run: this process alone, or workers beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from steerage.errors import BadArgument, TrainingFailed
from steerage.execute import WorkerPool, usable_cores
from steerage.search.under_way import Here, Workers, wait_a_moment
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.parcel import Parcel
from steerage.synthesis.plan import Effort

Jobs = int | Literal["auto"]

AUTO_FROM_MINUTES = 1.0  # shorter runs are over before the workers have paid for their start
AUTO_MOST = 8  # more workers than that are for whoever asks for them
MOST = 256  # processes of one machine: each takes a few hundred MB before it has done anything


def jobs_for(jobs: Jobs, effort: Effort, *, here: bool = True) -> int:
    """How many trainings go on at a time: as many as are asked for, or as suit this machine.

    Runs whose effort is counted are to be the same everywhere, so one process does them unless more are asked for.
    ``here``: whether they are processes of this machine. Raises: BadArgument for less than one, and for more processes
    than a machine can hold.
    """
    if jobs == "auto":
        minutes = effort.minutes if effort.timed else None
        return min(AUTO_MOST, usable_cores()) if minutes is not None and minutes >= AUTO_FROM_MINUTES else 1
    if not isinstance(jobs, int) or jobs < 1:
        raise BadArgument(f"jobs must be positive or 'auto', got {jobs!r}; leave it out for auto")
    if here and jobs > MOST:
        raise BadArgument(f"jobs must be at most {MOST} on one machine, got {jobs}; leave it out for auto")
    return jobs


@dataclass(frozen=True)
class Call:
    """``function(*arguments)``, to be done by a worker, under a ``name``."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass
class Team:
    """``jobs`` trainings at a time in ``executor``, which must do them in other processes if there are several.

    It is ``own`` where it ends with the team. ``ahead``: how many trials of a search are under way at a time; where
    ``in_order``, what is trained depends on that and not on ``jobs``. ``clock``: of the run; time in which workers are
    waited for is that of trainings. ``heard`` is given what workers tell. ``meanwhile`` is called a few times a second
    while they are waited for, with whether they have told anything. ``failed``: reasons by name of trainings that
    failed in workers.
    """

    clock: RunClock = field(default_factory=RunClock)
    jobs: int = 1
    ahead: int = 1
    in_order: bool = True
    executor: Executor = field(default_factory=Here)
    own: bool = False
    heard: Callable[[object], None] = lambda message: None
    meanwhile: Callable[[bool], None] = lambda told: None
    failed: dict[str, str] = field(default_factory=dict)
    _told: bool = False
    _parcel: Parcel | None = None

    @property
    def apart(self) -> bool:
        """Whether others train than this process."""
        return not isinstance(self.executor, Here)

    @property
    def workers(self) -> Workers:
        """The team as a search needs it."""
        return Workers(self.executor, self.ahead, self.in_order, self._wait)

    def bench(self, bench: Bench, folder: Path) -> Bench | Parcel:
        """``bench`` as it comes to those who train, by way of ``folder`` if they are other processes."""
        if not self.apart:
            return bench
        if self._parcel is None:
            self._parcel = Parcel.of(bench, folder)
        return self._parcel

    def done(self, calls: Sequence[Call]) -> Iterator[Call]:
        """``calls`` as they are done, ``jobs`` at a time; those that failed are in ``failed`` instead.

        A worker that is lost costs one attempt, of two.
        """
        left, under_way, lost = deque(calls), dict[Future[Any], Call](), set[str]()
        while left or under_way:
            while left and len(under_way) < self.jobs:
                call = left.popleft()
                under_way[self.executor.submit(call.function, *call.arguments)] = call
            self._wait(under_way)
            for future in [one for one in under_way if one.done()]:
                call = under_way.pop(future)
                try:
                    future.result()
                except TrainingFailed as failure:
                    self.failed[call.name] = str(failure)
                except (BrokenExecutor, MemoryError) as loss:
                    if call.name in lost:
                        self.failed[call.name] = str(loss) or type(loss).__name__
                    else:
                        lost.add(call.name)
                        left.appendleft(call)
                else:
                    yield call

    def _wait(self, futures: Collection[Future[Any]]) -> None:
        with self.clock.counted():
            wait_a_moment(futures)
        if not isinstance(self.executor, WorkerPool):
            return self.meanwhile(any(one.done() for one in futures))
        while not self.executor.said.empty():
            self._told = True
            self.heard(self.executor.said.get())
        self.meanwhile(self._told)

    def close(self) -> None:
        """End workers of its own, which have nothing left to do."""
        if self.own:
            self.executor.shutdown()

    def stop(self) -> None:
        """End workers of its own at once; they keep what they have."""
        if self.own and isinstance(self.executor, WorkerPool):
            self.executor.stop()
