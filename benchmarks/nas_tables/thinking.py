"""Section: time and memory that the next batch takes, by the number of finished trials."""

from __future__ import annotations

import math
import resource
import signal
import time
from typing import Any

import numpy as np
from common import row
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas_tables.kept import OURS, Found, Run
from nas_tables.section import Figures, Options, Section
from steerage.search.propose import Observation, propose
from steerage.search.sampler import BATCH
from steerage.space import Space, Values

SIZES = (10, 30, 100, 300, 1000, 3000, 10000)
REPEATS = 3
SECONDS = {100: 0.3, 1000: 1.0}  # bars
PATIENCE = 120.0  # seconds, after which a call is given up
MEMORY_SHARE = 0.75  # of what the machine has free; a size that needs more is not measured

SPACE = Space({
    "stages": IntDistribution(1, 4),
    "channels": IntDistribution(8, 48, log=True),
    "growth": FloatDistribution(1.0, 2.0, step=0.5),
    "blocks": IntDistribution(1, 3),
    "kernel": IntDistribution(3, 5, step=2),
    "separable": CategoricalDistribution((False, True)),
    "residual": CategoricalDistribution((False, True)),
    "activation": CategoricalDistribution(("relu", "silu", "hardswish")),
    "pooling": CategoricalDistribution(("max", "stride", "avg")),
    "hidden": IntDistribution(16, 256, log=True),
    "dropout": FloatDistribution(0.0, 0.3, step=0.1),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
})  # fmt: skip


def runs(options: Options) -> list[Run]:
    """A few repeats of each size, small ones first."""
    return [
        Run("thinking", "synthetic", "none", OURS, size, seed)
        for size in SIZES
        for seed in range(min(options.seeds, REPEATS))
    ]


def costs(values: Values) -> tuple[float, float]:
    """Logarithms of something like parameters and operations; costs next to nothing to compute."""
    width = math.log(float(values["channels"])) + float(values["stages"]) * math.log(float(values["growth"]))
    return 2.0 * width + math.log(float(values["blocks"])), 2.0 * width + math.log(float(values["kernel"]))


def measure(options: Options, run: Run) -> dict[str, Any]:
    """Seconds of one call in a process that has made a small one before, and how much its peak memory grew."""
    rng = np.random.default_rng(run.seed)
    history: list[Observation] = []
    for _ in range(run.size):
        values = SPACE.random(rng)
        effects = 0.5 * SPACE.encode(values) ** 2
        history.append(Observation(values, float(effects.sum() + 0.05 * rng.standard_normal())))
    _limit_memory()
    propose(SPACE, history[: min(SIZES)], n=BATCH, seed=run.seed + 1, cost_features=costs)
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    before, began = _peak(), time.monotonic()
    try:
        propose(SPACE, history, n=BATCH, seed=run.seed, cost_features=costs)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    except (MemoryError, TimeoutError):
        return {"seconds": None, "megabytes": None}
    return {"seconds": round(time.monotonic() - began, 4), "megabytes": round(_peak() - before, 1)}


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError(f"no answer within {PATIENCE:g} s")


def _peak() -> float:
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def _limit_memory() -> None:
    """Turn a lack of memory into a MemoryError before the system ends a process."""
    with open("/proc/meminfo") as file:
        free = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(MEMORY_SHARE * free), resource.RLIM_INFINITY))


def figures(options: Options, found: Found) -> Figures:
    """Mean seconds and megabytes of each size."""
    rows, lines = [], []
    for size in SIZES:
        measured = [found[run] for run in runs(options) if run.size == size and run in found]
        done = [one for one in measured if one["seconds"] is not None]
        name = f"thinking: one batch after {size} trials"
        if done:
            rows.append(row(f"{name}, seconds", [one["seconds"] for one in done], unit="s", bar=SECONDS.get(size)))
            rows.append(row(f"{name}, memory", [one["megabytes"] for one in done], unit="MB", bar=None))
            lines.append(f"{name}: {rows[-2]['value']:.3f} s, {rows[-1]['value']:.0f} MB, bar {SECONDS.get(size)}")
        elif measured:
            lines.append(f"{name}: takes more than {PATIENCE:g} s or more memory than there is")
    return rows, lines


THINKING = Section(runs, measure, figures, alone=True)
