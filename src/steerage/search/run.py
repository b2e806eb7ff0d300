"""The loop of the global search: ask the study, evaluate, tell it; whatever is lost when it stops is one trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from steerage.errors import BadArgument, BadSpace, TrainingFailed
from steerage.events import RoundFinished, TrialFailed, TrialFinished, TrialStarted
from steerage.search.evolution import Violation
from steerage.search.propose import START, CostFeatures, anywhere, assess, best_known, costless
from steerage.search.sampler import BATCH, SteerageSampler
from steerage.search.trials import ORIGIN, RESUMES, observed, origin, relevant_trials, values_of
from steerage.space import Space, Value, Values

MAX_FIRST_FAILURES = 5
NUMBER, REASON, METRICS, SECONDS = "number", "reason", "metrics", "seconds"  # user attributes of a trial

SearchEvent = TrialStarted | TrialFinished | TrialFailed | RoundFinished


@final
@dataclass(frozen=True)
class TrialOutcome:
    """Validation error of a trained candidate (lower is better), and whatever else is worth keeping."""

    error: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class RankedTrial:
    """A finished trial; ``number`` is the one that ``evaluate`` was called with."""

    number: int
    values: dict[str, Value]
    error: float
    metrics: dict[str, float]
    seconds: float


Evaluate = Callable[[int, Values], TrialOutcome]


def open_study(storage: str | None = None, *, name: str = "steerage") -> Study:
    """Study that minimizes, new or continued, in ``storage`` (an Optuna URL, ``sqlite:///study.db``) or in memory.

    Optuna's progress messages are silenced, since the search has events of its own.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept: optuna.storages.BaseStorage | str | None = storage
    if storage is not None and storage.startswith("sqlite"):
        kept = optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": {"timeout": 60}})
        _hasten(kept)
    return optuna.create_study(storage=kept, study_name=name, direction="minimize", load_if_exists=True)


def _hasten(storage: optuna.storages.RDBStorage) -> None:
    """Spare SQLite the wait for the disk at each of the twenty commits of a trial.

    With a write-ahead log a killed process loses nothing, and a power cut at most the last trial.
    """
    from sqlalchemy import event

    def on_connect(connection: Any, record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(storage.engine, "connect", on_connect)
    storage.engine.dispose()  # connections made so far know nothing of it


def search(
    space: Space,
    evaluate: Evaluate,
    *,
    study: Study,
    n_trials: int | None = None,
    should_stop: Callable[[], bool] | None = None,
    seed: int = 0,
    violation: Violation = anywhere,
    cost_features: CostFeatures = costless,
    start: int = START,
    batch: int = BATCH,
) -> Iterator[SearchEvent]:
    """Evaluate candidates until the study has ``n_trials`` (failed ones count), ``should_stop()``, or none is left.

    ``evaluate(number, values)`` raises TrainingFailed for a candidate that cannot be trained; any other exception ends
    the search and leaves its trial open. Trials that an earlier process left open are run again first, under the same
    number and values, so a study has one searching process at a time. Numbers count trials from 0 as if nothing had
    been interrupted; Optuna's own, which count interruptions too, may be larger. ``study`` minimizes; its sampler is
    replaced.

    Raises: BadArgument for a study that does not minimize one objective, or without any limit; TrainingFailed if the
    first five trials all fail; InfeasibleBudget if no feasible candidate is found.
    """
    if len(study.directions) != 1 or study.direction != StudyDirection.MINIMIZE:
        raise BadArgument(f"the study must minimize one objective, got {[one.name for one in study.directions]}")
    if n_trials is None and should_stop is None:
        raise BadArgument("a search needs n_trials or should_stop, got neither")
    sampler = SteerageSampler(
        seed=seed, space=space, violation=violation, cost_features=cost_features, start=start, batch=batch
    )
    study.sampler = sampler
    _requeue(study, space)
    while True:
        done = [one for one in relevant_trials(study, space) if one.state.is_finished()]
        _refuse_hopeless(done)
        if (n_trials is not None and len(done) >= n_trials) or (should_stop is not None and should_stop()):
            return
        if not _queued(study) and sampler.upcoming(study, space) is None:
            return
        trial = study.ask(fixed_distributions=dict(space.distributions))
        number = [one.number for one in relevant_trials(study, space)].index(trial.number)
        values = {name: trial.params[name] for name in space.names}
        yield TrialStarted(number, values)
        yield _run(trial, number, space, values, evaluate, study, done)
        done = [one for one in relevant_trials(study, space) if one.state.is_finished()]
        if len(done) >= start and (len(done) - start) % batch == 0:
            known = observed(done, space)
            quality = assess(space, known, seed=seed, cost_features=cost_features)
            best = min((one.error for one in known if one.state == "ok"), default=math.inf)
            index = (len(done) - start) // batch
            yield RoundFinished(index, len(done), quality.tau, quality.spearman, quality.rmse, best)


def ranking(study: Study) -> list[RankedTrial]:
    """Finished trials of ``study``, smallest error first; failed and interrupted ones are left out."""
    ranked = [
        RankedTrial(
            int(one.user_attrs.get(NUMBER, one.number)),
            dict(one.params),
            float(one.value),
            dict(one.user_attrs.get(METRICS, {})),
            float(one.user_attrs.get(SECONDS, 0.0)),
        )
        for one in study.get_trials(deepcopy=False)
        if one.state == TrialState.COMPLETE and one.value is not None
    ]
    return sorted(ranked, key=lambda one: (one.error, one.number))


def promising(
    study: Study, space: Space, *, n: int, seed: int, cost_features: CostFeatures = costless
) -> list[dict[str, Value]]:
    """The ``n`` candidates to train longer, best first; see ``best_known``."""
    known = observed([one for one in relevant_trials(study, space) if one.state == TrialState.COMPLETE], space)
    order = best_known(space, known, seed=seed, cost_features=cost_features)
    return [dict(known[at].values) for at in order[:n]]


def _requeue(study: Study, space: Space) -> None:
    """Queue every trial that a killed process left open, then close the old one (in this order, so none is lost)."""
    queued = {one.user_attrs.get(RESUMES) for one in _queued(study)}
    for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # One that was killed while it was being asked for has no values yet: a new one takes its place.
        if one.number not in queued and all(name in one.params for name in space.names):
            study.enqueue_trial(values_of(one, space), user_attrs={RESUMES: one.number, ORIGIN: origin(one)})
        study.tell(one.number, state=TrialState.FAIL)


def _queued(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _run(
    trial: Trial,
    number: int,
    space: Space,
    values: Values,
    evaluate: Evaluate,
    study: Study,
    done: Sequence[FrozenTrial],
) -> TrialFinished | TrialFailed:
    """Evaluate one candidate and tell the study what came of it; one that was queued need not be in the space."""
    trial.set_user_attr(NUMBER, number)
    began = time.monotonic()
    try:
        outcome = evaluate(number, _checked(space, values))
        if not math.isfinite(outcome.error):
            raise TrainingFailed(
                f"validation error must be finite, got {outcome.error}; see the recipe's learning rate"
            )
    except TrainingFailed as failure:
        trial.set_user_attr(REASON, str(failure))
        study.tell(trial, state=TrialState.FAIL)
        return TrialFailed(number, str(failure))
    seconds = time.monotonic() - began
    trial.set_user_attr(METRICS, dict(outcome.metrics))
    trial.set_user_attr(SECONDS, seconds)
    study.tell(trial, outcome.error)
    best = min([outcome.error, *(one.value for one in done if one.value is not None)])
    return TrialFinished(number, values, outcome.error, best, seconds, dict(outcome.metrics))


def _checked(space: Space, values: Values) -> dict[str, Value]:
    """``values``, a point of ``space``. Raises: TrainingFailed if they are none."""
    try:
        return space.validate(values)
    except BadSpace as refusal:
        raise TrainingFailed(str(refusal)) from refusal


def _refuse_hopeless(done: Sequence[FrozenTrial]) -> None:
    """Raises: TrainingFailed if there are five trials or more and every one has failed."""
    if len(done) >= MAX_FIRST_FAILURES and all(one.state == TrialState.FAIL for one in done):
        reason = done[-1].user_attrs.get(REASON, "unknown reason")
        raise TrainingFailed(f"the first {len(done)} trials all failed, the last with: {reason}")
