"""Fixed reduction of a network's inputs (the DR step of SCANN): PCA, random projection, or feature selection."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.errors import BadArgument
from steerage.seeds import child_seed, generator

Method = Literal["pca", "random", "select"]
METHODS: tuple[Method, ...] = ("pca", "random", "select")
MAX_ROWS = 20_000  # rows that a fit looks at; more of them change the leading components very little


@final
class Reduce(nn.Module):
    """Reduction of ``features`` inputs to ``k``: (batch, features) -> (batch, k), not trained.

    "pca" and "random" multiply by the buffer ``projection`` (k, features); "select" picks the columns in the buffer
    ``index`` (k,), which costs nothing. Until ``fit_to`` is called, each passes the first ``k`` inputs through.

    Raises: BadArgument for an unknown method, or a ``k`` outside [1, features].
    """

    def __init__(self, features: int, k: int, *, method: Method) -> None:
        super().__init__()
        if method not in METHODS:
            raise BadArgument(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if not 1 <= k <= features:
            raise BadArgument(f"k must be in [1, {features}] for {features} features, got {k}")
        self.features, self.k, self.method = features, k, method
        self.projection: Tensor | None
        self.index: Tensor | None
        self.register_buffer("projection", None if method == "select" else torch.eye(k, features))
        self.register_buffer("index", torch.arange(k) if method == "select" else None)

    def forward(self, x: Tensor) -> Tensor:
        if self.index is not None:
            return x.index_select(1, self.index)  # (batch, k)
        assert self.projection is not None
        return F.linear(x, self.projection)  # (batch, k)

    @torch.no_grad()
    def fit_to(self, x: Tensor, y: Tensor, *, seed: int) -> None:
        """Set the reduction from training rows.

        ``x``: (n, features) network inputs. ``y``: (n,) integer class codes, or floats (n,) or (n, targets); only
        "select" looks at it. Projections are scaled so that their outputs have unit variance on average.

        Raises: BadArgument for an ``x`` of another shape.
        """
        if x.ndim != 2 or x.shape[1] != self.features or len(x) == 0 or len(x) != len(y):
            raise BadArgument(f"x must be (n, {self.features}) with n targets, got {tuple(x.shape)} and {len(y)}")
        if len(x) > MAX_ROWS:
            rows = torch.randperm(len(x), generator=generator(seed, "reduce rows"))[:MAX_ROWS]
            x, y = x[rows], y[rows]
        if self.index is not None:
            best = torch.argsort(relevance(x, y), descending=True, stable=True)[: self.k]
            self.index.copy_(best.sort().values)
            return
        assert self.projection is not None
        fit = _principal_axes if self.method == "pca" else _random_axes
        axes = fit(x, self.k, seed)
        spread = F.linear(x.float(), axes).var(dim=0, correction=0).mean().sqrt()
        self.projection.copy_(axes / spread.clamp_min(1e-6))


def relevance(x: Tensor, y: Tensor) -> Tensor:
    """Share of each column's variance that ``y`` explains: (n, features), (n,) -> (features,) in [0, 1].

    For class codes it is the correlation ratio, which ranks as the ANOVA F value does; for floats the squared
    correlation, and of several targets (n, targets) their mean. A constant column has none.
    """
    x = x.double() - x.double().mean(dim=0)
    total = x.square().sum(dim=0)
    if y.is_floating_point():
        target = y.double().reshape(len(y), -1)
        centred = target - target.mean(dim=0)  # (n, targets)
        shares = (centred.T @ x).square() / centred.square().sum(dim=0).clamp_min(1e-12).unsqueeze(1)
        explained = shares.mean(dim=0)
    else:
        codes, y = torch.unique(y, return_inverse=True)
        sums = torch.zeros(len(codes), x.shape[1], dtype=x.dtype).index_add_(0, y, x)  # (classes, features)
        explained = (sums.square() / torch.bincount(y).unsqueeze(1)).sum(dim=0)
    return torch.where(total > 1e-12 * len(x), explained / total.clamp_min(1e-300), 0.0)


def _principal_axes(x: Tensor, k: int, seed: int) -> Tensor:
    """Leading principal axes: (n, features) -> (k, features); rows beyond the rank of the data stay zero."""
    from sklearn.decomposition import PCA  # 0.5 s of import

    known = min(k, *x.shape)
    axes = torch.zeros(k, x.shape[1])
    fitted = PCA(known, random_state=child_seed(seed, "pca")).fit(x.float().numpy())
    axes[:known] = torch.from_numpy(fitted.components_)
    return axes


def _random_axes(x: Tensor, k: int, seed: int) -> Tensor:
    """Gaussian directions of about unit length: (k, features)."""
    return torch.randn(k, x.shape[1], generator=generator(seed, "random projection")) / math.sqrt(x.shape[1])
