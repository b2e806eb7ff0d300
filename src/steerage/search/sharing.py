"""What drivers of one study in a database owe each other: one at a time decides, each is heard of, all wait for it."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, final

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial

from steerage.errors import SteerageError
from steerage.events import StorageAway, StorageBack

DRIVER = "driver"  # user attribute of a trial: who trains it
PATIENCE_SECONDS = 15 * 60.0  # for which a database is waited for
PROBE_SECONDS = 1.0  # between two looks whether it is back
ATTEMPTS = 10  # at what fails although the database answers, as after a deadlock

T = TypeVar("T")


@final
class Sharing:
    """One of the drivers of the study ``study_name``, by the name ``driver``, which nobody else has.

    ``connect`` makes the storage, given what Optuna wants to know of heartbeats. ``grace``: seconds without one after
    which a driver counts as dead; they are a quarter of that apart. ``say`` is given StorageAway and StorageBack.
    """

    def __init__(
        self,
        connect: Callable[..., RDBStorage],
        study_name: str,
        driver: str,
        *,
        grace: int,
        say: Callable[[object], None],
    ) -> None:
        self.driver, self._name, self._grace, self._say = driver, study_name, grace, say
        self._stale: list[FrozenTrial] = []
        with _experimental():
            self.backend = connect(
                heartbeat_interval=max(1, grace // 4),
                grace_period=grace,
                heartbeat_stale_trial_callback=lambda _, trial: self._stale.append(trial),
            )
        self.reader: BaseStorage = optuna.storages.get_storage(self.backend)
        self._study: Study | None = None  # as it is without the mirror
        self._held: set[int] = set()  # ids of trials that are under way here
        self._heard = time.monotonic() - grace  # since when heartbeats could reach the database

    def lock(self, session: Any, study_id: int) -> None:
        """Keep all other drivers of the study waiting until the transaction of ``session`` is over."""
        from sqlalchemy import text

        # Every database locks a row, or all of it, that is written to; not all of them do for SELECT ... FOR UPDATE.
        session.execute(text("UPDATE studies SET study_name = study_name WHERE study_id = :id"), {"id": study_id})

    def lost(self) -> list[FrozenTrial]:
        """Trials of drivers that were not heard of for too long, which have failed by that just now.

        None just after the database was away, when nobody could be heard of.
        """
        if time.monotonic() - self._heard < self._grace:
            return []
        if self._study is None:
            self._study = optuna.load_study(study_name=self._name, storage=self.backend)
        self._stale.clear()
        with _experimental():
            fail_stale_trials(self._study)
        return [*self._stale]

    def hold(self, trial_id: int) -> None:
        """Let others hear that this driver has the trial under way, from now on."""
        self.backend.record_heartbeat(trial_id)
        self._held.add(trial_id)

    def release(self, trial_id: int) -> None:
        """The trial is over."""
        self._held.discard(trial_id)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Heartbeats go on inside, in a thread of their own."""
        from sqlalchemy.exc import SQLAlchemyError

        over = threading.Event()
        beat = max(1, self._grace // 4)

        def go_on() -> None:
            while not over.wait(beat):
                for trial_id in [*self._held]:
                    try:
                        self.backend.record_heartbeat(trial_id)
                    except (StorageInternalError, SQLAlchemyError):  # whoever needs the database waits for it
                        self._heard = time.monotonic()
            self.backend.remove_session()

        thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def lasting(self, action: Callable[[], T]) -> T:
        """Do ``action``, again when the database is back if it went away. Raises: SteerageError if it stays away."""
        from sqlalchemy.exc import SQLAlchemyError

        for attempt in range(ATTEMPTS):
            try:
                return action()
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _is_away(error) or attempt + 1 == ATTEMPTS:
                    raise
                self._wait(error)
        raise AssertionError

    def _wait(self, error: Exception) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        began, told = time.monotonic(), False
        while True:
            try:
                with self.backend.engine.connect() as connection:
                    connection.execute(text("SELECT 1"))
                break
            except SQLAlchemyError as refusal:
                if not told:
                    self._say(StorageAway(reason_of(refusal)))
                    told = True
                if time.monotonic() - began > PATIENCE_SECONDS:
                    raise SteerageError(
                        f"the study's storage has been away for {PATIENCE_SECONDS / 60:.0f} minutes "
                        f"({reason_of(refusal)}); give the same command again when it is back"
                    ) from error
            time.sleep(PROBE_SECONDS)
        if told:
            self._heard = time.monotonic()
            self._say(StorageBack(time.monotonic() - began))


def reason_of(error: BaseException) -> str:
    """What the database said, in one line."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split())


def _is_away(error: Exception) -> bool:
    """Whether the database could not be reached, or broke off: not a fault of what was asked of it."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    return any(isinstance(one, OperationalError | InterfaceError) for one in (error, error.__cause__))


@contextmanager
def _experimental() -> Iterator[None]:
    """Optuna's heartbeats are experimental, and it says so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
