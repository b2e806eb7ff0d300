"""The phases of a synthesis, each a function that leaves its result in the run directory and finds it there again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from optuna.study import Study
from optuna.trial import TrialState

from steerage import events, store
from steerage.cost.budget import Budget
from steerage.cost.count import Cost, count, dense_cost, least_cost
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.growprune import schemes
from steerage.growprune.compact import compact
from steerage.growprune.resize import reshape_
from steerage.growprune.run import Edit, GrowPrune
from steerage.search.curves import Judge, is_stopped
from steerage.search.fidelity import RUNGS
from steerage.search.propose import find_feasible
from steerage.search.ranking import METRICS, REASON, finished_event, number_of, promising, ranking, stopped_event
from steerage.search.run import InRungs, TrialOutcome, open_study, search, small_gain, small_growth
from steerage.search.trials import started_trials
from steerage.seeds import child_seed
from steerage.space import Key, Space, Values
from steerage.synthesis import pareto, trajectory
from steerage.synthesis.candidate import (
    Bench,
    Rests,
    Trained,
    build,
    synthesize_candidate,
    validation_error,
)
from steerage.synthesis.own_network import OwnNetwork
from steerage.synthesis.plan import Plan
from steerage.synthesis.rankingfile import write_ranking
from steerage.synthesis.run_directory import RunDirectory
from steerage.training.evaluate import Scores

# How much denser than the budget a candidate may be before grow-and-prune; far denser ones only waste training time.
MAX_EXPANSION = 25.0
# How much denser it is best to be: too little is left of far denser ones, and smaller ones leave little to choose from.
EXPANSION = 6.0
EARLY = "early_error"  # metric of a trial
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # one that a kill left open may have metrics too, and is run again
UNBUILDABLE = 1e6  # violation of a candidate that the template fails to build
TRIAL_SCHEME = schemes.gradual(start=0.25, end=0.75, steps=16)
SHOWING = 0.1  # of the standard error of a validation figure: ten gains of less than that are a difference that shows
ABSORPTION_LR = 0.3  # of the peak learning rate: the network is to be polished, not trained anew


@dataclass(frozen=True)
class Run:
    """What every phase works with."""

    bench: Bench
    plan: Plan
    directory: RunDirectory
    seed: int
    emit: Callable[[object], None]


@dataclass(frozen=True)
class Finalist:
    """A trained candidate and the hyperparameters it was built from."""

    name: str
    values: Values
    trained: Trained


def check_feasible(bench: Bench, seed: int) -> None:
    """Raises: InfeasibleBudget, with the smallest cost that the template reaches, if nothing in it fits the budget."""
    spec, space = bench.dataset.spec, bench.template.space(bench.dataset.spec)
    starts = bench.template.starts(spec)
    best = find_feasible(space, violation=violation_of(bench), seed=seed, start=starts)
    if best.violation <= 0:
        return
    least_cost(bench.template, best.values, spec)  # raises TrainingFailed if not one candidate can be built
    bounds = {name: bound for name, bound in bench.budget.to_json().items() if bound is not None}
    for name, bound in bounds.items():

        def excess(values: Values, name: str = name, bound: float = bound) -> float:
            try:
                return _needed(bench, values)[name] / bound - 1.0
            except TrainingFailed:
                return UNBUILDABLE

        smallest = find_feasible(space, violation=excess, seed=seed, start=starts)
        if smallest.violation > 0:
            raise InfeasibleBudget(name, bound, _needed(bench, smallest.values)[name], smallest.values)
    # Each bound can be met, but not all at once.
    needed = _needed(bench, best.values)
    tightest = max(bounds, key=lambda name: needed[name] / bounds[name])
    broken = ", ".join(f"{name} to {needed[name]}" for name in bounds if needed[name] > bounds[name])
    raise InfeasibleBudget(
        tightest,
        bounds[tightest],
        needed[tightest],
        best.values,
        message=f"{', '.join(f'{name}={bound}' for name, bound in bounds.items())} cannot be met at once: the network "
        f"found that comes closest would need to raise {broken}",
    )


def _needed(bench: Bench, values: Values) -> dict[str, int]:
    """The smallest budget by name of its bounds in which ``violation_of`` is 0. Raises: TrainingFailed."""
    spec, own = bench.dataset.spec, isinstance(bench.template, OwnNetwork)
    least, dense = least_cost(bench.template, values, spec), dense_cost(bench.template, values, spec)
    pairs = {"max_params": (least.params, dense.params), "max_macs": (least.macs, dense.macs)}
    return {
        name: pruned if own else max(pruned, math.ceil(full / MAX_EXPANSION)) for name, (pruned, full) in pairs.items()
    }


def violation_of(bench: Bench) -> Callable[[Values], float]:
    """How far a candidate is from being prunable into the budget: 0 where it is.

    Its least cost, at which every unit keeps one connection, must be inside the budget, and its dense cost within
    ``MAX_EXPANSION`` times the budget, unless it is the user's own network. One that cannot be built is far from it.
    """
    spec, budget, own = bench.dataset.spec, bench.budget, isinstance(bench.template, OwnNetwork)
    roomy = Budget(**{name: bound and round(bound * MAX_EXPANSION) for name, bound in budget.to_json().items()})

    def violation(values: Values) -> float:
        try:
            least = budget.violation(least_cost(bench.template, values, spec))
            return least if own else least + roomy.violation(dense_cost(bench.template, values, spec))
        except TrainingFailed:
            return UNBUILDABLE

    return violation


def train_baseline(run: Run) -> Finalist:
    """The template's plain network, dense, whatever the budget: what one would have had without a synthesis."""
    values = run.bench.template.baseline(run.bench.dataset.spec)
    ends = run.plan.ends("baseline")
    return _trained(run, "baseline", values, phase="baseline", seconds=_left(run, ends, 1), scheme=None)


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
    bench, plan, directory = run.bench, run.plan, run.directory
    spec = bench.dataset.spec
    space, violation = bench.template.space(spec), violation_of(bench)
    ends = plan.ends("search")
    run.emit(events.PhaseStarted("search", ends if plan.effort.timed else None))
    study = open_study(f"sqlite:///{directory.study.resolve()}")
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
                exact=False,
            )
        except InfeasibleBudget as error:
            raise TrainingFailed(f"the candidate cannot be pruned so far: {error}") from error
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


