"""Connections: which (a score), how many (a count), do it (one edit for any layer).

A score maps what is known of a network to one number per weight; a selection turns scores and a count into masks. A
policy of one's own is one function with the signature of ``magnitude`` or ``gradient``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from steerage.errors import BadArgument
from steerage.growprune.graph import unit_graph
from steerage.growprune.masks import Masks
from steerage.nn.modes import evaluating


@final
@dataclass(frozen=True, eq=False)
class Signals:
    """What a score may look at, by parameter name, each of the weight's shape.

    ``gradients``: mean of the last mini-batches' gradients of the loss, where somebody needs them. ``squares``: mean
    of their squares (what Adam divides by), the diagonal of the empirical Fisher information; none of a frozen layer.
    ``remembered``: of dormant connections the weight that they had when they were pruned; 0 of all others.
    """

    weights: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    squares: Mapping[str, Tensor] = field(default_factory=dict)
    remembered: Mapping[str, Tensor] = field(default_factory=dict)


Score: TypeAlias = "Callable[[Signals], dict[str, Tensor]]"


def magnitude(signals: Signals) -> dict[str, Tensor]:
    """|w|: comparable within a layer, and between layers of like scale."""
    return {name: weight.detach().abs() for name, weight in signals.weights.items()}


def layer_adaptive(signals: Signals) -> dict[str, Tensor]:
    """LAMP: w² over the sum of all squares not smaller than it in its layer (arXiv 2010.07611, eq. 3).

    Comparable between layers: it is the share of a layer's output that is lost with the weight, so no layer is
    emptied because its weights happen to be small (normalization makes their scale arbitrary).
    """
    return _shares(signals.weights)


def sensitive(signals: Signals) -> dict[str, Tensor]:
    """LAMP times the root of the mean squared gradient: what a layer loses with the weight, times what that matters.

    A weight's w² times its mean squared gradient estimates by how much the loss rises without it (optimal brain
    damage, LeCun et al. 1989, with the empirical Fisher information as curvature); its root, beside LAMP, is less at
    the mercy of rows that are learnt by heart. Without squares it is LAMP; a layer without has the mean of the others.
    """
    roots = {name: value.detach().sqrt() for name, value in signals.squares.items()}
    means = {name: float(root.mean()) for name, root in roots.items()}
    known = [mean for mean in means.values() if mean > 0.0]
    other = sum(known) / len(known) if known else 1.0
    scores = _shares(signals.weights)
    for name, score in scores.items():
        score *= roots[name] if means.get(name, 0.0) > 0.0 else other
    return scores


def gradient(signals: Signals) -> dict[str, Tensor]:
    """|dL/dw| of averaged gradients: how fast a dormant connection would lower the loss (arXiv 1711.02017)."""
    return {name: value.detach().abs() for name, value in signals.gradients.items()}


def layer_adaptive_gradient(signals: Signals) -> dict[str, Tensor]:
    """LAMP of averaged gradients: growth that treats layers as layer-adaptive pruning does."""
    return _shares(signals.gradients)


def restoring(signals: Signals) -> dict[str, Tensor]:
    """By how much the loss falls, to first order, if a dormant connection gets the weight back that it had: -w dL/dw.

    0 where it would rise. One that never was active counts as if it had the mean size of its layer's weights, in the
    direction that the loss wants.
    """
    scores = {}
    for name, slope in signals.gradients.items():
        weight, slope = signals.weights[name].detach(), slope.detach()
        before = signals.remembered.get(name, torch.zeros_like(weight))
        sizes = torch.cat([weight[weight != 0].abs().flatten(), before[before != 0].abs().flatten()])
        typical = sizes.mean() if len(sizes) > 0 else torch.ones((), dtype=weight.dtype)
        scores[name] = torch.where(before != 0, (-slope * before).clamp_min(0.0), slope.abs() * typical)
    return scores


def _shares(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of each entry its square over the sum of all squares not smaller than it in its tensor.

    Only what is not zero is sorted: of a network that has been pruned that is little.
    """
    scores = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().flatten()
        used = flat.nonzero()[:, 0]
        sizes = flat[used].abs()
        order = _ascending(sizes)
        squares = sizes[order].double().square()
        remaining = squares.flip(0).cumsum(0).flip(0).clamp_min(1e-30)
        score = torch.zeros_like(flat)
        score[used[order]] = (squares / remaining).to(flat.dtype)
        scores[name] = score.view(tensor.shape)
    return scores


def _ascending(values: Tensor) -> Tensor:
    """Order of ``values`` (n,), the smallest first; NumPy finds it in half of the time of PyTorch, on CPUs."""
    return torch.from_numpy(values.numpy().argsort()) if values.device.type == "cpu" else values.argsort()


def random(generator: torch.Generator) -> Score:
    """A score that is uniform in [0, 1) and anew at each call: random growth, or random pruning."""

    def score(signals: Signals) -> dict[str, Tensor]:
        return {name: torch.rand(weight.shape, generator=generator) for name, weight in signals.weights.items()}

    return score


