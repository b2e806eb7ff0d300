"""Trials under way: begun, in training somewhere, and not yet told to the study."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

from optuna.trial import Trial

from steerage.errors import BadArgument
from steerage.search.curves import CONTINUES, Judge
from steerage.search.evaluation import Ended, Evaluate, InRungs, evaluated
from steerage.search.trials import REPEATS
from steerage.space import Values

ENDED = "ended"  # user attribute of a trial: how it ended, where its turn to be told has not come
LOST = "lost"  # user attribute of a trial: why its first training came to nothing
POLL_SECONDS = 0.25

T = TypeVar("T")
Wait = Callable[[Collection[Future[Any]]], object]


@final
class Here(Executor):
    """An executor that does what it is given at once, in this thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def wait_a_moment(futures: Collection[Future[Any]]) -> None:
    """Until one of ``futures`` is done, but not for long: on Windows nothing else could interrupt it."""
    wait_for(futures, POLL_SECONDS, FIRST_COMPLETED)


@final
@dataclass(frozen=True)
class Workers:
    """Who evaluates the candidates of a search.

    ``executor``: any executor of ``concurrent.futures``, in which ``evaluate`` and what it returns must be picklable
    if its workers are processes. ``ahead``: how many trials are under way at a time. ``in_order``: outcomes are told in
    the order in which trials began, so that what a search does depends on ``ahead`` and not on who is faster; else they
    are told as they come. ``wait`` is called with the futures while there is nothing else to do, again and again; what
    it raises ends the search and leaves its trials open.

    A worker that is lost (``BrokenExecutor`` of a future) or has no memory left costs one training, which is tried once
    more; then the candidate has failed. Raises: BadArgument for ``ahead`` below 1.
    """

    executor: Executor = field(default_factory=Here)
    ahead: int = 1
    in_order: bool = True
    wait: Wait = wait_a_moment

    def __post_init__(self) -> None:
        if self.ahead < 1:
            raise BadArgument(f"ahead must be positive, got {self.ahead}")


@dataclass
class Flight:
    """A trial under way: its ``number`` in the search, its ``point``, and how it ended, once it has."""

    trial: Trial
    number: int
    point: Values
    judge: Judge
    future: Future[Ended] | None = None
    ended: Ended | None = None

    @property
    def repeats(self) -> int | None:
        """Number of the trial whose candidate is trained again."""
        repeated = self.trial.user_attrs.get(REPEATS)
        return None if repeated is None else int(repeated)

    @property
    def goes_on(self) -> bool:
        """Whether it goes on with a trial that rested."""
        return CONTINUES in self.trial.user_attrs


class UnderWay:
    """The trials under way, in the order in which they began."""

    def __init__(self, evaluate: Evaluate | InRungs, workers: Workers) -> None:
        self._evaluate, self._workers = evaluate, workers
        self.flights: list[Flight] = []

    @property
    def room(self) -> bool:
        """Whether another trial may begin."""
        return len(self.flights) < self._workers.ahead

    def begin(self, flight: Flight) -> None:
        """Begin ``flight``; one that has ended already, before this process, only waits for its turn."""
        self.flights.append(flight)
        told = flight.trial.user_attrs.get(ENDED)
        if told is not None:
            flight.ended = Ended.from_json(told)
        if flight.ended is None:
            self._submit(flight)

    def next(self) -> Iterator[tuple[Flight, str | None]]:
        """Trials of which something is to be told, up to the first one that ended.

        With the reason, one whose training came to nothing and is tried once more; with None, the one that ended.
        """
        while True:
            for flight in self.flights:
                lost = self._look_at(flight)
                if lost is not None:
                    yield flight, lost
            candidates = self.flights[:1] if self._workers.in_order else self.flights
            over = next((one for one in candidates if one.ended is not None), None)
            if over is not None:
                self.flights.remove(over)
                yield over, None
                return
            self._workers.wait([one.future for one in self.flights if one.future is not None])

    def rest(self) -> None:
        """Wait a moment for others, with nothing under way here."""
        time.sleep(POLL_SECONDS)
        self._workers.wait(())

    def _look_at(self, flight: Flight) -> str | None:
        """Take in how ``flight`` ended, if it has; the reason why it is tried once more, if it is."""
        if flight.future is None or not flight.future.done():
            return None
        future, flight.future = flight.future, None
        try:
            flight.ended = future.result()
        except (BrokenExecutor, MemoryError) as loss:
            if isinstance(self._workers.executor, Here):
                raise
            reason = str(loss) or type(loss).__name__
            if LOST not in flight.trial.user_attrs:
                flight.trial.set_user_attr(LOST, reason)
                self._submit(flight)
                return reason
            flight.ended = Ended(None, f"{reason}; and before: {flight.trial.user_attrs[LOST]}")
        if flight is not self.flights[0] and self._workers.in_order:
            flight.trial.set_user_attr(ENDED, flight.ended.to_json())  # so that a stop does not lose it
        return None

    def _submit(self, flight: Flight) -> None:
        workers = self._workers
        flight.future = workers.executor.submit(evaluated, self._evaluate, flight.number, flight.point, flight.judge)
