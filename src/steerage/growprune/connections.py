"""Connections: which (a score), how many (a count), do it (one edit for any layer).

A score maps a network to one number per weight; a selection turns scores and a count into masks. A policy of one's own
is one function with the signature of ``magnitude`` or ``gradient``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from steerage.errors import BadArgument
from steerage.growprune.masks import Masks

Score: TypeAlias = "Callable[[Mapping[str, Tensor]], dict[str, Tensor]]"


def magnitude(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """|w|: comparable within a layer, and between layers of like scale."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def layer_adaptive(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """LAMP: w² over the sum of all squares not smaller than it in its layer (arXiv 2010.07611, eq. 3).

    Comparable between layers: it is the share of a layer's output that is lost with the weight, so no layer is
    emptied because its weights happen to be small (normalization makes their scale arbitrary).
    """
    scores = {}
    for name, weight in weights.items():
        squares, order = weight.detach().flatten().double().square().sort()
        remaining = squares.flip(0).cumsum(0).flip(0).clamp_min(1e-30)
        score = torch.empty_like(squares)
        score[order] = squares / remaining
        scores[name] = score.view_as(weight)
    return scores


def gradient(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """|dL/dw| of averaged gradients: how fast a dormant connection would lower the loss (arXiv 1711.02017)."""
    return {name: value.detach().abs() for name, value in gradients.items()}


def keep_best(scores: Mapping[str, Tensor], count: int, *, among: Mapping[str, Tensor] | None = None) -> Masks:
    """Masks of the ``count`` highest scores over all layers, exactly; only positions that are True in ``among``.

    Raises: BadArgument when ``count`` is negative or more than there are to choose from.
    """
    names = list(scores)
    flat = torch.cat([scores[name].detach().flatten().double() for name in names])
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


def prune(masks: Masks, scores: Mapping[str, Tensor], count: int) -> Masks:
    """Deactivate the ``count`` active connections with the lowest scores."""
    remaining = sum(int(mask.sum()) for mask in masks.values()) - count
    return keep_best(scores, remaining, among=masks)


def grow(masks: Masks, scores: Mapping[str, Tensor], count: int) -> Masks:
    """Activate the ``count`` dormant connections with the highest scores; no active one is touched."""
    dormant = {name: ~mask for name, mask in masks.items()}
    born = keep_best(scores, count, among=dormant)
    return {name: mask | born[name] for name, mask in masks.items()}
