"""What the predictor sees of a candidate: its genes, how often each option occurs, and its costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from steerage.space import Gene, Space, Value, Values

Matrix = NDArray[np.float64]

MAX_OPTIONS = 8  # a gene with more values has no one-hot columns and no counts
HALVED_FROM = 6  # genes that share their options: from here on also counted in the first and in the last half


@final
@dataclass(frozen=True)
class Columns:
    """Names of the feature columns, and ``groups``: the columns that carry one gene each, for distances between genes.

    The squared distance of two rows over a group is in [0, 1]: an ordinal is one column in [0, 1], a choice is one-hot
    columns of 0 and sqrt(1/2). ``spreads``: its mean over random points.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    spreads: tuple[float, ...]


def columns(space: Space, *, costs: int = 0) -> Columns:
    """Columns that ``features`` makes for ``space`` and ``costs`` cost features."""
    names: list[str] = []
    groups: list[tuple[int, ...]] = []
    for gene in space.genes:
        first = len(names)
        names.extend([gene.name] if gene.ordinal else [f"{gene.name}={choice}" for choice in gene.choices])
        groups.append(tuple(range(first, len(names))))
    names.extend(f"{gene.name}={option}" for gene in space.genes if _is_short(gene) for option in _options(gene))
    names.extend(f"{gene.name}^2" for gene in space.genes if _is_long(gene))
    for genes in _shared(space):
        label = "+".join(gene.name for gene in genes)
        names.extend(f"count({label}={option})" for option in _options(genes[0]))
    names.extend(f"cost{i}" for i in range(costs))
    return Columns(tuple(names), tuple(groups), tuple(_spread(gene) for gene in space.genes))


def features(space: Space, points: Sequence[Values], costs: Sequence[Sequence[float]] | Matrix = ()) -> Matrix:
    """Feature matrix (n, columns) of canonical ``points``; ``costs``: (n, c) or empty, taken as they are.

    Ordinals are positions in [0, 1] and choices one-hot. So that a linear model can bend, ordinals with few values are
    one-hot as well, and the others have the square of their distance from the middle, in [0, 1]. Counts are shares in
    [0, 1] of the genes that share one set of options.
    """
    parts: list[Matrix] = []
    hot: dict[str, Matrix] = {}
    for gene in space.genes:
        column = [point[gene.name] for point in points]
        if len(_options(gene)):
            hot[gene.name] = _one_hot(gene, column)
        if gene.ordinal:
            parts.append(gene.to_units(column).reshape(-1, 1))
        else:
            parts.append(hot.get(gene.name, _one_hot(gene, column)) * np.sqrt(0.5))
    parts.extend(hot[gene.name] for gene in space.genes if _is_short(gene))
    parts.extend(4.0 * (parts[i] - 0.5) ** 2 for i, gene in enumerate(space.genes) if _is_long(gene))
    parts.extend(np.mean([hot[gene.name] for gene in genes], axis=0) for genes in _shared(space))
    extra = np.asarray(costs, dtype=float)
    if extra.size:
        parts.append(extra.reshape(len(points), -1))
    return np.hstack(parts)


def _spread(gene: Gene) -> float:
    """Mean squared distance of two random values: of a choice, or of the middles of equal parts of [0, 1]."""
    if not gene.ordinal:
        return 1.0 - 1.0 / max(gene.size, 2)
    return (1.0 - 1.0 / gene.size**2 if gene.size > 1 else 1.0) / 6.0


def _options(gene: Gene) -> tuple[Value, ...]:
    """Values of a gene that has few; () for one that has many."""
    if not 0 < gene.size <= MAX_OPTIONS:
        return ()
    if gene.choices:
        return gene.choices
    steps = (gene.low + i * gene.step for i in range(gene.size))
    return tuple(int(value) if gene.integer else round(value, 12) for value in steps)


def _is_short(gene: Gene) -> bool:
    return gene.ordinal and len(_options(gene)) > 2


def _is_long(gene: Gene) -> bool:
    return gene.ordinal and gene.size != 1 and not _options(gene)


def _one_hot(gene: Gene, column: Sequence[Value]) -> Matrix:
    """(n, options) float, 0 or 1."""
    first, step = (0.0, 1.0) if gene.choices else (gene.low, gene.step or 1.0)
    numbers = np.array([gene.number(value) for value in column] if gene.choices else column, dtype=float)
    ranks = np.rint((numbers - first) / step).astype(int)
    return np.asarray(np.eye(gene.size)[ranks].reshape(len(column), gene.size), dtype=float)


def _shared(space: Space) -> list[list[Gene]]:
    """Groups of two or more genes that have the same options; long groups are followed by their two halves."""
    found: dict[str, list[Gene]] = {}  # by repr, since True == 1
    for gene in space.genes:
        if len(_options(gene)) > 1:
            found.setdefault(repr(_options(gene)), []).append(gene)
    groups: list[list[Gene]] = []
    for genes in found.values():
        if len(genes) >= 2:
            groups.append(genes)
        if len(genes) >= HALVED_FROM:
            groups.extend([genes[: len(genes) // 2], genes[len(genes) // 2 :]])
    return groups