def output_scaled(model: nn.Module, input_shape: tuple[int, ...]) -> Score:
    """|w| times the gain of the batch norm that follows, as it is then: what the layer really outputs.

    The gain of a row is |gamma| / sqrt(running variance + eps); 1 where no batch norm alone reads the layer. Comparable
    between layers however normalization has let their weights shrink or grow. Raises: UnsupportedLayer for a network
    that cannot be traced, BadArgument if it cannot run on ``input_shape``.
    """
    with evaluating(model):
        parts = unit_graph(model, input_shape).parts.values()
    norms = {part.tensor_name("weight"): part.norm for part in parts if part.norm is not None}

    def gain(norm: _BatchNorm) -> Tensor:
        assert norm.running_var is not None
        gamma = norm.weight.detach().abs() if norm.weight is not None else torch.ones_like(norm.running_var)
        return gamma / (norm.running_var + norm.eps).sqrt()

    def score(signals: Signals) -> dict[str, Tensor]:
        found = magnitude(signals)
        for name, norm in norms.items():
            if name in found:
                found[name] = found[name] * gain(norm).view(-1, *[1] * (found[name].ndim - 1))
        return found

    return score


def keep_best(scores: Mapping[str, Tensor], count: int, *, among: Mapping[str, Tensor] | None = None) -> Masks:
    """Masks of the ``count`` highest scores over all layers, exactly; only positions that are True in ``among``.

    Raises: BadArgument when ``count`` is negative or more than there are to choose from.
    """
    names = list(scores)
    flat = torch.cat([scores[name].detach().flatten() for name in names])
    if among is not None:
        allowed = torch.cat([among[name].flatten() for name in names])
        flat = flat.masked_fill(~allowed, -torch.inf)
        available = int(allowed.sum())
    else:
        available = len(flat)
    if not 0 <= count <= available:
        raise BadArgument(f"cannot keep {count} connections out of {available}; choose a count from 0 to {available}")
    parts = torch.split(_highest(flat, count), [scores[name].numel() for name in names])
    return {name: part.view(scores[name].shape) for name, part in zip(names, parts, strict=True)}


def _highest(values: Tensor, count: int) -> Tensor:
    """Where the ``count`` highest of ``values`` (n,) are: (n,) bool; of equal ones the first, so on every run the same.

    What a stable sort gives, in time that grows with n alone: this is most of what an edit costs.
    """
    if count == 0:
        return torch.zeros(len(values), dtype=torch.bool)
    limit = values.kthvalue(len(values) - count + 1).values
    chosen = values > limit
    equal = (values == limit).nonzero()[:, 0]
    chosen[equal[: count - int(chosen.sum())]] = True
    return chosen


def keep_best_per_layer(
    scores: Mapping[str, Tensor], share: float, *, among: Mapping[str, Tensor] | None = None
) -> Masks:
    """Masks of the best ``share`` in (0, 1] of each layer's allowed positions, at least one."""
    chosen: Masks = {}
    for name, score in scores.items():
        allowed = {name: among[name]} if among is not None else None
        available = int(among[name].sum()) if among is not None else score.numel()
        count = min(available, max(1, round(share * available)))
        chosen |= keep_best({name: score}, count, among=allowed)
    return chosen


def keep_n_of_m(scores: Mapping[str, Tensor], n: int, m: int) -> Masks:
    """Masks of the best ``n`` of every ``m`` neighbours along the inputs of each row (N:M sparsity, arXiv 2102.04010).

    For a convolution the inputs of one place of the kernel are neighbours. A last group of fewer than ``m`` keeps
    ``n`` of them as well, or all. Raises: BadArgument unless 0 < n <= m.
    """
    if not 0 < n <= m:
        raise BadArgument(f"N:M sparsity needs 0 < N <= M, got {n}:{m}")
    masks: Masks = {}
    for name, score in scores.items():
        last = score.detach().movedim(1, -1)  # the inputs
        short = -last.shape[-1] % m
        groups = nn.functional.pad(last.double(), (0, short), value=-torch.inf).reshape(*last.shape[:-1], -1, m)
        order = groups.argsort(dim=-1, descending=True, stable=True)
        kept = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order[..., :n], True)
        masks[name] = kept.flatten(-2)[..., : last.shape[-1]].movedim(-1, 1).contiguous()
    return masks


def prune(masks: Masks, scores: Mapping[str, Tensor], count: int) -> Masks:
    """Deactivate the ``count`` active connections with the lowest scores."""
    remaining = sum(int(mask.sum()) for mask in masks.values()) - count
    return keep_best(scores, remaining, among=masks)


def grow(masks: Masks, scores: Mapping[str, Tensor], count: int, *, among: Mapping[str, Tensor] | None = None) -> Masks:
    """Activate the ``count`` dormant connections with the highest scores; no active one is touched.

    Only positions that are True in ``among``; all of those that there are if ``count`` is more, which is full growth.
    """
    dormant = {name: ~mask if among is None else ~mask & among[name] for name, mask in masks.items()}
    born = keep_best(scores, min(count, sum(int(mask.sum()) for mask in dormant.values())), among=dormant)
    return {name: mask | born[name] for name, mask in masks.items()}
