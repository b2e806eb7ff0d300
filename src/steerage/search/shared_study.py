"""A study in a database that several drivers share: where it is, whether it is the right one, and its way home."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study

from steerage.errors import BadArgument, MissingDependency, RunConflict, SteerageError
from steerage.search.mirror import Mirror, at_once
from steerage.search.run import in_file, study_file, study_in
from steerage.search.sharing import Sharing, reason_of
from steerage.store import plain
from steerage.urls import without_password

ABOUT = "about"  # user attribute of a study: what its drivers must agree on
GRACE_SECONDS = 120  # without a sign of life, after which a driver counts as dead
TRIES, PAUSE_SECONDS = 5, 0.5  # at making the tables, which others may be making just now


@final
@dataclass(frozen=True)
class StudyAddress:
    """The study ``name`` at ``url``, and what it must be ``about``: figures and words, the same for all its drivers.

    Raises: BadArgument for a URL or a name that cannot be one.
    """

    url: str = field(repr=False)  # it may have a password
    name: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise BadArgument(f"storage must be a URL such as postgresql://user@host/database, got {self.shown!r}")
        if not self.name:
            raise BadArgument("the name of a study must not be empty")

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return without_password(self.url)


@contextmanager
def shared_study(
    address: StudyAddress,
    driver: str,
    *,
    say: Callable[[object], None] = lambda event: None,
    grace: int = GRACE_SECONDS,
) -> Iterator[Study]:
    """The study at ``address``, new or continued, for one of its drivers, whose name nobody else has.

    After ``grace`` seconds without a sign of life a driver counts as dead. ``say`` is given StorageAway and
    StorageBack. Raises: RunConflict for a study that is about something else, the differences named;
    MissingDependency, SteerageError where the database cannot be used.
    """
    sharing = Sharing(lambda **heartbeats: _connected(address, heartbeats), address.name, driver, grace=grace, say=say)
    try:
        with sharing.alive():
            study = study_in(Mirror(sharing.backend, sharing), address.name)
            at_once(study, lambda: _check(study, address))
            yield study
    finally:
        sharing.backend.engine.dispose()


def keep_copy(study: Study, path: Path) -> None:
    """Write the trials of ``study`` to the SQLite file ``path``, for whoever reads them without the database."""
    draft = path.with_name(f"{path.name}.copy")
    draft.unlink(missing_ok=True)
    with study_file(draft) as copy:

        def write() -> None:
            copy.add_trials(study.get_trials(deepcopy=False))
            for name, value in study.user_attrs.items():
                copy.set_user_attr(name, value)

        at_once(copy, write)
    draft.replace(path)


def _check(study: Study, address: StudyAddress) -> None:
    """Raises: RunConflict unless ``study`` is about what ``address`` says, or about nothing yet."""
    about, known = json.loads(json.dumps(plain(address.about))), study.user_attrs.get(ABOUT)
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(ABOUT, about)
    elif known != about:
        known = known or {}
        names = sorted(name for name in {*known, *about} if known.get(name) != about.get(name))
        differences = ", ".join(f"{name} was {known.get(name)} and is {about.get(name)}" for name in names)
        raise RunConflict(f"study {address.name} belongs to another search ({differences}); choose another --study")


def _connected(address: StudyAddress, heartbeats: Mapping[str, Any]) -> RDBStorage:
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

    for attempt in range(TRIES):
        try:
            return _storage(address.url, heartbeats)
        except ImportError as error:
            extra = "pip install 'steerage-nn[postgresql]'" if _is_postgresql(address.url) else "install its driver"
            raise MissingDependency(f"storage {address.shown} needs a package that is missing; {extra}") from error
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            raise BadArgument(
                f"storage must be a URL such as postgresql://user@host/database, got {address.shown!r}"
            ) from error
        except (DBAPIError, StorageInternalError, RuntimeError) as error:
            if attempt + 1 == TRIES or isinstance(error, RuntimeError):
                raise SteerageError(
                    f"storage {address.shown} cannot be used: {reason_of(error)}; check the address and the server"
                ) from error
        time.sleep(PAUSE_SECONDS)
    raise AssertionError


def _storage(url: str, heartbeats: Mapping[str, Any]) -> RDBStorage:
    if url.startswith("sqlite"):
        return in_file(url, **heartbeats)
    options: dict[str, Any] = {"pool_pre_ping": True}  # after an outage the connections at hand are dead
    if _is_postgresql(url):
        scheme, _, rest = url.partition("://")
        url = url if "+" in scheme else f"postgresql+psycopg://{rest}"
        options["connect_args"] = {"connect_timeout": 10}
    return RDBStorage(url, engine_kwargs=options, **heartbeats)


def _is_postgresql(url: str) -> bool:
    return url.startswith(("postgresql:", "postgresql+", "postgres:"))
