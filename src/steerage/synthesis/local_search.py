"""The local search as phases: the refit, one's own network, the way down through many sizes, the last training."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.data.dataset import Dataset
from steerage.growprune.run import GrowPrune
from steerage.space import Values
from steerage.synthesis import trajectory
from steerage.synthesis.candidate import Trained, compacted
from steerage.synthesis.feasible import is_starved
from steerage.synthesis.pareto import survivors
from steerage.synthesis.promotion import is_longest
from steerage.synthesis.stage import Finalist, Run, left, recall, remember, scheme_of, trained_in
from steerage.training.recipe import Recipe

# A training that is so many times as long learns best at a peak learning rate lower by this power of that, roughly:
# MNIST in 5 and in 20 epochs (benchmarks/recipes.py: short, long, long-5k).
SLOWER = 0.5
QUICK_STEPS = 1000  # in fewer a lower rate is no better: 5 epochs there, 60 on digits
# A training that is so many times as long, and sees images so often, is to change them more, by this much times what
# suits them: 5,300 parameters in 40 epochs have 14 % less loss with 1.5 than with 1 (refit-5k there).
MANY_TIMES, MANY_EPOCHS, MORE_CHANGED = 4.0, 40.0, 0.5
ONE_MORE = 2.5  # times as long as the longest training that still helped: nobody knows about longer ones than that
ABSORPTION_LR = 0.3  # of the peak learning rate: the network is to be polished, not trained anew


def refit(run: Run, chosen: Finalist, lessons: Dataset | None = None, teacher: Finalist | None = None) -> Trained:
    """All choices are made: grow-and-prune of the chosen candidate once more, on the validation rows too.

    It learns from ``lessons`` where the chosen one has, which are then of all rows, and from ``teacher`` if there is
    one. From fresh weights: on few rows, a fourth more of them from the start is worth more than any further choice.
    For as many epochs as were found best where that was asked, or else for as long as there is time. The scores that
    come back are not validation scores any more: the network has seen those rows.
    """
    bench = replace(run.bench, lessons=lessons)
    rows = torch.arange(len(bench.learnt.y))
    seconds, epochs = length_of_refit(run, chosen)
    return trained_in(
        replace(run, bench=bench),
        "refit",
        chosen.values,
        phase="refit",
        seconds=seconds,
        epochs=epochs,
        scheme=scheme_of(run, chosen.values),
        rows=rows,
        recipe=recipe_of_refit(run, chosen, is_taught=teacher is not None),
        teacher=None if teacher is None else teacher.trained.model,
    ).trained


def length_of_refit(run: Run, chosen: Finalist) -> tuple[float | None, int]:
    """Seconds, where the time decides, and epochs of the refit of ``chosen``.

    As long as was best where that was looked for, and as there are more rows to learn from; if the longest training was
    the best, a longer one might have been better still, but not one ``ONE_MORE`` times as long and more.
    """
    seconds, bench = left(run, run.plan.ends("refit"), 1), run.bench
    if not run.plan.longer:
        return seconds, run.plan.epochs("refit")
    if seconds is not None:
        most = ONE_MORE if is_longest(chosen, run.plan) else 1.0
        seconds = min(seconds, most * chosen.trained.seconds * len(bench.dataset.y) / len(bench.train_rows))
    return seconds, max(1, round(chosen.trained.epochs))


def recipe_of_refit(run: Run, chosen: Finalist, *, is_taught: bool = False) -> Recipe:
    """The recipe of ``chosen``; with a lower learning rate where the refit takes all that is left, as on images.

    These are changed more where it is many times as long and sees each of them often.

    What the search and the promotion have found suits trainings as short as theirs, or of ``QUICK_STEPS``. A network
    that is starved of parameters is not trained too boldly however long it takes: a lower rate only costs it what its
    connections could still become (long-1k there). What is compared with a published network has the changes of that.
    """
    recipe, plan = run.bench.recipe(chosen.values), run.plan
    if not plan.augmented or is_starved(run.bench):
        return recipe
    longer = times_as_long(run, chosen, is_taught=is_taught)
    steps = chosen.trained.epochs * recipe.batches(len(run.bench.train_rows))
    epochs = longer * chosen.trained.epochs
    longer *= min(1.0, steps / QUICK_STEPS)
    recipe = replace(recipe, lr=recipe.lr / max(1.0, longer) ** SLOWER)
    seldom = longer < MANY_TIMES or epochs < MANY_EPOCHS
    if seldom or run.bench.dataset.spec.kind != "image" or plan.like or not recipe.augment:
        return recipe
    return replace(recipe, augment=recipe.augment + MORE_CHANGED)


def times_as_long(run: Run, chosen: Finalist, *, is_taught: bool) -> float:
    """How many times as long as ``chosen`` was trained a refit is that takes all the time that is left."""
    plan = run.plan
    if not plan.effort.timed:
        return plan.epochs("refit") / plan.epochs("promotion")
    # As planned, not as it is: a run that goes on has less time left.
    begins = plan.ends("teacher" if is_taught else "promotion")
    return (plan.ends("refit") - begins) / max(chosen.trained.seconds, 1e-3)


def refine_locally(run: Run, values: Values, start: Trained) -> Finalist:
    """Grow-and-prune of the user's own network, from the weights that it has."""
    seconds = left(run, run.plan.ends("local"), 1)
    scheme = scheme_of(run, values)
    return trained_in(run, "local", values, phase="local", seconds=seconds, scheme=scheme, start=start)