def starting_points(bench: Bench) -> list[Values]:
    """Points that the template would try first, best bet first: those about ``EXPANSION`` times as dense as the budget.

    Within a factor of two, or where there is no budget, in the template's order.
    """
    spec = bench.dataset.spec

    def miss(values: Values) -> int:
        expansion = bench.budget.expansion(dense_cost(bench.template, values, spec))
        return abs(round(math.log2(expansion / EXPANSION))) if expansion else 0

    return sorted(bench.template.starts(spec), key=miss)


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
    run.emit(events.PhaseStarted("promotion", run.plan.ends("promotion") if run.plan.effort.timed else None))
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
    run.emit(events.PhaseStarted("promotion", run.plan.ends("promotion") if run.plan.effort.timed else None))

    def train(index: int, values: Values) -> Trained:
        return _promoted(run, f"promoted-{index}", values, shares=len(members) - index).trained

    front = pareto.trained_front(members, train, run.bench, run.plan.pareto)
    return [Finalist(f"{place:02}", values, trained) for place, (values, trained) in enumerate(front, start=1)]


def _promoted(run: Run, name: str, values: Values, *, shares: float, multiple: float = 1.0) -> Finalist:
    """One training of the promotion, in one of the ``shares`` of the time that it has left."""
    return _trained(
        run,
        name,
        values,
        phase="promotion",
        seconds=_left(run, run.plan.ends("promotion"), shares),
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


def refit(run: Run, chosen: Finalist) -> Trained:
    """All choices are made: grow-and-prune of the chosen candidate once more, on the validation rows too.

    From fresh weights: on few rows, a fourth more of them from the start is worth more than any further choice. For as
    many epochs as were found best where that was asked, or else for as long as there is time. The scores that come
    back are not validation scores any more: the network has seen those rows.
    """
    bench, rows = run.bench, torch.arange(len(run.bench.dataset.y))
    seconds, epochs = _left(run, run.plan.ends("refit"), 1), run.plan.epochs("refit")
    if run.plan.longer:
        epochs = max(1, round(chosen.trained.epochs))
        if seconds is not None:
            seconds = min(seconds, chosen.trained.seconds * len(rows) / len(bench.train_rows))
    return _trained(
        run,
        "refit",
        chosen.values,
        phase="refit",
        seconds=seconds,
        epochs=epochs,
        scheme=scheme_of(run, chosen.values),
        rows=rows,
    ).trained


def refine_locally(run: Run, values: Values, start: Trained) -> Finalist:
    """Grow-and-prune of the user's own network, from the weights that it has."""
    seconds = _left(run, run.plan.ends("local"), 1)
    scheme = scheme_of(run, values)
    return _trained(run, "local", values, phase="local", seconds=seconds, scheme=scheme, start=start)


def scheme_of(run: Run, values: Values) -> schemes.Scheme:
    """The scheme that the plan names, for the candidate ``values``."""
    spec = run.bench.dataset.spec
    expansion = run.bench.budget.expansion(dense_cost(run.bench.template, values, spec))
    return schemes.named(run.plan.scheme, convolutional=len(spec.input_shape) == 3, expansion=expansion)


def walk_down(
    run: Run, winner: Finalist, wanted: trajectory.Wanted, *, start: Trained | None = None
) -> tuple[Finalist, list[Finalist]]:
    """One training of ``winner`` through many sizes, of which the good ones are trained on: what is wanted of them.

    First what to deliver: the smallest whose loss is tolerated, or the most accurate, inside the budget; ``winner``
    where none is as good as it has to be. Then, if wanted, the sizes that nobody beats, above and below the budget,
    compacted, by rising size.
    Sizes are trained from fresh weights, or on from ``start``.
    """
    run.emit(events.PhaseStarted("trajectory", run.plan.ends("trajectory") if run.plan.effort.timed else None))
    bench, local = trajectory.smallest_budget(run.bench, winner.values), run.directory.local
    shape = bench.dataset.spec.input_shape

    def keep(editor: GrowPrune) -> float:
        """The network as it came to a step, in a file of its own."""
        scores = bench.scores(editor.model)
        cost = count(editor.model, shape, masks=editor.masks)
        point = Trained(editor.model, editor.masks, scores, cost, (), 0.0, 0.0)
        remember(local / f"size-{len(editor.edits):02}.done", winner.values, point)
        return scores.error

    dense, least = dense_cost(bench.template, winner.values, bench.dataset.spec).params, bench.budget.max_params
    assert least is not None
    last = _trained(
        replace(run, bench=bench),
        "trajectory",
        winner.values,
        phase="trajectory",
        seconds=_left(run, run.plan.ends("trajectory"), 1),
        scheme=trajectory.stairs(dense, least, through=run.bench.budget.max_params),
        announce=False,
        start=start,
        watch=keep,
    )
    sizes = [last, *(recall(bench, path, path.stem) for path in sorted(local.glob("size-*.done"), reverse=True))]
    fitting = [one for one in sizes if run.bench.budget.violation(one.trained.cost) == 0]
    run.emit(events.PhaseStarted("polish", run.plan.ends("polish") if run.plan.effort.timed else None))
    promising = [sizes[at] for at in trajectory.unbeaten([one.trained for one in sizes])] if wanted.front else []
    best = min(fitting, key=lambda one: one.trained.scores.objective, default=None)
    asked = trajectory.Asked(len(promising) + (2.0 if wanted.max_loss is None else math.log2(len(sizes) + 1) + 1.0))
    polished: dict[str, Finalist] = {}

    def polish(one: Finalist) -> Finalist:
        if one.name not in polished:
            polished[one.name] = _polished(run, one, asked.shares())
        return polished[one.name]

    for one in promising:
        polish(one)
    chosen: Finalist | None = None
    if wanted.max_loss is not None:
        # A network that comes untrained is no measure; the best size on the way is one then.
        limit = min(one.trained.scores.error for one in (winner, *sizes)) + wanted.max_loss
        chosen = trajectory.smallest(fitting, lambda one: polish(one).trained.scores.error <= limit)
        chosen = None if chosen is None else polish(chosen)
    elif best is not None:
        polish(best)
        inside = [one for one in polished.values() if run.bench.budget.violation(one.trained.cost) == 0]
        chosen = min(inside, key=lambda one: one.trained.scores.objective)
    ready = [replace(one, trained=_compact(one.trained, shape)) for one in polished.values()]
    members = [ready[at] for at in trajectory.unbeaten([one.trained for one in ready])] if wanted.front else []
    front = [replace(one, name=f"{place:02}") for place, one in enumerate(members, start=1)]
    return winner if chosen is None else chosen, front


def _compact(trained: Trained, shape: tuple[int, ...]) -> Trained:
    """``trained`` without its dead units, whatever the budget."""
    model, masks = compact(trained.model, shape, masks=trained.masks)
    return replace(trained, model=model, masks=masks, cost=count(model, shape, masks=masks))


def _polished(run: Run, size: Finalist, shares: float) -> Finalist:
    """A size of the trajectory, trained on with its masks held and a lower learning rate, without validation rows."""
    recipe = run.bench.recipe(size.values)
    return _trained(
        replace(run, bench=replace(run.bench, budget=Budget())),  # its size is its own
        f"polished-{size.name}",
        size.values,
        phase="polish",
        seconds=_left(run, run.plan.ends("polish"), shares),
        scheme=None,
        announce=False,
        start=size.trained,
        recipe=replace(recipe, lr=ABSORPTION_LR * recipe.lr),
    )


def absorb(run: Run, chosen: Finalist) -> Trained:
    """The masks are final: train the user's own network on, with the validation rows as well.

    As with ``refit``, the scores that come back are not validation scores.
    """
    bench = run.bench
    rows = torch.arange(len(bench.dataset.y))
    recipe = bench.recipe(chosen.values)
    recipe = replace(recipe, lr=ABSORPTION_LR * recipe.lr)
    seconds = _left(run, run.plan.ends("absorption"), 1)
    return _trained(
        run,
        "absorbed",
        chosen.values,
        phase="absorption",
        seconds=seconds,
        scheme=None,
        start=chosen.trained,
        rows=rows,
        recipe=recipe,
    ).trained


def _trained(
    run: Run,
    name: str,
    values: Values,
    *,
    phase: str,
    seconds: float | None,
    epochs: int | None = None,
    scheme: schemes.Scheme | None,
    announce: bool = True,
    **options: Any,
) -> Finalist:
    """A training outside the search: found finished in the run directory, gone on with, or begun."""
    directory = run.directory
    folder = directory.candidates if phase in ("baseline", "promotion") else directory.local
    done, checkpoint = folder / f"{name}.done", folder / f"{name}.state"
    if done.is_file():
        return recall(run.bench, done, name)
    if announce:
        run.emit(events.PhaseStarted(phase, run.plan.ends(phase) if run.plan.effort.timed else None))
    trained = synthesize_candidate(
        run.bench,
        values,
        name=name,
        seed=child_seed(run.seed, name),
        seconds=seconds,
        epochs=None if run.plan.effort.timed else epochs or run.plan.epochs(phase),
        scheme=scheme,
        checkpoint=checkpoint,
        **({"watch": validation_error(run.bench)} | options),
    )
    remember(done, values, trained)
    for leftover in (checkpoint, store.previous(checkpoint)):
        leftover.unlink(missing_ok=True)
    for edit in trained.edits:
        run.emit(events.NetworkEdited(name, *astuple(edit)))
    scores, cost = trained.scores, trained.cost
    run.emit(events.NetworkTrained(name, scores.error, scores.loss, cost.params, cost.dense_params, cost.macs))
    directory.heartbeat(run.bench.clock)
    return Finalist(name, values, trained)


def remember(path: Path, values: Values, trained: Trained) -> None:
    """Keep a trained network of the template's shapes."""
    tree = {
        "values": dict(values),
        "model": dict(trained.model.state_dict()),
        "masks": dict(trained.masks),
        "scores": list(astuple(trained.scores)),
        "cost": trained.cost.to_json(),
        "edits": [list(astuple(edit)) for edit in trained.edits],
        "epochs": trained.epochs,
        "seconds": trained.seconds,
    }
    store.save_tree(path, tree)


def recall(bench: Bench, path: Path, name: str) -> Finalist:
    """What ``remember`` kept. Raises: BadBundle."""
    tree = store.load_tree(path)
    model = build(bench, tree["values"], 0)
    reshape_(model, {name: tensor.shape for name, tensor in tree["model"].items()})
    model.load_state_dict(tree["model"])
    trained = Trained(
        model=model,
        masks=dict(tree["masks"]),
        scores=Scores(*tree["scores"]),
        cost=Cost(**tree["cost"]),
        edits=tuple(Edit(*edit) for edit in tree["edits"]),
        epochs=float(tree["epochs"]),
        seconds=float(tree["seconds"]),
    )
    return Finalist(name, tree["values"], trained)


def best_so_far(run: Run) -> Finalist | None:
    """The network to keep if the run is stopped now: of the furthest phase that has one."""
    directory = run.directory
    places = [
        directory.local / "local.done",
        *sorted(directory.candidates.glob("promoted-*.done")),
        *sorted(directory.candidates.glob("earlier-*.done")),
        directory.candidates / "best-trial.done",
    ]
    found = [recall(run.bench, path, path.stem) for path in places if path.is_file()]
    return min(found, key=lambda finalist: finalist.trained.scores.objective, default=None)


def _keep_best_trial(run: Run, study: Study, values: Values, trained: Trained) -> None:
    """Keep the network of the best trial, so that a stop during the search leaves something to use."""
    path = run.directory.candidates / "best-trial.done"
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    earlier = [one.value for one in ended if one.value is not None]
    if not (path.is_file() and earlier and min(earlier) <= trained.scores.objective):
        remember(path, values, trained)


def _left(run: Run, ends: float, shares: float) -> float | None:
    """Seconds for the next of ``shares`` trainings that must be over at ``ends``; None when epochs are counted."""
    if not run.plan.effort.timed:
        return None
    return max(0.5, (ends - run.bench.clock()) / shares)


class _Hopeless:
    """Gives up a trial that is far behind all others at the same share of their training, before pruning starts.

    Later comparisons would mix networks at different densities; and a wrong guess costs a good candidate, so only
    those are given up whose error is three times the median, and outside of everything seen.
    """

    def __init__(self, seen: Sequence[float] = ()) -> None:
        self._seen = list(seen)
        self._first: float | None = None

    def begin(self) -> None:
        self._first = None

    def __call__(self, progress: float, scores: Scores) -> bool:
        if self._first is not None or progress > 0.5:
            return False
        self._first = scores.error
        return len(self._seen) >= 5 and scores.error > max(3.0 * median(self._seen), max(self._seen))

    def end(self) -> dict[str, float]:
        """The error that the finished trial had early, to be kept with it."""
        if self._first is None:
            return {}
        self._seen.append(self._first)
        return {EARLY: self._first}
