"""A study in a database with its trials in memory as well: what is known is not read again, what belongs together is
written together."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, final

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from steerage.search.sharing import Sharing

if TYPE_CHECKING:
    from optuna.study._frozen import FrozenStudy

T = TypeVar("T")

# What Optuna would take three statements for each of; the columns are those of its tables.
PARAM = (
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "VALUES (:trial_id, :param_name, :param_value, :distribution_json)"
)
ATTRIBUTE = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial_id, :key, :value_json)"


def at_once(study: Study, action: Callable[[], T]) -> T:
    """Do ``action``, all of whose writes come into the database of ``study`` together, or not at all.

    Of a study that several drivers share nobody else changes anything meanwhile, and where the database goes away
    ``action`` is done again when it is back. Studies of other storages know nothing of this.
    """
    mirror = mirror_of(study)
    return action() if mirror is None else mirror.whole(action)


def mirror_of(study: Study) -> Mirror | None:
    """The mirror that ``study`` lives in, if it does in one."""
    storage = study._storage
    return storage if isinstance(storage, Mirror) else None


@final
class Mirror(BaseStorage):
    """One study of ``backend``. Its only writer reads nothing twice; one of several, ``sharing`` it, what is new.

    Each operation is a transaction, unless it is part of a ``whole``. After a write that fails all is read anew.
    """

    def __init__(self, backend: RDBStorage, sharing: Sharing | None = None) -> None:
        self.sharing = sharing
        self._backend, self._sessions = backend, _Sessions(backend.scoped_session)
        backend.scoped_session = self._sessions  # type: ignore[assignment]  # it is called, and removed
        self._study_id = -1
        self._trials: list[FrozenTrial] = []  # by number; never changed, only replaced
        self._numbers: dict[int, int] = {}  # by id of a trial
        self._attributes: dict[str, Any] = {}  # of the study
        self._distributions: dict[str, BaseDistribution] = {}  # by name of a parameter
        self._rows: dict[str, list[dict[str, Any]]] = {}  # by statement, to be written with the end of a transaction
        self._known = False

    def whole(self, action: Callable[[], T]) -> T:
        """Do ``action`` with all that it writes in one transaction; inside of another one, as a part of that.

        Where the study is shared the others wait meanwhile, and it is done again if the database goes away.
        """
        if self._sessions.joined:
            return action()
        if self.sharing is None:
            return self._transaction(action)
        return self.sharing.lasting(lambda: self._transaction(action))

    def lost(self) -> list[FrozenTrial]:
        """Trials of drivers that are not heard of any more, which have failed by that just now."""
        if self.sharing is None:
            return []
        lost = self.sharing.lost()
        self._known = self._known and not lost
        return lost

    def _transaction(self, action: Callable[[], T]) -> T:
        from sqlalchemy import text

        try:
            with self._sessions.join() as session:
                if self.sharing is not None:
                    self.sharing.lock(session, self._study_id)
                    self._known = False
                outcome = action()
                for statement, rows in self._rows.items():
                    if rows:
                        session.execute(text(statement), rows)
                return outcome
        except BaseException:
            self._known = False
            raise
        finally:
            self._rows = {}

    def _look(self) -> None:
        """Know all that there is to know."""
        if self.sharing is not None and not self._sessions.joined:
            self.sharing.lasting(self._read)
        elif not self._known:
            self._read()

    def _read(self) -> None:
        reader = self._backend if self.sharing is None else self.sharing.reader
        self._trials = reader.get_all_trials(self._study_id, deepcopy=False)
        for one in self._trials[:1] + self._trials[-1:]:
            self._distributions |= one.distributions
        self._numbers = {one._trial_id: one.number for one in self._trials}
        self._attributes = self._backend.get_study_user_attrs(self._study_id)
        self._known = True

    def _at(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._numbers or not self._known:
            self._look()
        return self._trials[self._numbers[trial_id]]

    def _change(self, trial_id: int, write: Callable[[], Any], **changed: Callable[[FrozenTrial], Any]) -> None:
        """``write`` to the database, then replace the trial by one with the fields ``changed``."""

        def both() -> None:
            before = self._at(trial_id)
            self.check_trial_is_updatable(trial_id, before.state)
            write()
            trial = copy.copy(before)
            for name, value in changed.items():
                setattr(trial, name, value(before))
            self._trials[trial.number] = trial

        self.whole(both)

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self._study_id = self._backend.create_new_study(directions, study_name)
        return self._study_id

    def delete_study(self, study_id: int) -> None:
        self._backend.delete_study(study_id)
        self._known = False

    def get_study_id_from_name(self, study_name: str) -> int:
        self._study_id = self._backend.get_study_id_from_name(study_name)
        return self._study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._backend.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._backend.get_study_directions(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._backend.get_all_studies()

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        self._look()
        return self._attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._backend.get_study_system_attrs(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        def write() -> None:
            self._look()
            self._backend.set_study_user_attr(study_id, key, value)
            self._attributes = {**self._attributes, key: _as_read(value)}

        self.whole(write)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.whole(lambda: self._backend.set_study_system_attr(study_id, key, value))

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        def write() -> int:
            self._look()
            trial = _begun() if template_trial is None else copy.deepcopy(template_trial)
            trial._trial_id = self._backend.create_new_trial(study_id, template_trial)
            trial.number = len(self._trials)
            trial.user_attrs, trial.system_attrs = _as_read(trial.user_attrs), _as_read(trial.system_attrs)
            self._trials.append(trial)
            self._numbers[trial._trial_id] = trial.number
            return trial._trial_id

        return self.whole(write)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        value = distribution.to_external_repr(param_value_internal)

        def write() -> None:
            known = self._distributions.setdefault(param_name, distribution)
            check_distribution_compatibility(known, distribution)
            row = {"param_value": param_value_internal, "distribution_json": distribution_to_json(distribution)}
            self._rows.setdefault(PARAM, []).append({"trial_id": trial_id, "param_name": param_name, **row})

        self._change(
            trial_id,
            write,
            params=lambda trial: {**trial.params, param_name: value},
            distributions=lambda trial: {**trial.distributions, param_name: distribution},
        )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        taken = True
        now = datetime.now()

        def write() -> None:
            nonlocal taken
            taken = self._backend.set_trial_state_values(trial_id, state, values)
            if self.sharing is not None and state.is_finished():
                self.sharing.release(trial_id)

        self._change(
            trial_id,
            write,
            state=lambda trial: state if taken else trial.state,
            values=lambda trial: trial.values if values is None else list(values),
            datetime_start=lambda trial: now if taken and state == TrialState.RUNNING else trial.datetime_start,
            datetime_complete=lambda trial: now if state.is_finished() else trial.datetime_complete,
        )
        return taken

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._change(
            trial_id,
            lambda: self._backend.set_trial_intermediate_value(trial_id, step, intermediate_value),
            intermediate_values=lambda trial: {**trial.intermediate_values, step: intermediate_value},
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        def write() -> None:
            rows = self._rows.setdefault(ATTRIBUTE, [])
            left = [row for row in rows if (row["trial_id"], row["key"]) != (trial_id, key)]
            if len(left) == len(rows) and key in self._at(trial_id).user_attrs:
                self._backend.set_trial_user_attr(trial_id, key, value)
            else:
                self._rows[ATTRIBUTE] = [*left, {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}]

        self._change(
            trial_id,
            write,
            user_attrs=lambda trial: {**trial.user_attrs, key: _as_read(value)},
        )

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._change(
            trial_id,
            lambda: self._backend.set_trial_system_attr(trial_id, key, value),
            system_attrs=lambda trial: {**trial.system_attrs, key: _as_read(value)},
        )

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self._at(trial_id)
        if not trial.state.is_finished():  # Optuna's trials write into what they are given
            trial = copy.copy(trial)
            for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
                setattr(trial, name, {**getattr(trial, name)})
        return trial

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._look()
        trials = [*self._trials] if states is None else [one for one in self._trials if one.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


def _begun() -> FrozenTrial:
    return FrozenTrial(
        number=0,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=0,
    )


def _as_read(value: Any) -> Any:
    """``value`` as it comes from the database."""
    return json.loads(json.dumps(value))


class _Sessions:
    """The sessions of a storage, of which each operation takes one, uses it and commits.

    Operations of a thread that has joined share one, and are committed together.
    """

    def __init__(self, sessions: Any) -> None:
        self._sessions, self._local = sessions, threading.local()

    def __call__(self) -> Any:
        return self._local.one if self.joined else self._sessions()

    @property
    def joined(self) -> bool:
        """Whether this thread is in a transaction."""
        return getattr(self._local, "one", None) is not None

    @contextmanager
    def join(self) -> Iterator[Any]:
        """One transaction of this thread, and its session. Raises: StorageInternalError."""
        from sqlalchemy.exc import SQLAlchemyError

        session = self._sessions()
        self._local.one = one = _Joined(session)
        try:
            yield one
            if one.undone:
                raise StorageInternalError("an operation of the transaction was undone by the database")
            session.commit()
        except SQLAlchemyError as error:
            session.rollback()
            raise StorageInternalError(str(error)) from error
        except BaseException:
            session.rollback()
            raise
        finally:
            self._local.one = None
            session.close()

    def remove(self) -> None:
        """Let go of this thread's session."""
        self._sessions.remove()


class _Joined:
    """A session of which nothing is committed or closed by those who use it."""

    def __init__(self, session: Any) -> None:
        self._session, self.undone = session, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def commit(self) -> None:
        self._session.flush()

    def rollback(self) -> None:
        self.undone = True
        self._session.rollback()

    def close(self) -> None:
        """Later."""
