"""The phases of the global search: baseline, trials, promotion; each leaves its result in the run directory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from optuna.study import Study
from optuna.trial import TrialState

from steerage import store
from steerage.cost.count import dense_cost
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.growprune import schemes
from steerage.search.curves import Judge, is_stopped
from steerage.search.fidelity import RUNGS
from steerage.search.ranking import METRICS, REASON, finished_event, number_of, promising, ranking, stopped_event
from steerage.search.run import InRungs, TrialOutcome, search, small_gain, small_growth, study_file
from steerage.search.trials import started_trials
from steerage.seeds import child_seed
from steerage.space import Key, Space, Values
from steerage.synthesis import pareto
from steerage.synthesis.candidate import (
    Rests,
    Trained,
    synthesize_candidate,
)
from steerage.synthesis.feasible import starting_points, violation_of
from steerage.synthesis.rankingfile import write_ranking
from steerage.synthesis.stage import Finalist, Run, left, remember, scheme_of, trained_in
from steerage.training.evaluate import Scores

EARLY = "early_error"  # metric of a trial
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # one that a kill left open may have metrics too, and is run again
TRIAL_SCHEME = schemes.gradual(start=0.25, end=0.75, steps=16)
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
    with study_file(run.directory.study) as study:
        return _searched(run, study)


def _searched(run: Run, study: Study) -> list[Values]:
    bench, plan, directory = run.bench, run.plan, run.directory
    spec = bench.dataset.spec
    space, violation = bench.template.space(spec), violation_of(bench)
    ends = plan.ends("search")
    # Kept with the study: trials of other lengths could not be compared, when it goes on with less time or with more.
    seconds = _kept(study, "trial_seconds", plan.trial_seconds(bench.clock())) if plan.effort.timed else None
    start = int(_kept(study, "start", plan.first_trials))
    epochs = None if plan.effort.timed else plan.epochs("search")
    _log_again(run, study)
    # From the study, so that a run that was stopped goes on as it would have gone.
    measured = [trial.user_attrs.get(METRICS, {}) for trial in study.get_trials(deepcopy=False, states=ENDED)]
    hopeless = _Hopeless([metrics[EARLY] for metrics in measured if EARLY in metrics])
    given_up = None if plan.pareto else hopeless  # a small network of a front may be far behind, and is wanted

    def evaluate(number: int, values: Values, judge: Judge | None = None) -> TrialOutcome:
        hopeless.begin()
        going_on = judge is not None and judge.going_on
        checkpoint = directory.candidates / f"open-{number}.state"
        if bench.latency is not None:
            bench.latency.check(bench, values)
        try:
            trained = synthesize_candidate(
                bench,
                values,
                name=f"trial {number}",
                seed=child_seed(run.seed, "trial", number),
                seconds=seconds,
                epochs=epochs,
                scheme=TRIAL_SCHEME,
                hopeless=None if going_on else given_up,
                rests=None if judge is None else _rests(run, number, judge),
                checkpoint=checkpoint,
                exact=False,
            )
        except InfeasibleBudget as error:
            raise TrainingFailed(f"the candidate cannot be pruned so far: {error}") from error
        for leftover in (checkpoint, store.previous(checkpoint)):
            leftover.unlink(missing_ok=True)
        early = hopeless.end()
        directory.heartbeat(bench.clock)
        metrics = {"error": trained.scores.error, "loss": trained.scores.loss, "epochs": trained.epochs, **early}
        if trained.stopped_at is not None:
            return TrialOutcome(trained.scores.objective, metrics, trained.stopped_at)
        _keep_best_trial(run, study, values, trained)
        return TrialOutcome(trained.scores.objective, {**metrics, **trained.cost.to_json()})

    def should_stop() -> bool:
        # The last trial may run over by half its time, not more; one there must be.
        return bench.clock() + 0.5 * (seconds or 0.0) >= ends and bool(ranking(study))

    def cost_features(values: Values) -> Sequence[float]:
        cost = dense_cost(bench.template, values, spec)
        return (math.log(cost.params), math.log(max(1, cost.macs)))

    def negligible(best: float) -> float:
        return small_growth(best) if plan.pareto else max(small_gain(best), SHOWING * _error_noise(run, best))

    if not started_trials(study):
        for values in starting_points(bench):
            if violation(values) == 0:
                study.enqueue_trial(dict(values), skip_if_exists=True)  # an earlier process may have come halfway
    for event in search(
        space,
        InRungs(evaluate) if plan.in_rungs else evaluate,
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
    ):
        run.emit(event)
        directory.heartbeat(bench.clock)
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
    if name not in study.user_attrs:
        study.set_user_attr(name, value)
    return float(study.user_attrs[name])


def _log_again(run: Run, study: Study) -> None:
    """Emit what a stop between the study and the log has lost: trials that ended or rest and were never said to."""
    told = {event.get("number") for event in run.directory.logged() if event.get("event") == "TrialStopped"}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)):
        if is_stopped(trial) and number_of(trial) not in told:
            run.emit(stopped_event(trial))
    logged = {event.get("number") for event in run.directory.logged() if event.get("event") == "TrialFinished"}
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in sorted(finished, key=number_of):
        if number_of(trial) not in logged:
            run.emit(finished_event([one for one in finished if number_of(one) <= number_of(trial)], trial))


def _rests(run: Run, number: int, judge: Judge) -> Rests:
    """Where trial ``number`` may rest: at rungs, where its networks are compared by what the search minimizes."""

    def by_objective(rung: float, scores: Scores) -> bool:
        return math.isfinite(scores.objective) and judge(rung, scores.objective)

    return Rests(RUNGS, by_objective, run.directory.candidates / f"trial-{number}.state", judge.going_on)


def _forget_ended(run: Run, study: Study) -> None:
    """Remove trainings that rested and have come to their end since."""
    resting = {f"trial-{number_of(one)}.state" for one in started_trials(study) if is_stopped(one)}
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
    for index, values in enumerate(candidates):
        shares = len(candidates) - index + sum(run.plan.longer)
        try:
            finalists.append(_promoted(run, f"promoted-{index}", values, shares=shares))
        except TrainingFailed:  # what went well in the search need not go well with another seed
            if index + 1 == len(candidates) and not finalists:
                raise
    best = preferred(run, finalists)
    for index, multiple in enumerate(run.plan.longer):
        shares = sum(run.plan.longer[index:]) / multiple
        try:
            longer = _promoted(run, f"promoted-longer-{index}", best.values, shares=shares, multiple=multiple)
        except TrainingFailed:
            break
        if not _helped(run, best.trained.scores, longer.trained.scores):
            break
        best = longer
    return best


def promote_front(run: Run, members: Sequence[Values]) -> list[Finalist]:
    """Train the ``members`` of a front longer, with new seeds; those that still are one, compacted, by rising cost.

    Raises: TrainingFailed if it fails for each of them.
    """
    assert run.plan.pareto is not None
    run.begin("promotion")

    def train(index: int, values: Values) -> Trained:
        return _promoted(run, f"promoted-{index}", values, shares=len(members) - index).trained

    front = pareto.trained_front(members, train, run.bench, run.plan.pareto)
    return [Finalist(f"{place:02}", values, trained) for place, (values, trained) in enumerate(front, start=1)]


def _promoted(run: Run, name: str, values: Values, *, shares: float, multiple: float = 1.0) -> Finalist:
    """One training of the promotion, in one of the ``shares`` of the time that it has left."""
    return trained_in(
        run,
        name,
        values,
        phase="promotion",
        seconds=left(run, run.plan.ends("promotion"), shares),
        epochs=round(multiple * run.plan.epochs("promotion")),
        scheme=scheme_of(run, values),
        announce=False,
    )


def _helped(run: Run, shorter: Scores, longer: Scores) -> bool:
    """Whether to train for longer: by the loss, which tells it on few rows too, or an error that is clearly lower."""
    return longer.loss < shorter.loss or longer.error < shorter.error - _noise(run, shorter)


def _error_noise(run: Run, error: float) -> float:
    """Standard error of a validation figure of about ``error``."""
    return _noise(run, Scores(min(1.0, max(0.0, error)), 0.0, len(run.bench.validation_rows)))


def _noise(run: Run, scores: Scores) -> float:
    """Standard error of the validation figure in ``scores``."""
    return scores.standard_error(regression=run.bench.dataset.spec.task == "regression")


def preferred(run: Run, finalists: Sequence[Finalist]) -> Finalist:
    """The best of ``finalists``; the best of the template's own starting points where the difference is within noise.

    On a few hundred validation rows candidates differ by three or four of them, which is luck. What experience says
    then decides, and the search has to beat it by more than a standard error, and in the loss as well, which tells a
    lucky network from a good one on few rows.
    """
    space, starts = _starting_points(run)
    best = min(finalists, key=lambda finalist: finalist.trained.scores.objective)
    known = [finalist for finalist in finalists if space.key(finalist.values) in starts]
    if not known:
        return best
    expected = min(known, key=lambda finalist: finalist.trained.scores.objective)
    gain = expected.trained.scores.objective - best.trained.scores.objective
    beaten = gain >= _noise(run, expected.trained.scores) and best.trained.scores.loss < expected.trained.scores.loss
    return best if beaten else expected


def _keep_best_trial(run: Run, study: Study, values: Values, trained: Trained) -> None:
    """Keep the network of the best trial, so that a stop during the search leaves something to use."""
    path = run.directory.candidates / "best-trial.done"
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    earlier = [one.value for one in ended if one.value is not None]
    if not (path.is_file() and earlier and min(earlier) <= trained.scores.objective):
        remember(path, values, trained)


class _Hopeless:
    """Gives up a trial that is far behind all others at the same share of their training, before pruning starts.

    Later comparisons would mix networks at different densities; and a wrong guess costs a good candidate, so only
    those are given up whose error is three times the median, and outside of everything seen.
    """

    def __init__(self, seen: Sequence[float] = ()) -> None:
        self._seen = list(seen)
        self.first: float | None = None  # the error that the trial had when it was looked at

    def begin(self) -> None:
        self.first = None

    def __call__(self, progress: float, scores: Scores) -> bool:
        if self.first is not None or progress > 0.5:
            return False
        self.first = scores.error
        return len(self._seen) >= 5 and scores.error > max(3.0 * median(self._seen), max(self._seen))

    def end(self) -> dict[str, float]:
        """The error that the finished trial had early, to be kept with it."""
        if self.first is None:
            return {}
        self._seen.append(self.first)
        return {EARLY: self.first}
