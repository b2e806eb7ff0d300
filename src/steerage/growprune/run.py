"""The loop of local search: follows a scheme during a training, step by step down to the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from steerage.cost.budget import Budget
from steerage.cost.count import Cost, count
from steerage.cost.layers import layer_uses
from steerage.errors import InfeasibleBudget
from steerage.growprune import connections
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.masks import Masks
from steerage.growprune.schemes import Scheme, checked

AVERAGED_BATCHES = 10  # over about this many mini-batches gradients for growth are averaged


class HasMoments(Protocol):
    """An optimizer, PyTorch's or ours: what it remembers of each parameter."""

    @property
    def state(self) -> Mapping[Tensor, Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Edit:
    """What a step changed: active connections before and after, how many of them were grown, and when."""

    at: float
    before: int
    after: int
    grown: int


@dataclass
class GrowPrune:
    """Edits a network in training along ``scheme``: call ``step`` after every step of the optimizer, and ``finish``.

    Any loop and optimizer will do, with gradients accumulated, in autocast, compiled or distributed: all it reads is
    the weights, their gradients as they are after the optimizer's step, and the optimizer's moments. Of a wrapped
    network (DistributedDataParallel, torch.compile) it is given the one inside. ``state_dict`` and ``load_state_dict``
    save and restore it beside the network's and the optimizer's own.

    ``budget`` bounds the finished network: parameters and MACs with dormant connections left out. Networks that fit
    it densely are left as they are. ``exact``: what dead units leave free at the end is used for more connections,
    which takes a few compactions. ``seconds``: spent on edits so far. ``score`` ranks active connections (pruned from
    the bottom), ``growth`` ranks dormant ones by their averaged gradients. ``masks`` that are given hold from the
    first step on; without them, weights that start at zero are free until the first edit. Raises: InfeasibleBudget if
    not even one connection per layer fits.
    """

    model: nn.Module
    budget: Budget
    input_shape: tuple[int, ...]
    scheme: Scheme
    score: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = connections.layer_adaptive
    growth: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = connections.gradient
    masks: Masks = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    next_step: int = 0
    exact: bool = True
    seconds: float = 0.0

    def __post_init__(self) -> None:
        checked(self.scheme)
        self._progress = 0.0
        self._held = bool(self.masks)
        self.masks = {**masking.full(self.model), **self.masks} if self._held else masking.initial(self.model)
        self._weights = masking.weights(self.model)
        self._macs = _macs_per_weight(self.model, self.input_shape)
        self._gradients: dict[str, Tensor] = {}
        self._start = masking.active(self.masks)
        cost = count(self.model, self.input_shape, masks=self.masks)
        self._fixed_params = cost.params - self._start
        self._fixed_macs = cost.macs - self._macs_of(self.masks)
        # What is free to grow counts as grown.
        self.needed = self.budget.violation(cost if self._held else count(self.model, self.input_shape)) > 0
        if not self.needed and not self._held:
            self.masks = masking.full(self.model)
        self._limits_checked()

    def step(self, optimizer: HasMoments, progress: float) -> None:
        """After a step of ``optimizer``: hold dormant weights at zero; edit when the scheme says so.

        ``progress`` in [0, 1]: share of the training that is done. Gradients must still be there.
        """
        self._progress = progress
        if not self.needed:
            if self._held:
                masking.apply_(self.model, self.masks)
            return
        while self.next_step < len(self.scheme) and progress >= self.scheme[self.next_step].at:
            # Steps that were passed within one optimizer step are one edit.
            self.next_step += 1
            if self.next_step == len(self.scheme) or progress < self.scheme[self.next_step].at:
                self._edit(optimizer)
        if self.next_step > 0 or self._held:
            masking.apply_(self.model, self.masks)
        if self.next_step < len(self.scheme) and self.scheme[self.next_step].exchange > 0:
            self._average_gradients()

    def finish(self, optimizer: HasMoments) -> None:
        """Reach the target now, if the training ended before the scheme did. The network is inside the budget then."""
        if self.needed and self.next_step < len(self.scheme):
            self.next_step = len(self.scheme)
            self._edit(optimizer)
        if self.needed and self.exact:
            self.masks = within(self.model, self.budget, self.input_shape, self.masks, score=self.score)
        if self.needed:
            masking.apply_(self.model, self.masks)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers, for ``torch.save`` or ``steerage.store.save_tree``."""
        return {
            "masks": dict(self.masks),
            "gradients": dict(self._gradients),
            "next_step": self.next_step,
            "edits": [[edit.at, edit.before, edit.after, edit.grown] for edit in self.edits],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, saved of the same network, budget and scheme."""
        self.masks = {name: mask.bool() for name, mask in state["masks"].items()}
        self._gradients = {
            name: torch.empty_like(self._weights[name]).copy_(value) for name, value in state["gradients"].items()
        }
        self.next_step = int(state["next_step"])
        self.edits = [Edit(at, int(before), int(after), int(grown)) for at, before, after, grown in state["edits"]]

    def _edit(self, optimizer: HasMoments) -> None:
        began = time.monotonic()
        step = self.scheme[self.next_step - 1]
        before = masking.active(self.masks)
        scores = self.score(self._weights)
        new = self._selected(scores, step.done)
        grown = 0
        if step.exchange > 0 and self._gradients and step.done < 1.0:
            new, grown = self._exchanged(new, scores, step.exchange)
        if step.done == 1.0 and self.exact:
            new = self._filled(new, scores)
        _clear_moments(optimizer.state, self._weights, self.masks, new)
        self.masks, self._gradients = new, {}
        masking.apply_(self.model, self.masks)
        self.edits.append(Edit(self._progress, before, masking.active(new), grown))
        self.seconds += time.monotonic() - began

    def _selected(self, scores: Mapping[str, Tensor], done: float, *, slack: int = 0, macs_slack: int = 0) -> Masks:
        """Best connections by score, as many as the bounds allow when ``done`` of the way to them is done."""
        available = self._start if done < 1.0 else sum(score.numel() for score in scores.values())
        keep = self._start
        if self.budget.max_params is not None:
            target = min(self._start, self.budget.max_params - self._fixed_params + slack)
            keep = round(self._start + (target - self._start) * done)
        chosen = connections.keep_best(scores, min(keep, available))
        if self.budget.max_macs is not None:
            total = self._macs_of({name: torch.ones_like(mask) for name, mask in self.masks.items()})
            target_macs = min(total, self.budget.max_macs - self._fixed_macs + macs_slack)
            chosen = self._within_macs(chosen, scores, round(total + (target_macs - total) * done))
        return chosen

    def _within_macs(self, chosen: Masks, scores: Mapping[str, Tensor], limit: int) -> Masks:
        """The best of ``chosen`` whose MACs together stay within ``limit``."""
        if self._macs_of(chosen) <= limit:
            return chosen
        low, high = 0, masking.active(chosen)  # MACs grow with the count, so the largest one is found by halves
        while low < high:
            middle = (low + high + 1) // 2
            if self._macs_of(connections.keep_best(scores, middle, among=chosen)) <= limit:
                low = middle
            else:
                high = middle - 1
        return connections.keep_best(scores, low, among=chosen)

    def _exchanged(self, chosen: Masks, scores: Mapping[str, Tensor], share: float) -> tuple[Masks, int]:
        """``chosen`` with ``share`` of it replaced by those connections of the rest with the largest gradients."""
        total = masking.active(chosen)
        grown = round(share * total)
        kept = connections.keep_best(scores, total - grown, among=chosen)
        gradients = self.growth(self._gradients)
        born = connections.grow(kept, gradients, grown)
        if self.budget.max_macs is not None and self._macs_of(born) > self._macs_of(chosen):
            return chosen, 0  # the connections that growth wants are the dear ones; keep the cheaper set
        new = sum(int((mask & ~self.masks[name]).sum()) for name, mask in born.items())
        return born, new

    def _filled(self, chosen: Masks, scores: Mapping[str, Tensor]) -> Masks:
        """``chosen`` with what dead units leave free used for more connections, exactly up to the budget."""
        best, slack, macs_slack = chosen, 0, 0
        for _ in range(6):
            cost = _compact_cost(self.model, self.input_shape, chosen)
            if self.budget.violation(cost) == 0:
                best = chosen
            free = self.budget.max_params - cost.params if self.budget.max_params is not None else 0
            free_macs = self.budget.max_macs - cost.macs if self.budget.max_macs is not None else 0
            if free == 0 and free_macs == 0:
                break
            slack, macs_slack = slack + free, macs_slack + free_macs
            larger = self._selected(scores, 1.0, slack=slack, macs_slack=macs_slack)
            if all(torch.equal(larger[name], chosen[name]) for name in chosen):
                break
            chosen = larger
        return best

    def _average_gradients(self) -> None:
        for name, weight in self._weights.items():
            # A layer that is frozen or not called has none.
            new = torch.zeros_like(weight) if weight.grad is None else weight.grad
            if name in self._gradients:
                self._gradients[name].lerp_(new, 1.0 / AVERAGED_BATCHES)
            else:
                self._gradients[name] = new.detach().clone()

    def _macs_of(self, masks: Mapping[str, Tensor]) -> int:
        return sum(int(mask.sum()) * self._macs[name] for name, mask in masks.items())

    def _limits_checked(self) -> None:
        if not self.needed:
            return
        least = len(self.masks)
        bound = self.budget.max_params
        if bound is not None and bound - self._fixed_params < least:
            raise InfeasibleBudget("max_params", bound, self._fixed_params + least, {})
        macs, least_macs = self.budget.max_macs, self._fixed_macs + sum(self._macs.values())
        if macs is not None and macs < least_macs:
            raise InfeasibleBudget("max_macs", macs, least_macs, {})


def within(
    model: nn.Module,
    budget: Budget,
    input_shape: tuple[int, ...],
    masks: Masks,
    *,
    score: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = connections.layer_adaptive,
) -> Masks:
    """``masks`` without their lowest connections, as many of them as hold the compacted network outside ``budget``.

    After the last edit a network can grow by a little: a unit without inputs that was zero, and so did nothing, does
    something once its bias has been trained.
    """
    while left := masking.active(masks):
        cost = _compact_cost(model, input_shape, masks)
        if budget.violation(cost) == 0:
            break
        over = cost.params - budget.max_params if budget.max_params is not None else 0
        if budget.max_macs is not None and cost.macs > budget.max_macs:
            over = max(over, (cost.macs - budget.max_macs) * left // max(1, cost.macs))
        scores = score(masking.weights(model))
        masks = connections.prune(masks, {name: scores[name] for name in masks}, min(max(1, over), left))
    return masks


def _compact_cost(model: nn.Module, input_shape: tuple[int, ...], masks: Masks) -> Cost:
    """Cost of ``model`` with ``masks`` once its dead units have left."""
    small, small_masks = compact(model, input_shape, masks=masks)
    return count(small, input_shape, masks=small_masks)


def _macs_per_weight(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    """Positions at which each layer's weight is applied, summed over the calls of the layer, by parameter name."""
    positions = dict.fromkeys(masking.weights(model), 0)
    for use in layer_uses(model, input_shape)[0]:
        name = f"{use.name}.weight" if use.name else "weight"
        if name in positions:
            positions[name] += use.positions
    return positions


@torch.no_grad()
def _clear_moments(
    state: Mapping[Tensor, Mapping[str, Tensor]], weights: Mapping[str, Tensor], old: Masks, new: Masks
) -> None:
    """Zero the optimizer's moments of every connection that was born or died: they belong to another weight."""
    for name, weight in weights.items():
        for value in state.get(weight, {}).values():
            if isinstance(value, Tensor) and value.shape == weight.shape:  # unlike the number of steps
                value.mul_(old[name] == new[name])
