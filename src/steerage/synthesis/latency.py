"""A bound on the latency of candidates in ONNX Runtime: a few are measured, and say what is to be expected of others.

Measuring takes a second or two, and a search looks at thousands of candidates. So about a dozen are measured before it,
in turns: spread over what the rest of the budget allows, and then near the bound. A latency is taken to be a sum, of
what a call takes, each layer, each multiplication and each output, with the factors that explain those dozen best.
Candidates that are expected to be too slow are not proposed; each that is proposed is measured before it is trained.
What was measured is kept in the run's folder, so that a run that goes on is the same run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from steerage import store
from steerage.bundle import FromTemplate, Network
from steerage.cost.count import dense_cost
from steerage.cost.latency import Latency
from steerage.errors import BadArgument, ExportMismatch, TrainingFailed, UnsupportedLayer
from steerage.search.evolution import Violation
from steerage.search.propose import spread
from steerage.space import Values
from steerage.templates.template import architecture

if TYPE_CHECKING:
    from steerage.synthesis.candidate import Bench

RUNTIME = "onnxruntime"  # name of the device
FILE = "latency.jsonl"
SPREAD, NEAR = 8, 4  # candidates that are measured before the search: anywhere in the budget, and near the bound
LOOKS = 500  # candidates among which those near the bound are found
REGISTER, AREA = 8, 49  # outputs that are computed at a time; positions of the largest usual kernel
ROUNDS = 12  # of a measurement during a run

Measure = Callable[[Sequence[Network]], list[Latency]]


def measured(networks: Sequence[Network]) -> list[Latency]:
    """Latency of each network in ONNX Runtime on this machine, timed in turns."""
    from steerage.export.measured import in_turns

    return in_turns(networks, rounds=ROUNDS)


@final
@dataclass(eq=False)
class LatencyBound:
    """At most ``max_ms`` milliseconds for a row at the median; infinite where latencies are only to be told.

    Latency is a matter of shapes: what pruning leaves of a candidate is at most as slow as the candidate is.
    Raises: BadArgument for a bound that is not positive.
    """

    max_ms: float = math.inf
    measure: Measure = measured
    _known: dict[str, Latency] = field(default_factory=dict, init=False)  # by architecture
    _samples: list[str] = field(default_factory=list, init=False)  # architectures that the estimate comes from
    _factors: NDArray[np.float64] | None = field(default=None, init=False)
    _file: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.max_ms > 0:
            raise BadArgument(f"max_latency_ms must be positive, got {self.max_ms:g}; give milliseconds such as 0.05")

    @property
    def bounds(self) -> bool:
        """Whether there is a bound."""
        return self.max_ms < math.inf

    def recall(self, folder: Path) -> None:
        """Take over what was measured for the run in ``folder``; a line cut off by a stop is measured again."""
        file = folder / FILE
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            try:
                told = json.loads(line)
                self._known[told["architecture"]] = Latency(**told["latency"])
            except (ValueError, KeyError, TypeError):
                continue

    def keep_in(self, folder: Path) -> None:
        """Keep in ``folder`` what is measured from now on, and what has been."""
        self._file = folder / FILE
        if not self._file.is_file():
            store.write_atomic(self._file, "".join(f"{_line(*pair)}\n" for pair in self._known.items()))

    def explore(self, bench: Bench, violation: Violation, starts: Sequence[Values], seed: int) -> None:
        """Measure the candidates that the estimate comes from, as far as they are not known.

        ``violation``: of all other bounds. ``starts``: candidates that are likely to be tried. The same for the same
        seed and measurements, and done once. Raises: UnsupportedLayer for a candidate that has no ONNX form.
        """
        if self._factors is not None:
            return
        space = bench.template.space(bench.dataset.spec)
        first = [*(values for values in starts if violation(values) == 0)]
        first += spread(space, SPREAD, first, seed=seed, violation=violation, limit=LOOKS)
        self._sample(bench, first)
        pool = [values for values in space.sample_sobol(LOOKS, seed=seed) if violation(values) == 0]
        fresh = {_key(values): values for values in pool if _key(values) not in self._samples}
        apart = {key: abs(math.log(self.estimate(bench, values) / self.max_ms)) for key, values in fresh.items()}
        self._sample(bench, [fresh[key] for key in sorted(fresh, key=apart.__getitem__)[:NEAR]])

    def _sample(self, bench: Bench, candidates: Sequence[Values]) -> None:
        """Measure ``candidates`` and fit the estimate to them, too."""
        self._measure(bench, candidates)
        self._samples += [key for key in dict.fromkeys(map(_key, candidates)) if key not in self._samples]
        parts = np.stack([_parts(bench, json.loads(key)) for key in self._samples])  # (samples, parts)
        medians = np.array([self._known[key].median_ms for key in self._samples])
        self._factors = _nonnegative(parts / medians[:, None])

    def estimate(self, bench: Bench, values: Values) -> float:
        """Milliseconds that are expected of a candidate; those measured of one that the estimate comes from."""
        key = _key(values)
        if key in self._samples:
            return self._known[key].median_ms
        assert self._factors is not None
        return float(_parts(bench, values) @ self._factors)

    def violation(self, bench: Bench, values: Values) -> float:
        """Share by which a candidate is expected to be slower than the bound; 0 inside it."""
        return max(0.0, self.estimate(bench, values) / self.max_ms - 1.0) if self.bounds else 0.0

    def of(self, bench: Bench, values: Values) -> Latency:
        """Latency of a candidate as measured, now or before. Raises: UnsupportedLayer, ExportMismatch."""
        self._measure(bench, [values])
        return self._known[_key(values)]

    def check(self, bench: Bench, values: Values) -> None:
        """Measure a candidate. Raises: TrainingFailed if it is slower than the bound, or has no ONNX form."""
        if not self.bounds:
            return
        try:
            latency = self.of(bench, values)
        except (UnsupportedLayer, ExportMismatch) as error:
            raise TrainingFailed(f"the candidate's latency cannot be measured: {error}") from error
        if latency.median_ms > self.max_ms:
            raise TrainingFailed(f"a row takes {latency.median_ms:.4g} ms, and may take {self.max_ms:g} ms")

    def _measure(self, bench: Bench, candidates: Sequence[Values]) -> None:
        """Measure those of ``candidates`` that are not known, in turns."""
        fresh = {_key(values): values for values in candidates if _key(values) not in self._known}
        if not fresh:
            return
        found = self.measure([_network(bench, values) for values in fresh.values()])
        for key, latency in zip(fresh, found, strict=True):
            self._known[key] = latency
            if self._file is not None:
                store.append_line(self._file, _line(key, latency))


def _key(values: Values) -> str:
    return json.dumps(architecture(values), sort_keys=True)


def _line(key: str, latency: Latency) -> str:
    return json.dumps({"architecture": key, "latency": latency.to_json()})


def _network(bench: Bench, values: Values) -> Network:
    """The candidate with first weights, dense: as slow as it can become."""
    from steerage.synthesis.candidate import build

    dataset = bench.dataset
    return Network(
        model=build(bench, values, 0),
        architecture=FromTemplate(bench.template.name, values),
        spec=dataset.spec,
        preprocess=dataset.preprocess,
        cost=dense_cost(bench.template, values, dataset.spec),
        classes=dataset.classes,
        target_mean=dataset.target_mean,
        target_std=dataset.target_std,
    )


def _parts(bench: Bench, values: Values) -> NDArray[np.float64]:
    """What a latency is made of: a call, layers, MACs of three kinds, outputs of layers: (6,).

    Kernels are fast where outputs fill their registers, in eights, and each reads many inputs; slower where outputs are
    of another number; and slowest where an output reads no more than a kernel's area, as in depthwise convolutions.
    """
    spec = bench.dataset.spec
    layers = bench.template.layers(values, spec)
    if layers is None:  # a template of one's own that does not tell: all MACs are of one kind
        return np.array([1.0, 0.0, dense_cost(bench.template, values, spec).macs, 0.0, 0.0, 0.0])
    macs = [0.0, 0.0, 0.0]
    for layer in layers:
        kind = 2 if layer.weights <= AREA * layer.biases else int(layer.biases % REGISTER > 0)
        macs[kind] += layer.weights * layer.positions
    return np.array([1.0, len(layers), *macs, sum(layer.biases * layer.positions for layer in layers)])


def _nonnegative(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of at least 0 (columns,) with which ``parts`` (rows, columns) come nearest to 1 in each row."""
    from scipy.optimize import nnls

    sizes = np.maximum(np.linalg.norm(parts, axis=0), 1e-12)
    found, _ = nnls(parts / sizes, np.ones(len(parts)))
    return np.asarray(found / sizes)