def walk_down(
    run: Run, winner: Finalist, wanted: trajectory.Wanted, *, start: Trained | None = None
) -> tuple[Finalist, list[Finalist]]:
    """One training of ``winner`` through many sizes, of which the good ones are trained on: what is wanted of them.

    First what to deliver: the smallest whose loss is tolerated, or the most accurate, inside the budget; ``winner``
    where none is as good as it has to be. Then, if wanted, the sizes that nobody beats, above and below the budget,
    compacted, by rising size. Sizes are trained from fresh weights, or on from ``start``.
    """
    run.begin("trajectory")
    bench, local = trajectory.smallest_budget(run.bench, winner.values), run.directory.local

    def keep(editor: GrowPrune) -> float:
        """The network as it came to a step, in a file of its own."""
        scores = bench.scores(editor.model)
        cost = bench.price(editor.model, editor.masks)
        point = Trained(editor.model, editor.masks, scores, cost, (), 0.0, 0.0)
        remember(local / f"size-{len(editor.edits):02}.done", winner.values, point)
        return scores.error

    dense, least = dense_cost(bench.template, winner.values, bench.dataset.spec).params, bench.budget.max_params
    assert least is not None

    def walk() -> list[Finalist | None]:
        """The sizes, largest last; None for one whose file is damaged."""
        last = trained_in(
            replace(run, bench=bench),
            "trajectory",
            winner.values,
            phase="trajectory",
            seconds=left(run, run.plan.ends("trajectory"), 1),
            scheme=trajectory.stairs(dense, least, through=run.bench.budget.max_params),
            announce=False,
            start=start,
            watch=keep,
        )
        return [last, *(recall(bench, path, path.stem) for path in sorted(local.glob("size-*.done"), reverse=True))]

    walked = walk()
    if None in walked:
        (local / "trajectory.done").unlink(missing_ok=True)
        walked = walk()
    sizes = [one for one in walked if one is not None]
    fitting = [one for one in sizes if run.bench.budget.violation(one.trained.cost) == 0]
    run.begin("polish")
    promising = [sizes[at] for at in survivors([one.trained for one in sizes], "params")] if wanted.front else []
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
    ready = [replace(one, trained=compacted(one.trained, _unbounded(run).bench)) for one in polished.values()]
    members = [ready[at] for at in survivors([one.trained for one in ready], "params")] if wanted.front else []
    front = [replace(one, name=f"{place:02}") for place, one in enumerate(members, start=1)]
    return winner if chosen is None else chosen, front


def _unbounded(run: Run) -> Run:
    """``run`` without a budget: a size of the trajectory is its own."""
    return replace(run, bench=replace(run.bench, budget=Budget()))


def _polished(run: Run, size: Finalist, shares: float) -> Finalist:
    """A size of the trajectory, trained on with its masks held and a lower learning rate, without validation rows."""
    recipe = run.bench.recipe(size.values)
    return trained_in(
        _unbounded(run),
        f"polished-{size.name}",
        size.values,
        phase="polish",
        seconds=left(run, run.plan.ends("polish"), shares),
        scheme=None,
        announce=False,
        start=size.trained,
        recipe=replace(recipe, lr=ABSORPTION_LR * recipe.lr),
    )


def absorb(run: Run, chosen: Finalist) -> Trained:
    """The masks are final: train the network on, with the validation rows as well.

    As with ``refit``, the scores that come back are not validation scores.
    """
    bench = run.bench
    rows = torch.arange(len(bench.dataset.y))
    recipe = bench.recipe(chosen.values)
    recipe = replace(recipe, lr=ABSORPTION_LR * recipe.lr)
    seconds = left(run, run.plan.ends("absorption"), 1)
    return trained_in(
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
