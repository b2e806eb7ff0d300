"""The loop of the global search: ask the study, evaluate, tell it; whatever is lost when it stops is one trial."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from steerage.errors import BadArgument, BadBundle, BadSpace, TrainingFailed
from steerage.events import RoundFinished, TrialFailed, TrialFinished, TrialLost, TrialStarted, TrialStopped
from steerage.search import curves, retrain
from steerage.search.curves import CONTINUES, CURVE, Judge
from steerage.search.evaluation import Ended, Evaluate, InRungs
from steerage.search.evolution import Violation
from steerage.search.gain import expected_gain
from steerage.search.mirror import Mirror, at_once, mirror_of
from steerage.search.propose import START, CostFeatures, anywhere, assess, costless
from steerage.search.propose_front import Cost, expected_growth
from steerage.search.ranking import (
    METRICS,
    NUMBER,
    REASON,
    SECONDS,
    candidates,
    finished_event,
    leader,
    number_of,
    predictions,
    ranking,
    stopped_event,
)
from steerage.search.sampler import BATCH, SteerageSampler
from steerage.search.sharing import DRIVER
from steerage.search.trials import ORIGIN, REPEATS, RESUMES, observed, origin, relevant_trials, values_of
from steerage.search.under_way import ENDED, LOST, Flight, UnderWay, Workers
from steerage.space import Space, Value

MAX_FIRST_FAILURES = 5
ROUND = 4  # new candidates between two looks at how the search stands
ROUNDS = "rounds"  # user attribute of a study
SILENT = "its driver is not heard of any more"
QUEUED_WITH = "fixed_params"  # system attribute in which Optuna keeps the values that a trial was queued with

SearchEvent = TrialStarted | TrialFinished | TrialStopped | TrialFailed | TrialLost | RoundFinished


def open_study(storage: str | None = None, *, name: str = "steerage") -> Study:
    """Study that minimizes, new or continued, in ``storage`` (an Optuna URL, ``sqlite:///study.db``) or in memory.

    Optuna's progress messages are silenced, since the search has events of its own.
    """
    kept: optuna.storages.BaseStorage | str | None = storage
    if storage is not None and storage.startswith("sqlite"):
        kept = in_file(storage)
    return study_in(kept, name)


@contextmanager
def study_file(path: Path) -> Iterator[Study]:
    """The study in the SQLite file ``path``, new or continued; closed in the end, whoever still holds the study.

    A process that goes through hundreds of runs would come to the end of its file handles otherwise. One process at a
    time. A new file comes with all of its tables at once: Optuna makes them one by one, and does not complete what a
    killed process has left of them, so that a study could then be there twice. Raises: BadBundle for a damaged file.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.new")
        for leftover in path.parent.glob(f"{draft.name}*"):
            leftover.unlink()
        in_file(f"sqlite:///{draft.resolve()}").engine.dispose()  # which puts the write-ahead log into the file
        draft.replace(path)
    else:
        _check_whole(path)
    storage = in_file(f"sqlite:///{path.resolve()}")
    try:
        yield study_in(Mirror(storage), "steerage")
    finally:
        storage.engine.dispose()


def _check_whole(path: Path) -> None:
    """Raises: BadBundle for a file that is damaged as far as SQLite can tell, which has no checksums of its rows."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError:  # a full disk, which is no damage
            raise
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        why = " ".join(str(found).split())
        raise BadBundle(f"{path} is damaged ({why}); restore it from a copy, or begin again in another folder")


def study_in(storage: optuna.storages.BaseStorage | str | None, name: str) -> Study:
    """Study ``name`` that minimizes, new or continued, without Optuna's progress messages."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)


def in_file(url: str, **heartbeats: Any) -> optuna.storages.RDBStorage:
    """Storage in an SQLite file, which waits for other processes; ``heartbeats``: Optuna's options of them."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}, **heartbeats)
    _hasten(storage)
    return storage


def _hasten(storage: optuna.storages.RDBStorage) -> None:
    """Spare SQLite the wait for the disk at each commit of a trial.

    With a write-ahead log a killed process loses nothing, and a power cut at most the last trial.
    """
    from sqlalchemy import event

    def on_connect(connection: Any, record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(storage.engine, "connect", on_connect)
    storage.engine.dispose()  # connections made so far know nothing of it


def small_gain(best: float) -> float:
    """Below which expected decrease of the best error the search is not worth going on: 1 % of it."""
    return 0.01 * abs(best)


def small_growth(best: float) -> float:
    """Below which expected growth of the hypervolume, as a share of it, a front is not worth going on with: 1 %."""
    return 0.01


def search(
    space: Space,
    evaluate: Evaluate | InRungs,
    *,
    study: Study,
    n_trials: int | None = None,
    should_stop: Callable[[], bool] | None = None,
    used: Callable[[], float] | None = None,
    seed: int = 0,
    violation: Violation = anywhere,
    cost_features: CostFeatures = costless,
    start: int = START,
    batch: int = BATCH,
    again: float = retrain.SHARE,
    patience: int | None = None,
    negligible: Callable[[float], float] | None = None,
    cost: Cost | None = None,
    workers: Workers | None = None,
) -> Iterator[SearchEvent]:
    """Evaluate candidates until the study has ``n_trials`` (failed ones count), ``should_stop()``, or none is left.

    ``evaluate(number, values)`` raises TrainingFailed for a candidate that cannot be trained; any other exception ends
    the search and leaves its trial open. Trials that an earlier process left open are run again first, under the same
    number and values, so a study has one searching process at a time, unless it is a shared one (``shared_study``).
    Numbers count trials from 0 as if nothing had been interrupted; Optuna's own, which count interruptions too, may be
    larger. ``study`` minimizes; its sampler is replaced.

    Drivers of a shared study decide one after the other, each knowing all that the others have begun, and ``n_trials``
    are those of all of them. A trial whose driver is not heard of any more is run again, once, by another. The search
    ends for a driver when nobody trains any more. Trainings in shared studies do not rest.

    Where there are to be 60 trials or more, the share ``again`` of them, the last, trains the best few candidates again
    (see ``retrain``): trials of their own, with numbers of their own. ``used`` answers which share, in [0, 1], of the
    time for the search has passed, where ``should_stop`` limits it. With ``patience`` the search ends once that many
    rounds in a row expected a gain below ``negligible(best error)``, by default ``small_gain``.

    With ``cost``, a positive figure known before training, the search is for the front of error and log cost. The study
    stays one of a single objective, which a training shows. New trainings then go to the front, and the gain of a round
    is the expected growth of the hypervolume as a share of it, negligible below 1 % (``small_growth``).

    With ``InRungs`` candidates rest at the earliest rung whose ranking can be trusted (see ``fidelity``), except for
    the first ``start`` and the best third there. After each round of four those that deserve it go on: the best third
    by now, and one that is expected to end best of all. Each is one candidate under one number, for ``n_trials`` too.

    ``workers`` say who evaluates, and how many trials are under way at a time; by default this thread does, one after
    the other. A proposal knows of those under way that they are. New trainings of a candidate begin when no first
    training is under way, since they depend on all of them.

    Raises: BadArgument for a study that does not minimize one objective, or without any limit; TrainingFailed if the
    first five trials all fail; InfeasibleBudget if no feasible candidate is found.
    """
    if len(study.directions) != 1 or study.direction != StudyDirection.MINIMIZE:
        raise BadArgument(f"the study must minimize one objective, got {[one.name for one in study.directions]}")
    if n_trials is None and should_stop is None:
        raise BadArgument("a search needs n_trials or should_stop, got neither")
    if patience is not None and patience < 1:
        raise BadArgument(f"patience must be positive, got {patience}")
    sampler = SteerageSampler(
        seed=seed, space=space, violation=violation, cost_features=cost_features, cost=cost, start=start, batch=batch
    )
    study.sampler = sampler
    small = negligible or (small_gain if cost is None else small_growth)
    under_way = UnderWay(evaluate, workers or Workers())

    def stops() -> bool:
        return should_stop is not None and should_stop()

    def another() -> RoundFinished | bool:
        """Whether another trial is to begin now, which is queued then or proposed; or a round that is over instead."""
        begun = relevant_trials(study, space, repeats=True)
        _refuse_hopeless([one for one in begun if one.state.is_finished()])
        queued = _queued(study)
        enough = n_trials is not None and len(begun) >= n_trials
        if any(RESUMES in one.user_attrs for one in queued) and not enough and not stops():
            return True  # what was under way before a stop, before anything is decided anew
        going_on = _rested(study, under_way)
        fresh = _tried(begun, going_on)
        index = (len(fresh) - start) // ROUND
        if index >= 0 and _last_round(study) < start + ROUND * index:
            busy = bool(queued) or stops()
            resting = None if busy else _to_go_on(fresh, going_on, space, seed, cost_features)
            if resting is not None:
                _queue_on(study, space, resting)
                return True
            finished = _round(sampler, study, space, fresh, index, seed, cost_features, cost)
            _note(study, finished)
            return finished
        if patience is not None and _stalled(study, patience, small):
            return False
        if enough or stops():
            return False
        if not queued:
            training = [one.user_attrs for one in begun if not one.state.is_finished()]
            new = sum(REPEATS not in one and CONTINUES not in one for one in training)
            total = _expected(len(begun), n_trials, used)
            if retrain.due(len(fresh) + new, trials=total, used=used() if used is not None else 0.0, share=again):
                if new:
                    return False
                repeated = [int(one[REPEATS]) for one in training if REPEATS in one]
                _queue_again(study, space, retrain.reserved(total, share=again), seed, cost_features, cost, repeated)
                queued = _queued(study)
                if repeated and not queued:
                    return False
        return bool(queued) or sampler.upcoming(study, space) is not None

    def step() -> tuple[list[SearchEvent], Flight | None]:
        """What there is to say, and the trial that begins, if one does."""
        said: list[SearchEvent] = _taken_over(study, space)
        outcome = another()
        if isinstance(outcome, RoundFinished):
            return [*said, outcome], None
        return said, _begun(study, space, start) if outcome else None

    def others() -> bool:
        """Whether other drivers of the study train, whose trials may become this one's."""
        return mirror is not None and mirror.sharing is not None and bool(_running(study)) and not stops()

    mirror = mirror_of(study)
    at_once(study, lambda: _requeue(study, space))
    while True:
        said, flight = at_once(study, step) if under_way.room else ([], None)
        yield from said
        if flight is not None:
            yield TrialStarted(flight.number, flight.point, flight.repeats)
            under_way.begin(flight)
        elif said:
            continue
        elif under_way.flights:
            for ended, lost in under_way.next():
                yield _recorded(study, ended) if lost is None else TrialLost(ended.number, lost)
        elif others():
            under_way.rest()
        else:
            return


def _taken_over(study: Study, space: Space) -> list[SearchEvent]:
    """Queue once more what other drivers of the study were training that are not heard of any more; say so."""
    mirror, said = mirror_of(study), list[SearchEvent]()
    for trial in mirror.lost() if mirror is not None else ():
        values = _known_values(trial, space)
        if values is not None and LOST not in trial.user_attrs:
            _queue_in_place(study, trial, values, {LOST: SILENT})
            said.append(TrialLost(number_of(trial), SILENT))
        elif NUMBER in trial.user_attrs:
            said.append(TrialFailed(number_of(trial), f"{SILENT}; and before: {trial.user_attrs[LOST]}"))
    return said


def _recorded(study: Study, flight: Flight) -> TrialFinished | TrialStopped | TrialFailed | TrialLost:
    """Tell the study what came of a trial, if it is still this driver's."""
    try:
        return at_once(study, lambda: _told(study, flight))
    except UpdateFinishedTrialError:
        return TrialLost(flight.number, "another driver has taken it over, for which this one was silent too long")


def _begun(study: Study, space: Space, start: int) -> Flight:
    """Begin the next trial."""
    trial = study.ask(fixed_distributions=dict(space.distributions))
    before = relevant_trials(study, space, repeats=True)
    mirror = mirror_of(study)
    if mirror is not None and mirror.sharing is not None:
        number = _next_number(study, trial.user_attrs.get(RESUMES))
        trial.set_user_attr(DRIVER, mirror.sharing.driver)
        mirror.sharing.hold(trial._trial_id)
    else:
        number = [one.number for one in before].index(trial.number)
    trial.set_user_attr(NUMBER, number)
    values, attributes = {name: trial.params[name] for name in space.names}, trial.user_attrs
    rested = attributes.get(CONTINUES)
    if rested is not None:
        judge = Judge(going_on=True, curve={float(rung): error for rung, error in rested[CURVE].items()})
    elif REPEATS in attributes or number < start:
        judge = Judge()
    else:
        judge = curves.judge_after([one for one in before if one.state.is_finished() and REPEATS not in one.user_attrs])
    flight = Flight(trial, number, values, judge)
    try:
        flight.point = space.validate(values)
    except BadSpace as refusal:
        flight.ended = Ended(None, str(refusal))
    return flight


def _next_number(study: Study, resumed: int | None) -> int:
    """Number of a trial of a shared study, in whose order others begin trials: that of ``resumed``, or a new one."""
    known = {one.number: number_of(one) for one in study.get_trials(deepcopy=False) if NUMBER in one.user_attrs}
    return known[resumed] if resumed in known else max(known.values(), default=-1) + 1


def _told(study: Study, flight: Flight) -> TrialFinished | TrialStopped | TrialFailed:
    """Tell the study what came of a trial."""
    trial, ended = flight.trial, flight.ended
    assert ended is not None
    if ended.outcome is None:
        trial.set_user_attr(REASON, ended.reason)
        study.tell(trial, state=TrialState.FAIL)
        return TrialFailed(flight.number, ended.reason)
    outcome = ended.outcome
    trial.set_user_attr(METRICS, dict(outcome.metrics))
    trial.set_user_attr(SECONDS, ended.seconds + float(trial.user_attrs.get(CONTINUES, {}).get("seconds", 0.0)))
    if ended.curve:
        trial.set_user_attr(CURVE, curves.kept(ended.curve))
    if outcome.stopped_at is not None:
        trial.report(outcome.error, step=round(100 * outcome.stopped_at))
        return stopped_event(study.tell(trial, state=TrialState.PRUNED))
    told = study.tell(trial, outcome.error)
    return finished_event(study.get_trials(deepcopy=False), told)


def _rested(study: Study, under_way: UnderWay) -> dict[int, FrozenTrial]:
    """By number of those that go on now: the trial that rested."""
    numbers = [one.trial.number for one in under_way.flights if one.goes_on]
    trials = {one.number: one for one in study.get_trials(deepcopy=False)} if numbers else {}
    found = {}
    for number in numbers:
        before = trials[number]
        while not curves.is_stopped(before):
            before = trials[before.user_attrs[RESUMES]]
        found[number] = before
    return found


def _tried(begun: Sequence[FrozenTrial], going_on: Mapping[int, FrozenTrial]) -> list[FrozenTrial]:
    """First trainings of those ``begun`` that came to an end or a rest, in order; what goes on now as it rested."""
    known = [going_on.get(one.number, one) for one in begun if REPEATS not in one.user_attrs]
    return [one for one in known if one.state.is_finished()]


def _to_go_on(
    fresh: Sequence[FrozenTrial],
    going_on: Mapping[int, FrozenTrial],
    space: Space,
    seed: int,
    cost_features: CostFeatures,
) -> FrozenTrial | None:
    """The trial that rests at a rung and is to go on now; None if there is none that does not go on already."""
    if not any(curves.is_stopped(one) for one in fresh):
        return None
    numbers = {one.number for one in going_on.values()}
    deserving = [one for one in curves.deserving(fresh) if one.number not in numbers]
    best = deserving[0] if deserving else leader(fresh, space, seed=seed, cost_features=cost_features)
    return None if best is None or best.number in numbers else best


def _queue_on(study: Study, space: Space, trial: FrozenTrial) -> None:
    """Queue the trial that goes on with ``trial``, which rests: a finished one cannot be changed."""
    rested = curves.continuation(trial, float(trial.user_attrs.get(SECONDS, 0.0)))
    attributes = {RESUMES: trial.number, ORIGIN: origin(trial), CONTINUES: rested}
    study.enqueue_trial(values_of(trial, space), user_attrs=attributes)


def _round(
    sampler: SteerageSampler,
    study: Study,
    space: Space,
    fresh: Sequence[FrozenTrial],
    index: int,
    seed: int,
    cost_features: CostFeatures,
    cost: Cost | None,
) -> RoundFinished:
    """How the search stands after a round, ``fresh`` being all trials of new candidates."""
    known = observed(fresh, space)
    quality = assess(space, known, seed=seed, cost_features=cost_features)
    following = sampler.proposals(study, space)
    if cost is None:
        gain = expected_gain(space, known, following, seed=seed, cost_features=cost_features)
    else:
        gain = expected_growth(space, known, following, cost, seed=seed, cost_features=cost_features)
    best = next(iter(ranking(study)), None)
    return RoundFinished(
        index,
        len(fresh),
        quality.tau,
        quality.spearman,
        quality.rmse,
        math.inf if best is None else best.error,
        quality.coverage,
        gain,
        None if best is None else best.number,
        quality.held_out,
    )


def _rounds(study: Study) -> dict[str, tuple[float | None, float | None]]:
    """By the number of candidates after each round: its expected gain, and the best error."""
    return dict(study.user_attrs.get(ROUNDS, {}))


def _last_round(study: Study) -> int:
    """How many candidates were tried by the last round; -1 before the first."""
    return max((int(key) for key in _rounds(study)), default=-1)


def _note(study: Study, finished: RoundFinished) -> None:
    """Keep a round with the study, so that a search that was stopped neither repeats nor forgets it."""
    best = finished.best_error if math.isfinite(finished.best_error) else None
    study.set_user_attr(ROUNDS, {**_rounds(study), str(finished.trials): (finished.gain, best)})


def _stalled(study: Study, patience: int, negligible: Callable[[float], float]) -> bool:
    """Whether the last ``patience`` rounds all promised next to nothing."""
    last = [_rounds(study)[key] for key in sorted(_rounds(study), key=int)][-patience:]
    small = [gain is not None and best is not None and gain < negligible(best) for gain, best in last]
    return len(small) == patience and all(small)


def _requeue(study: Study, space: Space) -> None:
    """Queue every trial that a killed process left open, then close the old one.

    Of a shared study those that this driver left. Optuna queues at the end only, but trials have their numbers in the
    order in which they run. So those that should come later are begun, left open and queued again themselves, until all
    have their places; numbers of a shared study are Optuna's.
    """
    mirror = mirror_of(study)
    sharing = None if mirror is None else mirror.sharing
    while True:
        queued = {one.user_attrs.get(RESUMES) for one in _queued(study)}
        for one in _running(study):
            if sharing is not None and one.user_attrs.get(DRIVER) != sharing.driver:
                continue
            values = _known_values(one, space)
            if one.number not in queued and values is not None:
                _queue_in_place(study, one, values, {})
            study.tell(one.number, state=TrialState.FAIL)
        places = [origin(one) for one in _queued(study)]
        if sharing is not None or not places or places[0] == min(places):
            return
        study.ask()


def _queue_in_place(
    study: Study, trial: FrozenTrial, values: Mapping[str, Value], attributes: Mapping[str, Any]
) -> None:
    """Queue a trial that takes the place of ``trial``, which was cut off, with ``attributes`` more."""
    kept = {name: value for name, value in trial.user_attrs.items() if name in (REPEATS, CONTINUES, ENDED, LOST)}
    resumes = {RESUMES: trial.number, ORIGIN: origin(trial)}
    study.enqueue_trial(dict(values), user_attrs={**kept, **attributes, **resumes})


def _known_values(trial: FrozenTrial, space: Space) -> dict[str, Value] | None:
    """Values of ``trial``; of one that was killed while it was being asked for, those that it was queued with.

    None where it was not queued either: it has no values yet, and a new one takes its place.
    """
    given = dict(trial.system_attrs.get(QUEUED_WITH, {}))
    known = {**given, **trial.params}
    whole = all(name in known for name in space.names)
    return {name: known[name] for name in space.names} if whole else given or None


def _expected(done: int, n_trials: int | None, used: Callable[[], float] | None) -> int:
    """How many trials the search will have had at its end: what was asked, or what the time is likely to allow."""
    if n_trials is not None or used is None:
        return n_trials or 0
    return round(done / max(used(), 1e-6)) if done else 0


def _queue_again(
    study: Study,
    space: Space,
    trainings: int,
    seed: int,
    cost_features: CostFeatures,
    cost: Cost | None,
    repeated: Collection[int],
) -> None:
    """Queue the next new training of a candidate that was tried, if the plan for ``trainings`` of them has one left.

    ``repeated``: numbers of those that are in such a training now.
    """
    known = candidates(relevant_trials(study, space, repeats=True))
    predicted = predictions(space, known, seed=seed, cost_features=cost_features)
    costs = None if cost is None else np.log([cost(values_of(one.trials[0], space)) for one in known])
    index = retrain.next_to_retrain(
        [one.errors for one in known],
        predicted,
        trainings=trainings,
        costs=costs,
        under_way=[at for at, one in enumerate(known) if one.number in repeated],
    )
    if index is not None:
        study.enqueue_trial(values_of(known[index].trials[0], space), user_attrs={REPEATS: known[index].number})


def _queued(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _running(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _refuse_hopeless(done: Sequence[FrozenTrial]) -> None:
    """Raises: TrainingFailed if there are five trials or more and every one has failed."""
    if len(done) >= MAX_FIRST_FAILURES and all(one.state == TrialState.FAIL for one in done):
        reason = done[-1].user_attrs.get(REASON, "unknown reason")
        raise TrainingFailed(f"the first {len(done)} trials all failed, the last with: {reason}")
