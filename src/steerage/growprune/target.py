"""What a budget leaves to connections, and which of them to keep so that a network ends inside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from steerage.cost.budget import BOUNDED, Budget
from steerage.cost.count import Cost, count
from steerage.cost.layers import layer_uses
from steerage.errors import BadArgument, InfeasibleBudget
from steerage.growprune import connections
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.connections import Score, Signals
from steerage.growprune.masks import Masks

BYTES = 5  # of flash for a connection: its weight, and where it comes from
CODE = ("max_flash", "max_instructions")  # bounds on code that connections count for
LOOKS = 8  # for the number of connections at which code has the size that is allowed
MOST_LOOKS = 40  # until any number is found
CLOSE = 0.01  # by which share it may be smaller
SHARE_LOOKS = 7  # for the price of MACs beside that of parameters
Pricing = Callable[[nn.Module, Masks], Cost]


def counting(input_shape: tuple[int, ...]) -> Pricing:
    """Parameters and MACs alone."""
    return lambda model, masks: count(model, input_shape, masks=masks)


@final
class Target:
    """Counts of connections on the way from ``masks`` to ``budget``.

    ``start``: connections at the beginning. ``needed``: whether the network is outside the budget; ``grown``: what to
    count for that, the network with its masks by default. ``price``: what networks cost, also as code where the budget
    bounds that. ``look_again`` after the network has changed its shape.

    Raises: BadArgument for a bound on code where ``price`` says nothing of it.
    """

    def __init__(
        self,
        model: nn.Module,
        budget: Budget,
        input_shape: tuple[int, ...],
        masks: Masks,
        *,
        price: Pricing,
        grown: Cost | None = None,
    ) -> None:
        self.model, self.budget, self.input_shape, self.price = model, budget, input_shape, price
        self.start, self.macs_share = masking.active(masks), 0.0
        cost = self.look_again(masks)
        if budget.on_device and cost.flash is None:
            raise BadArgument("bounds on code need to know it: give price=steerage.cost.Price(...)")
        self.needed = budget.violation(grown or cost) > 0
        self._most = cost

    def look_again(self, masks: Masks) -> Cost:
        """Count anew what is no connection and stays whatever is pruned; the cost of the network with ``masks``."""
        self.macs = _macs_per_weight(self.model, self.input_shape)
        cost = self.price(self.model, masks)
        self.fixed_params = cost.params - masking.active(masks)
        self.fixed_macs = cost.macs - self.macs_of(masks)
        return cost

    def check(self, masks: Masks, *, ram: bool = True) -> None:
        """Raises: InfeasibleBudget if not even one connection per layer fits, or, if that is asked, not the RAM."""
        least, bound = len(masks), self.budget.max_params
        if bound is not None and bound - self.fixed_params < least:
            raise InfeasibleBudget("max_params", bound, self.fixed_params + least, {})
        macs, least_macs = self.budget.max_macs, self.fixed_macs + sum(self.macs.values())
        if macs is not None and macs < least_macs:
            raise InfeasibleBudget("max_macs", macs, least_macs, {})
        if not self.budget.on_device:
            return
        none = self.price(self.model, {name: torch.zeros_like(mask) for name, mask in masks.items()})
        for name in ("max_flash", "max_ram", "max_instructions"):
            allowed, needed = getattr(self.budget, name), getattr(none, BOUNDED[name])
            asked = ram or name != "max_ram"
            if asked and allowed is not None and needed is not None and needed > allowed:
                raise InfeasibleBudget(name, allowed, needed, {})

    def connections(self, done: float, *, slack: int = 0) -> int:
        """How many are left when ``done`` of the way is, as far as parameters say."""
        if self.budget.max_params is None:
            return self.start
        target = min(self.start, self.budget.max_params - self.fixed_params + slack)
        return round(self.start + (target - self.start) * done)

    def room(self, chosen: Masks, done: float) -> int:
        """How many there may be when ``done`` of the way is, by parameters and by what ``chosen`` leaves of the rest.

        ``chosen``: inside the MACs and flash of that moment. What comes beside is taken to be as dear as the average.
        """
        active = masking.active(chosen)
        rooms = [self.connections(done)]
        if self.budget.max_macs is not None:
            macs = self.macs_of(chosen)
            rooms.append(active + max(0, self._macs_limit(chosen, done) - macs) * active // max(1, macs))
        bounds = [bound for bound in CODE if getattr(self.budget, bound) is not None]
        if bounds:
            cost = self.price(self.model, chosen)
            for bound in bounds:
                left = self._code_limit(bound, done) - (getattr(cost, BOUNDED[bound]) or 0)
                rooms.append(active + math.floor(max(0.0, left) / _each(bound, cost, active)))
        return min(rooms)

    def _macs_limit(self, masks: Masks, done: float, *, slack: int = 0) -> int:
        total = self.macs_of({name: torch.ones_like(mask) for name, mask in masks.items()})
        target = min(total, (self.budget.max_macs or 0) - self.fixed_macs + slack)
        return round(total + (target - total) * done)

    def _code_limit(self, bound: str, done: float) -> float:
        """What ``done`` of the way allows of what ``bound`` is on."""
        begin = getattr(self._most, BOUNDED[bound]) or 0
        return float(begin + (min(begin, getattr(self.budget, bound)) - begin) * done)

    def weighed(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``scores`` for each part of the budget that a connection takes (``weigh``)."""
        if self.macs_share == 0.0:
            return dict(scores)
        params, macs = self.budget.max_params, self.budget.max_macs
        assert params is not None and macs is not None
        # What a connection takes of the MACs, where what it takes of the parameters is 1.
        taken = {name: max(1, self.macs[name]) * params / macs for name in scores}
        return {name: score / (1.0 - self.macs_share + self.macs_share * taken[name]) for name, score in scores.items()}

    def weigh(self, scores: Mapping[str, Tensor], keep: int, among: Masks, done: float) -> None:
        """Find how much MACs count beside parameters in ``weighed`` for the best ``keep`` to be inside the MACs.

        A connection at the resolution of the image takes hundreds of times the MACs of one behind the last pooling.
        Were they told apart by their scores alone, all layers would give way until the MACs fit, and most of the
        parameters that are allowed would stay unused. With both bounds, the greedy choice is by score over what a
        connection takes of the two, and the prices of the two are found by halves (the knapsack's multipliers).
        Without a bound on parameters there are none to use, and scores are what they are.
        """
        self.macs_share = 0.0
        if self.budget.max_macs is None or self.budget.max_params is None:
            return
        limit, low, high = self._macs_limit(among, done), 0.0, 1.0
        if self.macs_of(connections.keep_best(scores, keep, among=among)) <= limit:
            return
        for _ in range(SHARE_LOOKS):
            self.macs_share = (low + high) / 2
            if self.macs_of(connections.keep_best(self.weighed(scores), keep, among=among)) <= limit:
                high = self.macs_share
            else:
                low = self.macs_share
        self.macs_share = high

    def within_macs(self, chosen: Masks, scores: Mapping[str, Tensor], done: float, *, slack: int = 0) -> Masks:
        """The best of ``chosen`` whose MACs are no more than ``done`` of the way allows."""
        if self.budget.max_macs is None:
            return chosen
        limit = self._macs_limit(chosen, done, slack=slack)
        return self.most_within(
            limit, chosen, lambda count: connections.keep_best(scores, count, among=chosen), masking.active(chosen)
        )

    def most_within(self, macs: int, whole: Masks, masks_of: Callable[[int], Masks], count: int) -> Masks:
        """``whole``, which is ``masks_of(count)``, or that of the largest smaller count with no more than ``macs``.

        MACs grow with the count, so it is found by halves.
        """
        if self.macs_of(whole) <= macs:
            return whole
        low, high = 0, count - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.macs_of(masks_of(middle)) <= macs:
                low = middle
            else:
                high = middle - 1
        return masks_of(low)

    def within_code(self, chosen: Masks, scores: Mapping[str, Tensor], done: float) -> Masks:
        """The best of ``chosen`` whose code takes no more than ``done`` of the way allows, or a little less."""
        for bound in CODE:
            if getattr(self.budget, bound) is not None:
                chosen = self._within_bound(bound, chosen, scores, done)
        return chosen

    def _within_bound(self, bound: str, chosen: Masks, scores: Mapping[str, Tensor], done: float) -> Masks:
        def size_of(cost: Cost) -> int:
            return getattr(cost, BOUNDED[bound]) or 0

        limit = self._code_limit(bound, done)
        cost = self.price(self.model, chosen)
        most, taken = masking.active(chosen), size_of(cost)
        if taken <= limit:
            return chosen
        # A straight line in the number of connections where layers are stored sparsely, level where they are dense:
        # a look where the line would be is followed by one half-way.
        none = {name: torch.zeros_like(mask) for name, mask in chosen.items()}
        low, least, best = 0, size_of(self.price(self.model, none)), chosen
        guess = most - math.ceil((taken - limit) / _each(bound, cost, most))
        for look in range(MOST_LOOKS):
            if most - low <= 1 or (look >= LOOKS and low > 0):
                break
            middle = (low + most) // 2 if look % 2 else min(most - 1, max(low + 1, guess))
            tried = connections.keep_best(scores, middle, among=chosen)
            size = size_of(self.price(self.model, tried))
            if size <= limit:
                low, least, best = middle, size, tried
                if size >= (1.0 - CLOSE) * limit:
                    break
            else:
                most, taken = middle, size
            guess = low + math.floor((most - low) * (limit - least) / max(1, taken - least))
        return best if low > 0 else connections.keep_best(scores, low, among=chosen)

    def macs_of(self, masks: Mapping[str, Tensor]) -> int:
        return sum(int(mask.sum()) * self.macs[name] for name, mask in masks.items())

    def filled(self, chosen: Masks, scores: Mapping[str, Tensor], allowed: Masks) -> Masks:
        """``chosen`` with what dead units leave free used for more connections, exactly up to the budget."""
        best, macs_slack, budget = chosen, 0, self.budget
        most = masking.active(allowed)
        keep = self.connections(1.0) if budget.max_params is not None else self.start
        keep = masking.active(chosen) if any(getattr(budget, bound) is not None for bound in CODE) else keep
        for _ in range(12):  # what comes back may be of a dead unit, and leave free what it took
            cost = compact_cost(self.model, self.input_shape, chosen, self.price)
            if budget.violation(cost) == 0:
                best = chosen
            free = self._free(cost, masking.active(chosen))
            free_macs = budget.max_macs - cost.macs if budget.max_macs is not None else 0
            if free == 0 and free_macs == 0:
                break
            macs_slack += free_macs
            keep = max(0, min(keep + free, self.start, most))
            larger = connections.keep_best(scores, keep, among=allowed)
            larger = self.within_macs(larger, scores, 1.0, slack=macs_slack)
            if all(torch.equal(larger[name], chosen[name]) for name in chosen):
                break
            chosen = larger
        return best

    def _free(self, cost: Cost, active: int) -> int:
        """Connections that parameters and code leave room for beside ``cost``, or that are too many where negative."""
        free = []
        if self.budget.max_params is not None:
            free.append(self.budget.max_params - cost.params)
        for bound in CODE:
            allowed, used = getattr(self.budget, bound), getattr(cost, BOUNDED[bound])
            if allowed is not None and used is not None:
                free.append(math.floor((allowed - used) / _each(bound, cost, active)))
        return min(free, default=0)


