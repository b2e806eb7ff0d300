"""A front of networks in place of one: what its cost is, who is on it, and the longer training of its members."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from optuna.study import Study

from steerage import events
from steerage.cost.count import dense_cost
from steerage.errors import BadArgument, TrainingFailed
from steerage.search.front import front
from steerage.search.propose import CostFeatures
from steerage.search.ranking import RankedTrial, on_front
from steerage.space import Space, Values
from steerage.synthesis.candidate import Bench, Trained, compacted
from steerage.synthesis.feasible import dense_instructions, weight_bytes
from steerage.synthesis.rankingfile import write_front
from steerage.synthesis.run_directory import RunDirectory

COSTS = ("params", "macs")


def checked(name: str) -> str:
    """``name``, one of ``COSTS``. Raises: BadArgument for anything else."""
    if name not in COSTS:
        raise BadArgument(f"pareto must be {' or '.join(COSTS)}, got {name!r}")
    return name


def cost_after_pruning(bench: Bench, name: str) -> Callable[[Values], float]:
    """Cost ``name`` that a candidate will have in the budget, known before training, at least 1.

    The dense cost where that is inside; otherwise pruning removes connections until every bound is kept, and takes the
    same share off each cost. With one bound on ``name`` itself it is the smaller of dense cost and bound.
    """
    bounds = bench.budget.to_json()

    def cost(values: Values) -> float:
        dense = dense_cost(bench.template, values, bench.dataset.spec)
        flash = weight_bytes(bench) * dense.params
        used = {"max_params": dense.params, "max_macs": dense.macs, "max_flash": flash, "max_ram": 0}
        used["max_instructions"] = dense_instructions(bench, values)
        shares = [bound / max(1, used[bounded]) for bounded, bound in bounds.items() if bound is not None]
        return float(max(1, round({"params": dense.params, "macs": dense.macs}[name] * min([1.0, *shares]))))

    return cost


def named(
    study: Study,
    space: Space,
    directory: RunDirectory,
    name: str,
    *,
    n: int,
    seed: int,
    cost_features: CostFeatures,
    emit: Callable[[object], None],
) -> list[Values]:
    """Name the front of a finished search, write it down; the ``n`` of it that carry most of its hypervolume.

    Its costs are those that were measured. By rising cost.
    """

    def cost(trial: RankedTrial) -> float:
        return max(1.0, trial.metrics[name])

    whole = on_front(study, space, cost=cost, seed=seed, cost_features=cost_features)
    write_front(directory.front_table, whole, space.names)
    emit(events.FrontFound(name, tuple(one.number for one in whole)))
    return [one.values for one in on_front(study, space, cost=cost, seed=seed, cost_features=cost_features, n=n)]


def survivors(networks: Sequence[Trained], name: str) -> list[int]:
    """Positions of the ``networks`` that none of the others beats in objective and cost ``name``, by rising cost."""
    costs = np.array([float(getattr(one.cost, name)) for one in networks])
    return [int(at) for at in front(np.array([one.scores.objective for one in networks]), costs)]


def trained_front(
    members: Sequence[Values], train: Callable[[int, Values], Trained], bench: Bench, name: str
) -> list[tuple[Values, Trained]]:
    """``members`` trained one after the other by ``train(index, values)``, compacted, by rising cost.

    Those that turn out to be dominated are left out. Raises: TrainingFailed if it fails for each of them.
    """
    done: list[tuple[Values, Trained]] = []
    for index, values in enumerate(members):
        try:
            done.append((values, compacted(train(index, values), bench)))
        except TrainingFailed:  # what went well in the search need not go well with another seed
            if index + 1 == len(members) and not done:
                raise
    return [done[at] for at in survivors([trained for _, trained in done], name)]
