"""Sections that search: recorded and simulated trainings without a budget, and recorded ones under budgets."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas_tables import optuna_peers, peers
from nas_tables.comparison import cells, report, task_of
from nas_tables.data import BUDGETS, UNBOUNDED
from nas_tables.kept import OURS, Found, Run
from nas_tables.ours import named, search
from nas_tables.readings import COUNTS, retrainings
from nas_tables.section import Figures, Options, Section
from nas_tables.trials import Trials
from steerage.search import propose as product
from steerage.seeds import child_seed

PEERS = {
    "random": peers.random,
    "evolution": peers.regularized_evolution,
    "local search": peers.local_search,
}
SAMPLERS = {"qmc": optuna_peers.qmc, "tpe": optuna_peers.tpe, "gp": optuna_peers.gp}
METHODS = (OURS, *PEERS, *SAMPLERS)
SLOW = {"gp": (10, 60)}  # most seeds and trials of a method that takes long
NAMED = 16  # rows kept of the order by which ours names its best: more than any re-training has use for


def runs(section: str, budgets: Sequence[str], options: Options) -> list[Run]:
    """Runs of all methods, seed by seed, so that what is kept of an unfinished benchmark is balanced."""
    made = []
    for seed in range(options.seeds):
        for path in options.tables:
            for budget in budgets:
                for method in options.methods or METHODS:
                    most, trials = SLOW.get(method, (options.seeds, max(COUNTS)))
                    if seed < most:
                        made.append(Run(section, path.stem, budget, method, trials, seed))
    return made


def measure(options: Options, run: Run) -> dict[str, Any]:
    """One search: the rows that it trained, in order; of ours also those it names first after each count."""
    task = task_of(options, run)
    trials = Trials(task, run.size)
    rng = np.random.default_rng(child_seed(run.seed, run.method))
    began = time.process_time()
    if run.method == OURS:
        search(trials, product.propose)
    elif run.method in PEERS:
        PEERS[run.method](trials, rng)
    else:
        optuna_peers.ask_and_tell(trials, rng, run.seed, SAMPLERS[run.method])
    seconds, rows = time.process_time() - began, list(trials.shown)
    row: dict[str, Any] = {"seconds": round(seconds, 3), "rows": rows}
    if run.method == OURS:
        searched = {count - retrainings(count, recorded=task.recorded) for count in COUNTS}
        row["named"] = {str(count): named(trials, rows[:count])[:NAMED] for count in sorted(searched)}
    return row


def figures(section: str, budgets: Sequence[str], options: Options, found: Found) -> Figures:
    """Regrets, ratios and differences of everything that was measured for the section."""
    asked = {run: found[run] for run in runs(section, budgets, options) if run in found}
    return report(section, cells(options, asked))


def _section(name: str, budgets: Sequence[str]) -> Section:
    return Section(functools.partial(runs, name, budgets), measure, functools.partial(figures, name, budgets))


RECORDED = _section("recorded", (UNBOUNDED,))
SIMULATED = _section("simulated", (UNBOUNDED,))
UNDER_BUDGETS = _section("budgets", BUDGETS)
