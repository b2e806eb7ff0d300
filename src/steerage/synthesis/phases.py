"""The phases of the global search: baseline, trials, promotion; each leaves its result in the run directory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
from steerage.seeds import child_seed
from steerage.space import Key, Space, Values
from steerage.synthesis import pareto
from steerage.synthesis.candidate import Trained
from steerage.synthesis.feasible import starting_points, violation_of
from steerage.synthesis.plan import Plan
from steerage.synthesis.rankingfile import write_ranking
from steerage.synthesis.stage import Finalist, Run, announce_trained, left, recall, scheme_of, train_apart, trained_in
from steerage.synthesis.team import Call
from steerage.synthesis.trial import EARLY, TrialTask
from steerage.training.evaluate import Scores
from steerage.training.split import validation_split

BEST = "best-trial.done"
LONGER = "promoted-longer"  # and which of them
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # one that a kill left open may have metrics too, and is run again
CONFIRMING = 2  # trainings of the promotion's length on other rows
SHOWING = 0.1  # of the standard error of a validation figure: ten gains of less than that are a difference that shows


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
    rate = trained.epochs / max(trained.seconds, 1e-3) * trained.cost.macs / max(1, typical.macs)
    plan = run.plan.measured(rate)
    return replace(run, plan=plan)


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
        return small_growth(best) if plan.pareto else max(small_gain(best), SHOWING * _error_noise(run, best))

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


def with_experience(run: Run, best: Sequence[Values], ranked: Sequence[Values]) -> list[Values]:
    """``best``, of which the last gives way to the best starting point of the template if there is none among them.

    Short trials favour small networks, which come to their end sooner. In a hurry they say nothing else, and the
    template's best bet is all that is promoted, if it is among the trials at all.
    """
    space, starts = _starting_points(run)
    if run.plan.hurried and (bets := [values for values in ranked if space.key(values) in starts[:1]]):
        return bets[:1]
    if len(best) < 2 or any(space.key(values) in starts for values in best):
        return [*best]
    known = [values for values in ranked if space.key(values) in starts]
    return [*best[:-1], known[0]] if known else [*best]


def _starting_points(run: Run) -> tuple[Space, list[Key]]:
    """The space of the run, and the keys of its ``starting_points``."""
    space = run.bench.template.space(run.bench.dataset.spec)
    return space, [space.key(values) for values in starting_points(run.bench)]


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


def promote(run: Run, candidates: Sequence[Values]) -> Finalist:
    """Train the best few candidates longer, with new seeds, and the best of them longer still for as long as it helps.

    How long is a choice as well: a network for few rows that learns for too long learns them by heart. Raises:
    TrainingFailed if it fails for each candidate.
    """
    run.begin("promotion")
    finalists: list[Finalist] = []
    rest = max(run.plan.longer, default=0.0) if run.team.apart else sum(run.plan.longer)
    rest += CONFIRMING if run.plan.confirms else 0
    first = _longer_trainings(candidates, jobs=run.team.jobs, rest=rest)
    _by_workers(run, first)
    for training in first:
        try:
            finalists.append(_promoted(run, training))
        except TrainingFailed:  # what went well in the search need not go well with another seed
            if training is first[-1] and not finalists:
                raise
    best = confirmed(run, preferred(run, finalists), finalists)
    multiples = run.plan.longer
    longer = [
        Longer(f"{LONGER}-{index}", best.values, sum(multiples[index:]) / multiple, multiple)
        for index, multiple in enumerate(multiples)
    ]
    _by_workers(run, [replace(one, shares=max(multiples) / one.multiple) for one in longer])
    for training in longer:
        try:
            finalist = _promoted(run, training)
        except TrainingFailed:
            break
        if not _helped(run, best.trained.scores, finalist.trained.scores):
            break
        best = finalist
    return best


def longest(plan: Plan) -> str:
    """Name of the longest training of a promotion."""
    return f"{LONGER}-{len(plan.longer) - 1}"


def promote_front(run: Run, members: Sequence[Values]) -> list[Finalist]:
    """Train the ``members`` of a front longer, with new seeds; those that still are one, compacted, by rising cost.

    Raises: TrainingFailed if it fails for each of them.
    """
    assert run.plan.pareto is not None
    run.begin("promotion")
    trainings = _longer_trainings(members, jobs=run.team.jobs)
    _by_workers(run, trainings)

    def train(index: int, values: Values) -> Trained:
        return _promoted(run, trainings[index]).trained

    front = pareto.trained_front(members, train, run.bench, run.plan.pareto)
    return [Finalist(f"{place:02}", values, trained) for place, (values, trained) in enumerate(front, start=1)]


@dataclass(frozen=True)
class Longer:
    """A training of the promotion, in one of the ``shares`` of the time that it has left, or for so many epochs."""

    name: str
    values: Values
    shares: float
    multiple: float = 1.0


def _longer_trainings(candidates: Sequence[Values], *, jobs: int, rest: float = 0.0) -> list[Longer]:
    """One training for each of ``candidates``, ``jobs`` at a time; ``rest``: shares that come after them."""
    rows = math.ceil(len(candidates) / jobs)
    return [Longer(f"promoted-{index}", values, rows - index // jobs + rest) for index, values in enumerate(candidates)]


def _by_workers(run: Run, trainings: Sequence[Longer]) -> None:
    """Have the workers do those of ``trainings`` that are not done; what they leave is then found in the folder.

    A single one is done as well by this process, which may have more threads.
    """
    folder = run.directory.candidates
    missing = [one for one in trainings if not (folder / f"{one.name}.done").is_file()]
    if not run.team.apart or len(missing) < 2:
        return
    bench, ends = run.team.bench(run.bench, folder), run.plan.ends("promotion") if run.plan.effort.timed else None
    calls = [
        Call(
            one.name, train_apart, (bench, folder.resolve(), one.name, one.values, ends, one.shares, _options(run, one))
        )
        for one in missing
    ]
    for call in run.team.done(calls):
        kept = recall(run.bench, folder / f"{call.name}.done", call.name)
        if kept is not None:
            announce_trained(run, call.name, kept.trained)


def _options(run: Run, training: Longer) -> dict[str, Any]:
    return {
        "seed": child_seed(run.seed, training.name),
        "epochs": None if run.plan.effort.timed else _epochs(run, training),
        "scheme": scheme_of(run, training.values),
    }


def _epochs(run: Run, training: Longer) -> int:
    return round(training.multiple * run.plan.epochs("promotion"))


def _promoted(run: Run, training: Longer) -> Finalist:
    return trained_in(
        run,
        training.name,
        training.values,
        phase="promotion",
        seconds=left(run, run.plan.ends("promotion"), training.shares),
        epochs=_epochs(run, training),
        scheme=scheme_of(run, training.values),
        announce=False,
    )


def confirmed(run: Run, best: Finalist, finalists: Sequence[Finalist]) -> Finalist:
    """``best``, if it beats the best starting point of ``finalists`` on other validation rows, too; or else that one.

    The best of many trials is partly the luckiest on the rows that chose it; on others luck is even. Both are trained
    again for that, as long as before, and each of them on what the other rows leave. Nobody is told of their errors,
    which cannot be compared with those of the others.
    """
    expected = _expected(run, finalists) if run.plan.confirms else None
    if expected is None or best is expected:
        return best
    rows, held = validation_split(run.bench.dataset, child_seed(run.seed, "confirmation"))
    elsewhere = replace(run, bench=replace(run.bench, train_rows=rows, validation_rows=held), emit=lambda event: None)
    try:
        again = [_again(elsewhere, one) for one in (best, expected)]
    except TrainingFailed:
        return expected
    return best if again[0].trained.scores.objective < again[1].trained.scores.objective else expected


def _again(run: Run, finalist: Finalist) -> Finalist:
    """A network of the promotion, trained once more in the same way."""
    return trained_in(
        run,
        f"confirmed-{finalist.name}",
        finalist.values,
        phase="promotion",
        seconds=finalist.trained.seconds if run.plan.effort.timed else None,
        epochs=max(1, round(finalist.trained.epochs)),
        scheme=scheme_of(run, finalist.values),
        announce=False,
    )


def _helped(run: Run, shorter: Scores, longer: Scores) -> bool:
    """Whether to train for longer: by the loss, which tells it on few rows too, or an error that is clearly lower."""
    return longer.loss < shorter.loss or longer.error < shorter.error - noise(run, shorter)


def _error_noise(run: Run, error: float) -> float:
    """Standard error of a validation figure of about ``error``."""
    return noise(run, Scores(min(1.0, max(0.0, error)), 0.0, len(run.bench.validation_rows)))


def noise(run: Run, scores: Scores) -> float:
    """Standard error of the validation figure in ``scores``."""
    return scores.standard_error(regression=run.bench.dataset.spec.task == "regression")


def preferred(run: Run, finalists: Sequence[Finalist]) -> Finalist:
    """The best of ``finalists``; the best of the template's own starting points where the difference is within noise.

    On a few hundred validation rows candidates differ by three or four of them, which is luck. What experience says
    then decides, and the search has to beat it by more than a standard error, and in the loss as well, which tells a
    lucky network from a good one on few rows.
    """
    best, expected = _lowest(finalists), _expected(run, finalists)
    if expected is None:
        return best
    gain = expected.trained.scores.objective - best.trained.scores.objective
    beaten = gain >= noise(run, expected.trained.scores) and best.trained.scores.loss < expected.trained.scores.loss
    return best if beaten else expected


def _expected(run: Run, finalists: Sequence[Finalist]) -> Finalist | None:
    """The best of those that are starting points of the template; None where none is."""
    space, starts = _starting_points(run)
    known = [finalist for finalist in finalists if space.key(finalist.values) in starts]
    return _lowest(known) if known else None


def _lowest(finalists: Sequence[Finalist]) -> Finalist:
    return min(finalists, key=lambda finalist: finalist.trained.scores.objective)
