"""A search space: named genes over Optuna distributions, and the moves that a search makes in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from steerage.errors import BadSpace

Value = int | float | str | bool
Values = Mapping[str, Value]
Key = tuple[float, ...]
Vector = NDArray[np.float64]

MUTATION_SD = 0.4  # at most, of an ordinal gene, in units of its range; a step of nothing becomes one rank


def _unchanged(values: Values) -> Values:
    return values


@final
@dataclass(frozen=True)
class Space:
    """An ordered mapping from gene names to distributions; a point of it is a dict with one value per gene.

    ``canonical`` maps a point to the one that stands for the same network (a gene that does nothing gets a fixed
    value); it must return a point of the space, and return its own results unchanged. Every method that makes points
    returns canonical ones.

    Raises: BadSpace for an empty space, a distribution that is not Optuna's, a choice that is no plain value, or a
    ``canonical`` that leaves the space.
    """

    distributions: Mapping[str, BaseDistribution]
    canonical: Callable[[Values], Values] = _unchanged
    genes: tuple[Gene, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.distributions:
            raise BadSpace("a space needs at least one gene, got none")
        object.__setattr__(self, "distributions", dict(self.distributions))
        genes = tuple(_gene(name, distribution) for name, distribution in self.distributions.items())
        object.__setattr__(self, "genes", genes)
        point = self.validate(self.canonical({gene.name: gene.from_unit(0.5) for gene in genes}))
        if dict(self.canonical(point)) != point:
            raise BadSpace(f"canonical must return its own results unchanged, but changes {point}")

    def __hash__(self) -> int:
        return hash(tuple(self.distributions))

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the genes, in order."""
        return tuple(self.distributions)

    def validate(self, values: Values) -> dict[str, Value]:
        """Copy of ``values`` in the order of the genes. Raises: BadSpace naming the gene, the value and the rule."""
        if len(values) != len(self.genes) or any(gene.name not in values for gene in self.genes):
            missing = [gene.name for gene in self.genes if gene.name not in values]
            unknown = [name for name in values if name not in self.distributions]
            raise BadSpace(f"a point has one value per gene; missing: {missing}, unknown: {unknown}")
        for gene in self.genes:
            if not gene.contains(values[gene.name]):
                raise BadSpace(f"{gene.name} must be in {gene.distribution}, got {values[gene.name]!r}")
        return {gene.name: values[gene.name] for gene in self.genes}

    def nearest(self, values: Mapping[str, object]) -> dict[str, Value] | None:
        """The point at ``values``, each moved to the nearest step of its gene; other names are left out.

        None if a value is missing, is of another type, or is out of range by more than half a step.
        """
        found = {gene.name: gene.nearest(values[gene.name]) for gene in self.genes if gene.name in values}
        point = {name: value for name, value in found.items() if value is not None}
        return point if len(point) == len(self.genes) else None

    def normalize(self, values: Values) -> dict[str, Value]:
        """The canonical point of ``values``, in the order of the genes."""
        canonical = self.canonical(values)
        return {name: canonical[name] for name in self.distributions}

    def encode(self, values: Values) -> Vector:
        """Position of each gene: (d,) float in [0, 1]; the i-th of k steps or choices lies at (i + 1/2) / k."""
        return np.array([gene.to_unit(values[gene.name]) for gene in self.genes])

    def decode(self, position: Sequence[float] | Vector) -> dict[str, Value]:
        """Canonical point at ``position``: (d,) float in [0, 1]; inverse of ``encode`` on canonical points."""
        pairs = zip(self.genes, position, strict=True)
        return self.normalize({gene.name: gene.from_unit(float(unit)) for gene, unit in pairs})

    def sample_sobol(self, n: int, *, seed: int, skip: int = 0) -> list[dict[str, Value]]:
        """Points ``skip`` to ``skip + n`` of the scrambled Sobol sequence that ``seed`` names."""
        from scipy.stats import qmc  # 0.4 s of import that a run which only resumes does not need

        if n <= 0:
            return []
        sequence = qmc.Sobol(len(self.genes), scramble=True, rng=np.random.default_rng(seed))
        units = sequence.random_base2(math.ceil(math.log2(skip + n)))[skip : skip + n]
        return [self.decode(unit) for unit in units]

    def random(self, rng: np.random.Generator) -> dict[str, Value]:
        """Point drawn uniformly (log-uniformly where the distribution says so)."""
        return self.decode(rng.random(len(self.genes)))

    def mutate(self, values: Values, rng: np.random.Generator, rate: float) -> dict[str, Value]:
        """Change each gene with probability ``rate`` in [0, 1], and at least one: ordinals step, choices redraw."""
        chosen = rng.random(len(self.genes)) < rate
        free = [i for i, gene in enumerate(self.genes) if gene.size != 1]
        if free and not any(chosen[i] for i in free):
            chosen[free[rng.integers(len(free))]] = True
        mutant = {gene.name: values[gene.name] for gene in self.genes}
        for gene, change in zip(self.genes, chosen.tolist(), strict=True):
            if change:
                mutant[gene.name] = gene.mutate(mutant[gene.name], rng)
        return self.normalize(mutant)

    def crossover(self, a: Values, b: Values, rng: np.random.Generator) -> dict[str, Value]:
        """Uniform crossover: each gene from ``a`` or ``b`` with equal probability."""
        heads = (rng.random(len(self.genes)) < 0.5).tolist()
        return self.normalize({g.name: (a if head else b)[g.name] for g, head in zip(self.genes, heads, strict=True)})

    def distance(self, a: Values, b: Values) -> float:
        """Mean over genes of the distance in [0, 1]: |difference of positions| for ordinals, 0 or 1 for choices."""
        a, b = self.normalize(a), self.normalize(b)
        return float(np.mean([gene.distance(a[gene.name], b[gene.name]) for gene in self.genes]))

    def key(self, values: Values) -> Key:
        """Hashable name of the canonical point: equal for two points exactly when their networks are the same."""
        canonical = self.canonical(values)
        return tuple([gene.number(canonical[gene.name]) for gene in self.genes])


