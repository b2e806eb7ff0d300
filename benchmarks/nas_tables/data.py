"""Tables of trained architectures, and the budgets that a search in them may have."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from steerage.space import Space, Values

Array = NDArray[np.float64]

DECILES = 10  # of accuracy; noise is pooled within each
FLOPS_SHARE, PARAMS_SHARE = 0.40, 0.30  # quantiles of the table that bound a cost
TIGHT_SHARE, TIGHT_ROWS = 0.001, 6  # share of the rows that meet the tight budget, and the fewest that are enough
BUDGETS = ("flops", "params", "both", "tight")
UNBOUNDED = "none"


@final
@dataclass(frozen=True)
class Table:
    """Architectures ``genes`` (n, d), what their trainings showed ``shown`` (n, repeats), NaN where there was none.

    ``truth`` (n,) is the accuracy that is scored, higher is better; ``noise`` (n,) the standard deviation of one
    training: that of the repeats, pooled over each tenth of the table by accuracy, because good rows vary less.
    """

    name: str
    genes: NDArray[np.int64]
    shown: Array
    truth: Array
    noise: Array
    costs: dict[str, Array]
    space: Space
    index: dict[tuple[int, ...], int]

    def __len__(self) -> int:
        return len(self.genes)

    @functools.cached_property
    def complete(self) -> bool:
        """Whether every point of the space has a row."""
        return len(self.index) == math.prod(gene.size for gene in self.space.genes)

    def row(self, values: Values) -> int | None:
        """Row of a point of the space; None if the table lacks it."""
        return self.index.get(tuple(int(values[name]) for name in self.space.names))

    def values(self, row: int) -> dict[str, int]:
        """Point of the space that ``row`` stands for."""
        return dict(zip(self.space.names, self.genes[row].tolist(), strict=True))

    def log_costs(self, values: Values) -> tuple[float, float]:
        """Logarithms of parameters and operations, as the synthesis shows them to the search."""
        row = self.row(values)
        if row is None:
            raise KeyError(f"{self.name} has no row {dict(values)}")
        return math.log(self.costs["params"][row]), math.log(max(1.0, self.costs["flops"][row]))

    def overruns(self, budget: str) -> dict[str, Array]:
        """For each bounded cost (n,) how far it is above the bound, as a share of it; negative below."""
        return {cost: self.costs[cost] / bound - 1.0 for cost, bound in self.bounds(budget).items()}

    def bounds(self, budget: str) -> dict[str, float]:
        """Largest allowed value of each bounded cost."""
        flops, params = ("flops", FLOPS_SHARE), ("params", PARAMS_SHARE)
        asked = {UNBOUNDED: [], "flops": [flops], "params": [params], "both": [flops, params]}
        shares = asked[budget] if budget != "tight" else [(cost, self._tight_share) for cost in self.costs]
        return {cost: float(np.quantile(self.costs[cost], share, method="higher")) for cost, share in shares}

    @functools.cached_property
    def _tight_share(self) -> float:
        """Smallest quantile at which both costs are bounded and enough rows are left, by bisection.

        Where many rows have equal costs no bound leaves as few as asked: then it leaves the fewest that it can.
        """
        enough = max(TIGHT_ROWS, round(TIGHT_SHARE * len(self)))
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            limits = [np.quantile(cost, middle, method="higher") for cost in self.costs.values()]
            met = np.logical_and.reduce([cost <= one for cost, one in zip(self.costs.values(), limits, strict=True)])
            low, high = (low, middle) if met.sum() >= enough else (middle, high)
        return high


@functools.lru_cache(maxsize=4)
def load(path: Path) -> Table:
    """Table of a .npz file with genes, cards, ordinal, gene_names, acc_reps, acc_mean, params and flops."""
    with np.load(path) as file:
        genes = file["genes"].astype(np.int64)
        shown, truth = file["acc_reps"].astype(float), file["acc_mean"].astype(float)
        costs = {name: file[name].astype(float) for name in ("params", "flops")}
        about = list(zip(file["gene_names"], file["cards"].tolist(), file["ordinal"].tolist(), strict=True))
    distributions: dict[str, BaseDistribution] = {
        str(name): IntDistribution(0, card - 1) if ordinal else CategoricalDistribution(tuple(range(card)))
        for name, card, ordinal in about
    }
    index = {tuple(row): number for number, row in enumerate(genes.tolist())}
    return Table(path.stem, genes, shown, truth, _noise(shown, truth), costs, Space(distributions), index)


def _noise(shown: Array, truth: Array) -> Array:
    """(n,) root mean square, over the rows of a tenth, of the standard deviation within a row."""
    count = np.sum(~np.isnan(shown), axis=1)
    mean = np.nansum(shown, axis=1) / np.maximum(count, 1)
    variance = np.nansum((shown - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1)
    noise = np.zeros(len(truth))
    for rows in np.array_split(np.argsort(truth, kind="stable"), DECILES):
        repeated = rows[count[rows] >= 2]
        noise[rows] = math.sqrt(variance[repeated].mean()) if len(repeated) else 0.0
    return noise
