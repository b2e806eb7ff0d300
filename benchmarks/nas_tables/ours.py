"""The product's search, driven as its sampler drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nas_tables.data import UNBOUNDED, Table
from nas_tables.trials import Task, Trials
from steerage.errors import BadSpace
from steerage.search import propose as product
from steerage.search.propose import START, Observation
from steerage.search.sampler import BATCH
from steerage.seeds import child_seed
from steerage.space import Value, Values

Propose = Callable[..., list[dict[str, Value]]]


def run_ours(
    table: Table,
    seed: int,
    trials: int = 100,
    budget: str = UNBOUNDED,
    mode: str = "recorded",
    propose: Propose = product.propose,
) -> Trials:
    """One search; ``propose`` is called as the product's is."""
    made = Trials(Task(table, seed, mode == "recorded", budget), trials)
    search(made, propose)
    return made


def search(trials: Trials, propose: Propose) -> None:
    """A start and then batches; ends early where the proposer has no more."""
    task, table = trials.task, trials.task.table
    seed = child_seed(task.seed, "ours")

    def violation(values: Values) -> float:
        row = table.row(values)
        return 1.0 if row is None else float(task.excess[row])

    while trials.open:
        asked = BATCH if trials.shown else START
        try:
            batch = propose(
                table.space,
                history(trials, trials.shown),
                n=asked,
                seed=seed,
                violation=violation,
                cost_features=table.log_costs,
                start=START,
            )
        except BadSpace:
            return
        for values in batch[: trials.limit - len(trials.shown)]:
            row = table.row(values)
            assert row is not None
            trials.train(row)
        if len(batch) < asked:
            return


def history(trials: Trials, rows: Iterable[int]) -> list[Observation]:
    """What the search knows once ``rows`` are trained."""
    return [Observation(trials.task.table.values(row), -trials.shown[row]) for row in rows]


def named(trials: Trials, rows: Sequence[int]) -> list[int]:
    """``rows``, best first by the product's rule."""
    table = trials.task.table
    seed = child_seed(trials.task.seed, "ours")
    order = product.best_known(table.space, history(trials, rows), seed=seed, cost_features=table.log_costs)
    return [rows[at] for at in order]