@final
@dataclass(frozen=True)
class Gene:
    """One dimension of a space.

    ``low``, ``high`` and ``step`` are those of the distribution, ``step`` 0 for a continuum; ``size`` is the number of
    values, 0 for a continuum; ``choices`` is empty for ordinals.
    """

    name: str
    distribution: BaseDistribution
    low: float
    high: float
    step: float
    log: bool
    size: int
    choices: tuple[Value, ...]
    integer: bool

    @property
    def ordinal(self) -> bool:
        """Whether neighbouring values are alike."""
        return not self.choices

    def contains(self, value: Value) -> bool:
        """Whether ``value`` is of the gene's type, in its range and on its grid."""
        if self.choices:
            return any(type(value) is type(choice) and value == choice for choice in self.choices)
        if isinstance(value, str | bool) or not self.low <= value <= self.high:
            return False
        if self.integer and not isinstance(value, int | np.integer):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-6

    def nearest(self, value: object) -> Value | None:
        """The gene's value that ``value`` is closest to; None for one of another type or farther out of range."""
        if self.choices:
            return next((one for one in self.choices if type(value) is type(one) and value == one), None)
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            return None
        if not self.low - self.step / 2 <= value <= self.high + self.step / 2:
            return None
        return self._at(math.floor((float(value) - self.low) / self.step + 0.5)) if self.step else float(value)

    def number(self, value: Value) -> float:
        """``value`` of an ordinal, index of a choice."""
        if not self.choices:
            assert not isinstance(value, str)
            return value
        for index, choice in enumerate(self.choices):
            if choice is value or (choice == value and type(choice) is type(value)):
                return index
        raise BadSpace(f"{self.name} must be one of {list(self.choices)}, got {value!r}")

    def to_unit(self, value: Value) -> float:
        """Position of ``value`` in [0, 1]."""
        number = self.number(value)
        low, high = self._bounds()
        if self.log:
            number = math.log(number)
        return (number - low) / (high - low) if high > low else 0.5

    def to_units(self, values: Sequence[Value]) -> Vector:
        """Positions (n,) of many values."""
        numbers = np.array([self.number(value) for value in values] if self.choices else values, dtype=float)
        low, high = self._bounds()
        if high <= low:
            return np.full(len(values), 0.5)
        return np.asarray(((np.log(numbers) if self.log else numbers) - low) / (high - low))

    def from_unit(self, unit: float) -> Value:
        """Value at ``unit``, which is clipped to [0, 1]."""
        low, high = self._bounds()
        number = low + min(max(unit, 0.0), 1.0) * (high - low)
        if self.log:
            number = math.exp(number)
        if self.choices:
            return self.choices[min(math.floor(number + 0.5), self.size - 1)]
        if self.step:
            return self._at(math.floor((number - self.low) / self.step + 0.5))
        return min(max(number, self.low), self.high)

    def _at(self, index: int) -> Value:
        """Value of step ``index``, which is clipped to those there are."""
        value = self.low + min(max(index, 0), self.size - 1) * self.step
        return int(value) if self.integer else round(value, 12)

    def _bounds(self) -> tuple[float, float]:
        """Ends of the interval that [0, 1] covers: half a step beyond the outermost values, so that bins are even."""
        if self.choices:
            return -0.5, self.size - 0.5
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Another value, if there is one: a nearby one of an ordinal, any other choice."""
        if self.size == 1:
            return value
        if self.choices:
            index = int(self.number(value))
            return self.choices[(index + 1 + int(rng.integers(self.size - 1))) % self.size]
        scale = MUTATION_SD * float(rng.random()) ** 2  # small steps too, to settle in a narrow feasible range
        unit = self.to_unit(value) + scale * float(rng.standard_normal())
        unit = abs(unit) % 2.0
        new = self.from_unit(2.0 - unit if unit > 1.0 else unit)  # reflected at both ends
        return self._neighbour(value, rng) if new == value else new

    def _neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Value one rank up or down."""
        assert not isinstance(value, str)
        up = value < self.low + self.step / 2 or (value < self.high - self.step / 2 and rng.random() < 0.5)
        moved = value + self.step if up else value - self.step
        return int(moved) if self.integer else round(moved, 12)

    def distance(self, a: Value, b: Value) -> float:
        """Distance in [0, 1]: of positions for ordinals, 0 or 1 for choices."""
        if self.choices:
            return float(self.number(a) != self.number(b))
        return abs(self.to_unit(a) - self.to_unit(b))


