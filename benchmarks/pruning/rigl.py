"""RigL (Evci et al., arXiv 1911.11134): sparse from the start, connections exchanged by magnitude and gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steerage.cost.count import count
from steerage.growprune import masks as masking
from steerage.growprune.masks import Masks
from steerage.training.fit import Training

EVERY, SHARE, UNTIL = 100, 0.3, 0.75  # steps between exchanges, alpha, and the share of the training with exchanges
EXCHANGES = 20  # at least so many, where a training has few steps


class RigL:
    """Hold a training at ``params`` parameters; pass it to ``train`` as ``after_step``.

    Densities by Erdos-Renyi-kernel (section 3), one exchange every ``EVERY`` steps with a cosine decay of its share.
    """

    def __init__(self, training: Training, params: int, shape: tuple[int, ...], steps: int, seed: int) -> None:
        self.weights = masking.weights(training.model)
        fixed = count(training.model, shape).params - sum(weight.numel() for weight in self.weights.values())
        draw = torch.Generator().manual_seed(seed)
        self.masks: Masks = {}
        for name, kept in _erdos_renyi(self.weights, params - fixed).items():
            weight = self.weights[name]
            mask = torch.zeros(weight.numel(), dtype=torch.bool)
            mask[torch.randperm(weight.numel(), generator=draw)[:kept]] = True
            self.masks[name] = mask.view(weight.shape)
        masking.apply_(training.model, self.masks)
        self.every = max(1, min(EVERY, round(UNTIL * steps / EXCHANGES)))

    @torch.no_grad()
    def __call__(self, training: Training) -> None:
        if training.step % self.every == 0 and training.progress < UNTIL:
            share = 0.5 * SHARE * (1.0 + math.cos(math.pi * training.progress / UNTIL))
            for name, weight in self.weights.items():
                self._exchange(name, weight, share, training)
        masking.apply_(training.model, self.masks)

    def _exchange(self, name: str, weight: Tensor, share: float, training: Training) -> None:
        mask = self.masks[name].flatten()
        moved = min(round(share * int(mask.sum())), int((~mask).sum()))
        if moved == 0 or weight.grad is None:
            return
        kept = mask.clone()
        kept[weight.detach().abs().flatten().masked_fill(~mask, math.inf).argsort()[:moved]] = False
        wanted = weight.grad.abs().flatten().masked_fill(kept, -1.0)
        kept[wanted.argsort(descending=True)[:moved]] = True
        self.masks[name] = kept.view(weight.shape)
        for moment in training.optimizer.state[weight].values():
            moment.mul_(self.masks[name] & mask.view(weight.shape))


def _erdos_renyi(weights: dict[str, torch.nn.Parameter], total: int) -> dict[str, int]:
    """How many connections each layer keeps, ``total`` in all: density in proportion to sum / product of its sizes."""
    raw = {name: sum(weight.shape) / weight.numel() for name, weight in weights.items()}
    dense: set[str] = set()
    while True:
        left = total - sum(weights[name].numel() for name in dense)
        scale = left / sum(raw[name] * weights[name].numel() for name in raw if name not in dense)
        full = {name for name in raw if name not in dense and raw[name] * scale >= 1.0}
        if not full:
            break
        dense |= full
    kept = {
        name: weight.numel() if name in dense else max(1, int(raw[name] * scale * weight.numel()))
        for name, weight in weights.items()
    }
    for name in sorted(kept, key=lambda name: weights[name].numel() - kept[name], reverse=True):  # what rounding left
        kept[name] += min(max(0, total - sum(kept.values())), weights[name].numel() - kept[name])
    return kept