@torch.no_grad()
def within(
    model: nn.Module,
    budget: Budget,
    input_shape: tuple[int, ...],
    masks: Masks,
    *,
    score: Score = connections.layer_adaptive,
    squares: Mapping[str, Tensor] | None = None,
    price: Pricing | None = None,
) -> Masks:
    """``masks`` without their lowest connections, as many of them as hold the compacted network outside ``budget``.

    After the last edit a network can grow by a little: a unit without inputs that was zero, and so did nothing, does
    something once its bias has been trained. RAM is a matter of units, and stays.
    """
    price = price or counting(input_shape)
    while left := masking.active(masks):
        cost = compact_cost(model, input_shape, masks, price)
        if not budget.excess(cost).keys() - {"max_ram"}:
            break
        over = cost.params - budget.max_params if budget.max_params is not None else 0
        for bound in CODE:
            allowed, used = getattr(budget, bound), getattr(cost, BOUNDED[bound])
            if allowed is not None and used is not None:
                over = max(over, math.ceil((used - allowed) / _each(bound, cost, left)))
        if budget.max_macs is not None and cost.macs > budget.max_macs:
            over = max(over, (cost.macs - budget.max_macs) * left // max(1, cost.macs))
        scores = score(Signals(masking.weights(model), squares=squares or {}))
        masks = connections.prune(masks, {name: scores[name] for name in masks}, min(max(1, over), left))
    return masks


def _each(bound: str, cost: Cost, active: int) -> float:
    """What a connection takes of a bound on code, about."""
    return BYTES if bound == "max_flash" else max(1.0, (cost.instructions or 0) / max(1, active))


def compact_cost(model: nn.Module, input_shape: tuple[int, ...], masks: Masks, price: Pricing) -> Cost:
    """Cost of ``model`` with ``masks`` once its dead units have left."""
    small, small_masks = compact(model, input_shape, masks=masks)
    return price(small, small_masks)


def _macs_per_weight(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    """Positions at which each layer's weight is applied, summed over the calls of the layer, by parameter name."""
    positions = dict.fromkeys(masking.weights(model), 0)
    for use in layer_uses(model, input_shape)[0]:
        name = f"{use.name}.weight" if use.name else "weight"
        if name in positions:
            positions[name] += use.positions
    return positions
