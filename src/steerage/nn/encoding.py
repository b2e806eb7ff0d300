"""Piecewise-linear encoding of table inputs: what a network of few units needs to bend one input more than once."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.errors import BadArgument
from steerage.seeds import generator

MAX_ROWS = 20_000  # rows that a fit looks at; more of them move the quantiles very little
MIN_WIDTH = 1e-3  # of a bin, in standard deviations: a narrower one turns rounding errors into steps
UNFITTED = 2.0  # bins reach from -2 to 2 standard deviations until they are fitted


@final
class PiecewiseLinear(nn.Module):
    """The inputs, then ``bins`` values in [0, 1] for each: (batch, features) -> (batch, features * (1 + bins)).

    Bin t of a feature is clamp((x - e_t) / (e_(t+1) - e_t), 0, 1) (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1);
    beyond the outermost edges only the inputs themselves tell values apart. ``edges`` (features, bins + 1) ascend.
    ``live`` (features * bins,) is False for bins that are always 0. Nothing here is trained.

    Raises: BadArgument for sizes below 1.
    """

    def __init__(self, features: int, bins: int) -> None:
        super().__init__()
        if min(features, bins) < 1:
            raise BadArgument(f"features and bins must be at least 1, got features={features}, bins={bins}")
        self.edges: Tensor
        self.live: Tensor
        self.register_buffer("edges", torch.linspace(-UNFITTED, UNFITTED, bins + 1).repeat(features, 1))
        self.register_buffer("live", torch.ones(features * bins, dtype=torch.bool))

    @property
    def features(self) -> int:
        """Inputs."""
        return self.edges.shape[0]

    @property
    def bins(self) -> int:
        """Bins of each input, live or not."""
        return self.edges.shape[1] - 1

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.edges[:, :-1], self.edges[:, 1:]  # (features, bins)
        slope = self.live.view_as(low) / (high - low).clamp_min(1e-12)  # 0 where nothing is live
        encoded = ((x.unsqueeze(2) - low) * slope).clamp(0.0, 1.0)  # (batch, features, bins)
        return torch.cat((x, encoded.flatten(1)), dim=1)

    @torch.no_grad()
    def fit_to(self, x: Tensor, y: Tensor, *, seed: int) -> None:
        """Set the edges to quantiles of training rows ``x`` (n, features); ``y`` is not looked at.

        A feature whose quantiles repeat has fewer live bins, and one with fewer than three distinct ones has none: a
        straight line through two values needs no bin. Raises: BadArgument for an ``x`` of another shape.
        """
        if x.ndim != 2 or x.shape[1] != self.features or len(x) == 0:
            raise BadArgument(f"x must be (n, {self.features}) with n >= 1, got {tuple(x.shape)}")
        if len(x) > MAX_ROWS:
            x = x[torch.randperm(len(x), generator=generator(seed, "encoding rows"))[:MAX_ROWS]]
        ranks = torch.linspace(0, len(x) - 1, self.bins + 1, dtype=torch.float64).round().long()
        quantiles = x.float().sort(dim=0).values[ranks].T  # (features, bins + 1); values that occur, none in between
        gaps = MIN_WIDTH * x.float().std(dim=0, correction=0)
        for feature, (values, gap) in enumerate(zip(quantiles.tolist(), gaps.tolist(), strict=True)):
            self.edges[feature] = torch.tensor(_edges(values, gap))
        self.live.copy_((self.edges[:, 1:] > self.edges[:, :-1]).flatten())

    def live_bins(self) -> int:
        """Bins that take part; all of them where the tensors have no storage."""
        return self.live.numel() if self.live.is_meta else int(self.live.count_nonzero())

    def stored_edges(self) -> int:
        """Numbers that a device has to store: the edges of live bins, shared ones once."""
        if self.live.is_meta:
            return self.edges.numel()
        live = self.live.view(self.features, self.bins)
        return int((F.pad(live, (0, 1)) | F.pad(live, (1, 0))).count_nonzero())


def _edges(quantiles: list[float], gap: float) -> list[float]:
    """As many edges as ``quantiles``: those more than ``gap`` apart, then the last of them again and again."""
    kept = quantiles[:1]
    for value in quantiles[1:]:
        if value - kept[-1] > gap:
            kept.append(value)
    if len(kept) < 3:
        kept = kept[:1]
    return kept + kept[-1:] * (len(quantiles) - len(kept))
