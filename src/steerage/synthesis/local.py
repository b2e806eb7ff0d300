"""The local search alone, in memory: grow-and-prune of any network, without a run directory."""

from __future__ import annotations

import copy
from pathlib import Path

from torch import nn

from steerage.cost.budget import Budget
from steerage.data.dataset import Dataset, Task
from steerage.data.load import load_dataset
from steerage.errors import BadArgument
from steerage.growprune.choose import scheme_for
from steerage.growprune.schemes import Scheme
from steerage.synthesis.candidate import Bench, Trained, compacted, synthesize_candidate, validation_error
from steerage.synthesis.clock import RunClock
from steerage.synthesis.own_network import OwnNetwork
from steerage.synthesis.plan import effort_from
from steerage.training.recipe import Recipe
from steerage.training.split import validation_split


def grow_and_prune(
    model: nn.Module,
    data: str | Path | Dataset,
    *,
    budget: Budget,
    scheme: Scheme | str = "auto",
    minutes: float | None = None,
    epochs: int | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    target: str | None = None,
    task: Task | None = None,
    group: str | None = None,
) -> Trained:
    """Train ``model`` on, from the weights that it has, down to ``budget`` along ``scheme``; it is left as it is.

    ``scheme``: "auto", "A", "B", "C", or steps of your own (``steerage.growprune.schemes``). ``data`` as for
    ``synthesize``; ``minutes`` (10 by default) or ``epochs`` of training. ``recipe``: how it is trained, the program's
    own for a network of unknown kind by default. What comes back is compacted, inside the budget, with its masks, its
    cost, what each step changed, and its scores on validation rows, which it has not learnt from. ``refine`` does the
    same with a run directory, and lets it learn from those rows too.

    Raises: InfeasibleBudget if not even one connection a layer fits; BadArgument for a budget without a bound, or a
    network that does not run on rows of the data; BadData; TrainingFailed.
    """
    if budget == Budget():
        raise BadArgument("grow_and_prune needs a budget with a bound, as Budget(max_params=5000)")
    if minutes is not None and epochs is not None:
        raise BadArgument("give minutes or epochs: a training in memory cannot rest in between")
    effort = effort_from(minutes, None, epochs)
    dataset = data if isinstance(data, Dataset) else load_dataset(str(data), target=target, task=task, group=group)
    own = OwnNetwork(type(model).__name__, lambda: copy.deepcopy(model))
    rows, validation = validation_split(dataset, seed)
    bench = Bench(dataset, own, budget, rows, validation, RunClock())
    if isinstance(scheme, str):
        scheme = scheme_for(scheme, model, budget, dataset.spec.input_shape)
    trained = synthesize_candidate(
        bench,
        own.baseline(dataset.spec),
        name=own.name,
        seed=seed,
        seconds=60.0 * effort.minutes if effort.minutes is not None else None,
        epochs=effort.epochs,
        scheme=scheme,
        watch=validation_error(bench),
        start=own.start(bench, seed),
        recipe=recipe,
    )
    return compacted(trained, bench)
