"""The global search against TPE where each trial is a real training, with the same number of trials.

    python benchmarks/search_training.py [TASK ...] [--seeds N] [--jobs N]

Tasks: digits-cnn, digits-mlp, letter-mlp. Each method proposes candidates of the template inside the budget; each is
trained and pruned for the same epochs with a seed of its own. TPE is told of the budget by Optuna's constraints, and
asks that break it cost it nothing. The test rows play no part. The winner that a method names is trained again with
new seeds: its mean validation error over these is what counts, since the error that made it win is partly luck. Runs
are kept one by one in ``results/search_training.rows.jsonl``.
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from common import SHARED, row, write
from nas_tables.kept import OURS, Kept, Run

from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.data.load import load_dataset
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.search.evaluation import TrialOutcome
from steerage.search.ranking import promising
from steerage.search.run import open_study, search
from steerage.seeds import child_seed
from steerage.space import Space, Values
from steerage.synthesis.candidate import Bench, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.trial import TRIAL_SCHEME
from steerage.templates.registry import load_template
from steerage.training.split import validation_split

TRIALS, SEEDS, AGAIN = 30, 5, 3
REFUSALS = 200  # asks outside the budget in a row, after which TPE is given a random candidate


@dataclass(frozen=True)
class Task:
    """A data set, the template whose space is searched, the budget, and the epochs of a trial."""

    source: str
    template: str
    max_params: int
    epochs: int


TASKS = {
    "digits-cnn": Task("digits", "cnn", 1500, 25),
    "digits-mlp": Task("digits", "mlp", 1500, 40),
    "letter-mlp": Task(str(SHARED / "tabular" / "letter.csv.gz"), "mlp", 5000, 10),
}


@functools.lru_cache(maxsize=1)
def bench_of(name: str) -> Bench:
    """Data and template of a task; the split into training and validation rows is the same for all seeds."""
    task = TASKS[name]
    dataset = load_dataset(task.source)
    rows, validation = validation_split(dataset, 0)
    return Bench(dataset, load_template(task.template), Budget(task.max_params), rows, validation, RunClock())


def trained(name: str, values: Values, seed: int) -> float:
    """Validation figure that searches minimize. Raises: TrainingFailed."""
    bench = bench_of(name)
    try:
        return synthesize_candidate(
            bench, values, name=name, seed=seed, epochs=TASKS[name].epochs, scheme=TRIAL_SCHEME, exact=False
        ).scores.objective
    except InfeasibleBudget as error:
        raise TrainingFailed(str(error)) from error


def ours(name: str, seed: int) -> tuple[Values, float]:
    """What the product's search names after ``TRIALS``, and the smallest figure that it saw; no starting points."""
    bench = bench_of(name)
    spec, space = bench.dataset.spec, bench.template.space(bench.dataset.spec)
    study = open_study()

    def cost_features(values: Values) -> Sequence[float]:
        cost = dense_cost(bench.template, values, spec)
        return (math.log(cost.params), math.log(max(1, cost.macs)))

    def evaluate(number: int, values: Values) -> TrialOutcome:
        return TrialOutcome(trained(name, values, child_seed(seed, "trial", number)))

    for _ in search(
        space,
        evaluate,
        study=study,
        n_trials=TRIALS,
        seed=seed,
        violation=violation_of(bench),
        cost_features=cost_features,
    ):
        pass
    return promising(study, space, n=1, seed=seed, cost_features=cost_features)[0], study.best_value


def tpe(name: str, seed: int) -> tuple[Values, float]:
    """The best trial of Optuna's TPE after ``TRIALS`` inside the budget."""
    bench = bench_of(name)
    space, violation = bench.template.space(bench.dataset.spec), violation_of(bench)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    best: tuple[float, Values] | None = None
    for number in range(TRIALS):
        trial, values = _inside(study, space, violation)
        try:
            error = trained(name, values, child_seed(seed, "trial", number))
        except TrainingFailed:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, error)
        if best is None or error < best[0]:
            best = (error, values)
    assert best is not None
    return best[1], best[0]


def _inside(
    study: optuna.Study, space: Space, violation: Callable[[Values], float]
) -> tuple[optuna.Trial, dict[str, Any]]:
    """The next trial of ``study`` that keeps the budget; those that do not are told so, and cost nothing."""
    worst = max((one.value for one in study.get_trials(deepcopy=False) if one.value is not None), default=1.0)
    for _ in range(REFUSALS):
        trial = study.ask(fixed_distributions=dict(space.distributions))
        values, above = space.normalize(trial.params), violation(space.normalize(trial.params))
        trial.set_constraint("budget", above if above > 0 else -1.0)
        if above <= 0:
            return trial, values
        study.tell(trial, worst)
    raise RuntimeError(f"TPE asked {REFUSALS} times in a row for candidates outside the budget")


METHODS: dict[str, Callable[[str, int], tuple[Values, float]]] = {OURS: ours, "tpe": tpe}


def measure(run: Run) -> dict[str, Any]:
    """One search, and its winner trained again ``AGAIN`` times."""
    began = time.process_time()
    values, shown = METHODS[run.method](run.table, run.seed)
    again = [trained(run.table, values, child_seed(run.seed, "again", index)) for index in range(AGAIN)]
    seconds = round(time.process_time() - began, 1)
    return {"values": dict(values), "shown": shown, "again": again, "seconds": seconds}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="The global search against TPE, with real trainings.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked, began = parser.parse_args(words), time.monotonic()
    if unknown := [name for name in asked.tasks if name not in TASKS]:
        parser.error(f"tasks are {', '.join(TASKS)}, got {', '.join(unknown)}")
    kept = Kept("search_training", any_source=asked.kept)
    tasks, seeds = asked.tasks or [*TASKS], range(asked.seeds)
    runs = [
        Run("training", task, "params", method, TRIALS, seed) for task in tasks for seed in seeds for method in METHODS
    ]
    if not asked.kept:
        kept.make(runs, measure, jobs=asked.jobs, fresh=False)
    rows = []
    for task in tasks:
        found = {
            method: {
                run.seed: kept.found[run]
                for run in runs
                if run in kept.found and (run.table, run.method) == (task, method)
            }
            for method in METHODS
        }
        shared = [seed for seed in seeds if all(seed in one for one in found.values())]
        if not shared:
            continue
        means = {method: [statistics.fmean(found[method][seed]["again"]) for seed in shared] for method in METHODS}
        for method in METHODS:
            rows.append(row(f"{task}: winner of {method}, trained again", means[method], unit="objective", bar=None))
            shown = [found[method][seed]["shown"] for seed in shared]
            rows.append(row(f"{task}: winner of {method}, as it was seen", shown, unit="objective", bar=None))
        gaps = [ours - theirs for ours, theirs in zip(means[OURS], means["tpe"], strict=True)]
        rows.append(row(f"{task}: ours less TPE, paired", gaps, unit="objective", bar=0.0))
        for one in rows[-5:]:
            print(
                f"{one['name']}: {one['value']:.4f} ± {(one['std'] or 0.0) / math.sqrt(one['n']):.4f}, {one['n']} seeds"
            )
    command = "python benchmarks/search_training.py"
    print(write("search_training", rows, command=command, seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
