"""The phases of the global search up to its best candidates: baseline and trials; when they begin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from optuna.study import Study
from optuna.trial import TrialState

from steerage import events
from steerage.cost.count import dense_cost
from steerage.errors import TrainingFailed
from steerage.search.curves import is_stopped
from steerage.search.evaluation import InRungs
from steerage.search.mirror import at_once
from steerage.search.ranking import METRICS, REASON, finished_event, number_of, promising, ranking, stopped_event
from steerage.search.run import search, small_gain, small_growth, study_file
from steerage.search.shared_study import keep_copy, shared_study
from steerage.search.sharing import DRIVER
from steerage.search.trials import started_trials
from steerage.space import Values
from steerage.synthesis import pareto
from steerage.synthesis.feasible import starting_points, violation_of
from steerage.synthesis.preference import error_noise, with_experience
from steerage.synthesis.rankingfile import write_ranking
from steerage.synthesis.stage import Finalist, Run, left, trained_in
from steerage.synthesis.trial import EARLY, TrialTask

BEST = "best-trial.done"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # one that a kill left open may have metrics too, and is run again
SHOWING = 0.1  # of the standard error of a validation figure: ten gains of less than that are a difference that shows


def begun(run: Run) -> Run:
    """``run`` with its time split from now on, or from when its first process had something to train."""
    return replace(run, plan=run.plan.split_anew(_began(run)))


def searched(run: Run) -> Run:
    """``run`` after its search, with what is left of the time split anew where that took longer than planned."""
    began = _began(run, "promotion")
    return run if began <= run.plan.ends("search") else replace(run, plan=run.plan.split_anew(began, after="search"))


def _began(run: Run, phase: str | None = None) -> float:
    """Second of the run at which ``phase`` began for the first time, or any; now, if none has."""
    seconds = (at for at, name in run.directory.phases() if phase in (None, name))
    return next(seconds, run.bench.clock())


def train_baseline(run: Run) -> Finalist:
    """The template's plain network, dense, whatever the budget: what one would have had without a synthesis."""
    values = run.bench.template.baseline(run.bench.dataset.spec)
    ends = run.plan.ends("baseline")
    return trained_in(run, "baseline", values, phase="baseline", seconds=left(run, ends, 1), scheme=None)


def planned(run: Run, baseline: Finalist) -> Run:
    """``run`` with its plan fitted to the speed at which the baseline was trained."""
    bench = run.bench
    typical = dense_cost(bench.template, starting_points(bench)[0], bench.dataset.spec)
    trained = baseline.trained
    return replace(run, plan=run.plan.measured(trained.rate(trained.cost.macs, typical.macs)))


def search_globally(run: Run) -> list[Values]:
    """Trials in the run's study; the best few by their own error and the predictor's word, best first.

    Where a front is wanted, members of it instead, by rising cost.
    """
    run.begin("search")
    if run.shared is None:
        with study_file(run.directory.study) as study:
            return _searched(run, study)
    with shared_study(run.shared, run.directory.driver(), say=run.emit) as study:
        found = _searched(run, study)
        keep_copy(study, run.directory.study)
        return found


