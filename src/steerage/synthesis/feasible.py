"""What a budget leaves of a template: which candidates can be pruned into it, and where to begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from steerage.cost.budget import Budget
from steerage.cost.count import Cost, dense_cost, least_cost
from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed
from steerage.growprune.run import GrowPrune
from steerage.growprune.schemes import FitRam, gradual
from steerage.search.propose import find_feasible
from steerage.space import Values
from steerage.synthesis.candidate import Bench, build
from steerage.synthesis.own_network import OwnNetwork
from steerage.templates.like import Like

# How much denser it is best to be: too little is left of far denser ones, and smaller ones leave little to choose from.
EXPANSION = 6.0
ABOUT_DENSE = 1.1  # times a bound on flash: what little is pruned then is found in layers that are not stored densely
# Training images a parameter: a network of which no more are allowed cannot learn them even as they are within minutes
MANY_ROWS = 20  # (benchmarks/recipes.py: tiny); in many times that it can
GENTLE = 0.5  # how far they are changed then, times what suits them otherwise
LOOKS, CODE_LOOKS = 2000, 300  # candidates that are priced before a budget is refused; code takes longer to price
FLOAT, INTEGER = 4, 1  # bytes of flash of a weight
PLACE = 1  # bytes that say where a connection is, in a layer that is not stored densely
UNBUILDABLE = 1e6  # violation of a candidate that the template fails to build


def check_feasible(bench: Bench, seed: int) -> None:
    """Raises: InfeasibleBudget, with the smallest cost that the template reaches, if nothing in it fits the budget."""
    spec, space = bench.dataset.spec, bench.template.space(bench.dataset.spec)
    starts, looks = bench.template.starts(spec), CODE_LOOKS if bench.budget.on_device else LOOKS
    best = find_feasible(space, violation=violation_of(bench), seed=seed, start=starts, max_evaluations=looks)
    if best.violation <= 0:
        if isinstance(bench.template, OwnNetwork):
            _check_ram(bench, best.values, seed)
        return
    if bench.depth is not None:
        free = replace(bench, depth=None)
        check_feasible(free, seed)  # the budget may be at fault
        raise BadArgument(
            f"no candidate of template {bench.template.name} with {bench.depth} layers was found inside the budget; "
            f"the nearest has {bench.template.depth(best.values)}"
        )
    least_cost(bench.template, best.values, spec)  # raises TrainingFailed if not one candidate can be built
    bounds = {name: bound for name, bound in bench.budget.to_json().items() if bound is not None}
    for name, bound in bounds.items():

        def excess(values: Values, name: str = name, bound: float = bound) -> float:
            try:
                return _needed(bench, values)[name] / bound - 1.0
            except TrainingFailed:
                return UNBUILDABLE

        smallest = find_feasible(space, violation=excess, seed=seed, start=starts, max_evaluations=looks)
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


def _check_ram(bench: Bench, values: Values, seed: int) -> None:
    """Raises: InfeasibleBudget for a bound on RAM that the user's own network exceeds when all units have left it that
    can. Which of them leave depends on weights, what is left if all do does not.
    """
    spec, bound = bench.dataset.spec, bench.budget.max_ram
    if bound is not None:
        ram = Budget(max_ram=bound)
        GrowPrune(
            build(bench, values, seed), ram, spec.input_shape, (FitRam(), *gradual()), price=bench.price
        ).fit_ram()


def check_latency(bench: Bench, seed: int) -> None:
    """Measure what latencies are estimated by, where there is a bound on them. All other bounds can be met.

    Raises: InfeasibleBudget, with the latency of the candidate nearest to the bound, if nothing keeps it;
    UnsupportedLayer for candidates without ONNX form.
    """
    if bench.latency is None or not bench.latency.bounds:
        return
    latency, others = bench.latency, violation_of(replace(bench, latency=None))
    space, starts = bench.template.space(bench.dataset.spec), bench.template.starts(bench.dataset.spec)
    latency.explore(bench, others, starts, seed)

    def slowness(values: Values) -> float:
        return latency.violation(bench, values) if others(values) == 0 else UNBUILDABLE

    best = find_feasible(space, violation=slowness, seed=seed, start=starts, max_evaluations=LOOKS)
    if best.violation > 0:
        nearest = latency.of(bench, best.values).median_ms
        if nearest > latency.max_ms:
            raise InfeasibleBudget("max_latency_ms", latency.max_ms, nearest, best.values)


def weight_bytes(bench: Bench) -> int:
    """Flash of a weight in a layer that is stored densely."""
    return INTEGER if bench.int8 else FLOAT


def dense_instructions(bench: Bench, values: Values) -> int:
    """Instructions of a candidate with all connections; 0 where they have no bound, or it cannot be built."""
    if bench.budget.max_instructions is None:
        return 0
    try:
        return bench.price.dense(bench.template, values).instructions or 0
    except TrainingFailed:
        return 0


def _needed(bench: Bench, values: Values) -> dict[str, int]:
    """The smallest budget by name of its bounds in which ``violation_of`` is 0. Raises: TrainingFailed."""
    spec, own = bench.dataset.spec, isinstance(bench.template, OwnNetwork)
    least, dense = _least(bench, values), dense_cost(bench.template, values, spec)
    pairs = {"max_params": (least.params, dense.params), "max_macs": (least.macs, dense.macs)}
    if least.instructions is not None:
        most = bench.price.dense(bench.template, values).instructions or 0
        pairs["max_instructions"] = (least.instructions, most)
    times = bench.max_expansion
    found = {name: pruned if own else max(pruned, math.ceil(full / times)) for name, (pruned, full) in pairs.items()}
    code = {"max_flash": least.flash, "max_ram": least.ram}
    return {**found, **{name: needed for name, needed in code.items() if needed is not None}}


def _least(bench: Bench, values: Values) -> Cost:
    """The smallest cost of a candidate with all its units, as code too if that is bounded. Raises: TrainingFailed.

    Its flash has room for one of ``max_expansion`` connections besides.
    """
    if not bench.budget.on_device:
        return least_cost(bench.template, values, bench.dataset.spec)
    least = bench.price.least(bench.template, values)
    if least.flash is None or isinstance(bench.template, OwnNetwork):
        return least
    return replace(least, flash=least.flash + math.ceil(_connection_bytes(bench, values) / bench.max_expansion))


def _connection_bytes(bench: Bench, values: Values) -> int:
    """Flash of all connections of a candidate, as connections are stored that are few."""
    return (weight_bytes(bench) + PLACE) * dense_cost(bench.template, values, bench.dataset.spec).params


def _crowding(bench: Bench, values: Values) -> int:
    """Flash that a candidate asks for, if its connections were as many more than fit as the budget is less than that.

    Code and what units take are there whatever is pruned, and of a small flash the larger part.
    """
    bound = bench.budget.max_flash
    if bound is None:
        return 0
    try:
        room = bound - (bench.price.least(bench.template, values).flash or 0)
    except TrainingFailed:
        return 0
    return round(bound * _connection_bytes(bench, values) / max(1, room))


def violation_of(bench: Bench) -> Callable[[Values], float]:
    """How far a candidate is from being prunable into the budget: 0 where it is.

    Its least cost, at which every unit keeps one connection, must be inside the budget, and its dense cost within
    ``bench.max_expansion`` times the budget, unless it is the user's own network, whose units can leave. One that
    cannot be built is far from it. The number of its layers must be the one that is asked for, if one is. Where a
    published network is the measure, its layers return no more than ``bench.max_expansion`` times as many values as
    those of it: MACs do not tell that many narrow layers train ten times as long as few wide ones.
    """
    spec, budget, own, depth = bench.dataset.spec, bench.budget, isinstance(bench.template, OwnNetwork), bench.depth
    weights = None if budget.max_flash is None else budget.max_flash // weight_bytes(bench)
    bounds = [bound for bound in (budget.max_params, weights) if bound is not None]
    roomy = Budget(
        None if not bounds else round(bench.max_expansion * min(bounds)),
        None if budget.max_macs is None else round(bench.max_expansion * budget.max_macs),
    )
    most = None if budget.max_instructions is None else round(bench.max_expansion * budget.max_instructions)
    quick = Budget(max_instructions=most)
    pruned = replace(budget, max_ram=None) if own else budget
    returned = Budget(max_macs=_most_returned(bench))

    def violation(values: Values) -> float:
        try:
            least = least_cost(bench.template, values, spec)
            counted = budget.counted.violation(least) + returned.violation(least)
            if depth is not None:
                counted += abs((bench.template.depth(values) or 0) - depth) / depth
            if not own:
                counted += roomy.violation(dense_cost(bench.template, values, spec))
            # Code takes longer to price, so it waits until everything else is as it should be; so do latencies.
            if counted == 0 and pruned.on_device:
                counted = pruned.violation(_least(bench, values))
                if most is not None and not own:
                    counted += quick.violation(bench.price.dense(bench.template, values))
            return counted if counted > 0 or bench.latency is None else bench.latency.violation(bench, values)
        except TrainingFailed:
            return UNBUILDABLE

    return violation


def _most_returned(bench: Bench) -> int | None:
    """How many values all layers of a candidate may return for a row; None where no published network is the measure.

    They are the MACs of a network of which each unit has one connection.
    """
    if not isinstance(bench.template, Like):
        return None
    spec = bench.dataset.spec
    published = least_cost(bench.template, bench.template.baseline(spec), spec)
    return round(bench.max_expansion * published.macs)


def starting_points(bench: Bench) -> list[Values]:
    """Points that the template would try first, best bet first: those about ``EXPANSION`` times as dense as the budget,
    or ``bench.max_expansion`` times where that is less.

    Within a factor of two, or where there is no budget, in the template's order; what is denser comes narrower, and
    as it is behind all others. They change the training images less where the network is starved (``is_starved``).
    Where the flash of integers is bounded each is as narrow as it takes to fit with all its connections: saying
    where a connection is takes as much as an integer, so that half of them would be all that pruning leaves of a
    wider one.
    """
    spec, space = bench.dataset.spec, bench.template.space(bench.dataset.spec)
    starts = [_gentler(bench, values) for values in bench.template.starts(spec)]

    def miss(values: Values) -> int:
        return abs(round(_excess(bench, values)))

    in_order = sorted(starts, key=miss)
    if bench.int8 and bench.budget.max_flash is not None:
        narrow = [found for values in starts if (found := _as_wide_as_fits(bench, values)) is not None]
    else:
        narrow = sorted((_dense_enough(bench, values) for values in starts), key=miss)
    return list({space.key(values): values for values in [*narrow, *in_order]}.values())


def is_starved(bench: Bench) -> bool:
    """Whether the budget allows no more than a parameter for ``MANY_ROWS`` training images."""
    return images_for_each_parameter(bench) >= MANY_ROWS


def images_for_each_parameter(bench: Bench) -> float:
    """Training images for each parameter that the budget allows; 0 where it allows any number, and for other data."""
    flash = None if bench.budget.max_flash is None else bench.budget.max_flash // (weight_bytes(bench) + PLACE)
    allowed = min((bound for bound in (bench.budget.max_params, flash) if bound is not None), default=None)
    spec = bench.dataset.spec
    return spec.rows / max(1, allowed) if spec.kind == "image" and allowed is not None else 0.0


def _gentler(bench: Bench, values: Values) -> Values:
    """``values``, with ``GENTLE`` times the changes to the training images where the network is starved."""
    strength = values.get("augment")
    return values if strength is None or not is_starved(bench) else {**values, "augment": GENTLE * float(strength)}


def _excess(bench: Bench, values: Values) -> float:
    """Binary logarithm of how much denser than best a candidate is; 0 where there is no budget."""
    dense = dense_cost(bench.template, values, bench.dataset.spec)
    flash, instructions = _crowding(bench, values), dense_instructions(bench, values)
    expansion = bench.budget.expansion(replace(dense, flash=flash, ram=0, instructions=instructions))
    return math.log2(expansion / min(EXPANSION, bench.max_expansion)) if expansion else 0.0


def _dense_enough(bench: Bench, values: Values) -> Values:
    """``values``; where it is about twice as dense as is best, or denser than is allowed, a narrower version of it: the
    one nearest to what is best, of those that are allowed if there is any.
    """
    allowed, own = max(0.0, math.log2(bench.max_expansion / EXPANSION)), _excess(bench, values)
    if round(own) <= 0 and own <= allowed:
        return values

    def miss(one: Values) -> tuple[bool, float]:
        excess = _excess(bench, one)
        return excess > allowed, abs(excess)

    return min((values, *bench.template.narrower(values, bench.dataset.spec)), key=miss)


def _as_wide_as_fits(bench: Bench, values: Values) -> Values | None:
    """``values`` or the narrower version of it that computes most, of those that fit about densely; or else None."""
    spec, flash = bench.dataset.spec, bench.budget.max_flash
    assert flash is not None
    others = replace(bench.budget, max_flash=None)
    points = [values, *bench.template.narrower(values, spec)]
    counted = [(dense_cost(bench.template, one, spec), one) for one in points]
    for cost, one in sorted(counted, key=lambda pair: -pair[0].macs):
        if weight_bytes(bench) * cost.params > ABOUT_DENSE * flash:
            continue
        try:
            dense = bench.price.dense(bench.template, one)  # takes longer
        except TrainingFailed:
            continue
        if (dense.flash or 0) <= ABOUT_DENSE * flash and others.violation(dense) == 0:
            return one
    return None