def _gene(name: str, distribution: BaseDistribution) -> Gene:
    """Gene of an Optuna distribution."""
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        size = (high - low) // step + 1
        return Gene(name, distribution, low, high, step, distribution.log, size, (), True)
    if isinstance(distribution, FloatDistribution):
        bottom, top, grid = distribution.low, distribution.high, distribution.step or 0.0
        count = round((top - bottom) / grid) + 1 if grid else int(top == bottom)
        return Gene(name, distribution, bottom, top, grid, distribution.log, count, (), False)
    if isinstance(distribution, CategoricalDistribution):
        choices = tuple(_plain(name, choice) for choice in distribution.choices)
        if len({(type(choice), choice) for choice in choices}) < len(choices):
            raise BadSpace(f"the choices of {name} must differ, got {list(choices)}")
        return Gene(name, distribution, 0, len(choices) - 1, 1, False, len(choices), choices, False)
    raise BadSpace(f"{name} must be an Int, Float or Categorical distribution of Optuna, got {distribution!r}")


def _plain(name: str, choice: object) -> Value:
    """``choice`` if it is a plain value. Raises: BadSpace."""
    if isinstance(choice, bool | int | float | str):
        return choice
    raise BadSpace(f"the choices of {name} must be numbers, strings or booleans, got {choice!r}")