def _searched(run: Run, study: Study) -> list[Values]:
    bench, plan, directory = run.bench, run.plan, run.directory
    spec = bench.dataset.spec
    space, violation = bench.template.space(spec), violation_of(bench)
    ends = plan.ends("search")
    # Kept with the study: trials of other lengths could not be compared, when it goes on with less time or with more.
    seconds = _kept(study, "trial_seconds", plan.trial_seconds(bench.clock())) if plan.effort.timed else None
    start = int(_kept(study, "start", plan.first_trials))
    epochs = None if plan.effort.timed else plan.epochs("search")
    workers = run.team.workers
    task = TrialTask(
        run.team.bench(bench, directory.candidates),
        directory.candidates.resolve(),
        run.seed,
        seconds,
        epochs,
        None if plan.pareto else early_errors(study),  # a small network of a front may be far behind, and is wanted
    )
    task.best = _best_known(run, study, task)
    _log_again(run, study, task)

    def should_stop() -> bool:
        # The last trial may run over by half its time, not more; one there must be.
        over = bench.clock() + 0.5 * (seconds or 0.0) >= ends
        return over and bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    def cost_features(values: Values) -> Sequence[float]:
        cost = dense_cost(bench.template, values, spec)
        return (math.log(cost.params), math.log(max(1, cost.macs)))

    def negligible(best: float) -> float:
        return small_growth(best) if plan.pareto else max(small_gain(best), SHOWING * error_noise(run, best))

    def begin() -> None:
        if not started_trials(study):
            for values in starting_points(bench):
                if violation(values) == 0:
                    study.enqueue_trial(dict(values), skip_if_exists=True)  # an earlier process may have come halfway

    at_once(study, begin)
    for event in search(
        space,
        InRungs(task) if plan.in_rungs else task,
        study=study,
        n_trials=plan.effort.trials,
        should_stop=should_stop if plan.effort.timed else None,
        used=(lambda: bench.clock() / ends) if plan.effort.timed else None,
        seed=run.seed,
        violation=violation,
        cost_features=cost_features,
        start=start,
        patience=plan.patience,
        negligible=negligible,
        cost=pareto.cost_after_pruning(bench, plan.pareto) if plan.pareto else None,
        batch=1 if workers.in_order else max(1, workers.ahead // 4),  # where many ask, several share a fit
        workers=workers,
    ):
        _take_in(event, study, task)
        run.emit(event)
        directory.heartbeat(bench.clock)
    if run.shared is not None:
        _log_again(run, study, task)  # what others have trained
    if not ranking(study):
        reasons = [trial.user_attrs[REASON] for trial in study.get_trials(deepcopy=False) if REASON in trial.user_attrs]
        raise TrainingFailed(f"no trial could be trained; the last failed with: {reasons[-1]}")
    _forget_ended(run, study)
    write_ranking(directory.ranking, ranking(study), space.names)
    if plan.pareto:
        return pareto.named(
            study,
            space,
            directory,
            plan.pareto,
            n=plan.promoted,
            seed=run.seed,
            cost_features=cost_features,
            emit=run.emit,
        )
    best = promising(study, space, n=plan.promoted, seed=run.seed, cost_features=cost_features)
    return with_experience(run, best, [trial.values for trial in ranking(study)])


def _kept(study: Study, name: str, value: float) -> float:
    """``value`` when it is asked for first, later what it was then."""

    def keep() -> None:
        if name not in study.user_attrs:
            study.set_user_attr(name, value)

    at_once(study, keep)
    return float(study.user_attrs[name])


def early_errors(study: Study) -> list[float]:
    """What the trials of ``study`` showed when they were looked at first, by which hopeless ones are given up."""
    measured = [trial.user_attrs.get(METRICS, {}) for trial in study.get_trials(deepcopy=False, states=ENDED)]
    return [metrics[EARLY] for metrics in measured if EARLY in metrics]


def _best_known(run: Run, study: Study, task: TrialTask) -> float:
    """What the search minimizes, of the trial whose network is kept; infinite where there is none."""
    driver = None if run.shared is None else run.directory.driver()
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ended = [one for one in trials if one.user_attrs.get(DRIVER) == driver]
    taken_in = [one.value for one in ended if one.value is not None and not task.network_of(number_of(one)).is_file()]
    return min(taken_in, default=math.inf) if (task.folder / BEST).is_file() else math.inf


def _take_in(event: object, study: Study, task: TrialTask) -> None:
    """Let the trials to come know of one that ended, and keep the network of the best."""
    if isinstance(event, events.TrialFinished):
        network = task.network_of(event.number)
        if event.error < task.best and network.is_file():
            network.replace(task.folder / BEST)  # so that a stop during the search leaves something to use
            task.best = event.error
        network.unlink(missing_ok=True)
        task.rest_of(event.number).unlink(missing_ok=True)
    if isinstance(event, events.TrialFinished | events.TrialStopped) and task.early is not None:
        task.early = early_errors(study)


def _log_again(run: Run, study: Study, task: TrialTask) -> None:
    """Emit what a stop between the study and the log has lost: trials that ended or rest and were never said to."""
    told = {event.get("number") for event in run.directory.logged() if event.get("event") == "TrialStopped"}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)):
        if is_stopped(trial) and number_of(trial) not in told:
            run.emit(stopped_event(trial))
    logged = {event.get("number") for event in run.directory.logged() if event.get("event") == "TrialFinished"}
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in sorted(finished, key=number_of):
        left, new = task.network_of(number_of(trial)).is_file(), number_of(trial) not in logged
        if left or new:
            event = finished_event([one for one in finished if number_of(one) <= number_of(trial)], trial)
            if left:
                _take_in(event, study, task)
            if new:
                run.emit(event)


def _forget_ended(run: Run, study: Study) -> None:
    """Remove trainings at rest that cannot go on: they have come to their end, or the search is never resumed."""
    resting = {f"trial-{number_of(one)}.state" for one in started_trials(study) if is_stopped(one)}
    resting = resting if run.plan.search_only else set()
    for path in run.directory.candidates.glob("trial-*.state"):
        if path.name not in resting:
            path.unlink(missing_ok=True)
