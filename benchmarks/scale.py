"""Several trainings at a time: throughput, what the driver costs, memory, waiting, and a Ray cluster that loses nodes.

    python benchmarks/scale.py [throughput driver growth proposals memory waiting ray ...]

Without names all of them; figures that were measured before with this very source are kept.

- throughput: the same trainings of candidates of the ``cnn`` template (on the digits of scikit-learn) by one worker and
  by two, each with a thread, turn by turn; the workers have started before. It needs two free cores.
- driver: processor's time of the search's own work per trial, around 1,000 trials of a study in a file, with dummy
  trainings and random proposals in place of those of the predictor.
- growth: the same per trial around 100, 3,000 and 10,000 trials, and the bytes of the study's file per trial.
- proposals: processor's time of one by the predictor and its evolution, which know as many candidates.
- memory: of the driver, by how much it grows with each of such trials between the 2,000th and the 10,000th: what a
  trial itself takes, a dozen small dictionaries, and nothing else.
- waiting: 200 simulated workers, whose trainings last from 300 to 900 s at random, on a clock that adds the driver's
  processor time, proposals included, to theirs; the share of its time in which the one that waits most does nothing.
- ray: a cluster of three nodes on this machine, of which two are lost in mid-run and another joins; needs Ray.
"""

from __future__ import annotations

import heapq
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
from common import Measured, row, write
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from steerage.cost.budget import Budget
from steerage.data.load import load_dataset
from steerage.events import RoundFinished, TrialFinished
from steerage.execute import RayExecutor, WorkerPool
from steerage.search import run as search_run
from steerage.search import sampler
from steerage.search.evaluation import TrialOutcome
from steerage.search.mirror import at_once
from steerage.search.propose import Observation, propose
from steerage.search.ranking import METRICS, NUMBER, SECONDS, ranking
from steerage.search.run import open_study, search, study_file
from steerage.search.under_way import Workers
from steerage.space import Space, Values
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.synthesis.parcel import Parcel
from steerage.synthesis.trial import TrialTask
from steerage.templates import Cnn
from steerage.training.split import validation_split

TURNS, CANDIDATES, EPOCHS = 5, 8, 6
AFTER = (100, 3000, 10_000)  # trials
SPACE = Space(
    {
        "width": IntDistribution(8, 512, log=True),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
        "depth": IntDistribution(1, 6),
        "activation": CategoricalDistribution(["relu", "gelu"]),
    }
)
MEASURED = Measured("scale")


def dummy(number: int, values: Values) -> TrialOutcome:
    rng = np.random.default_rng(number)
    error = abs(np.log(float(values["lr"]) / 3e-3)) + 0.1 * rng.random()
    return TrialOutcome(float(error), {"error": float(error), "loss": 1.0, "params": 1000})


def throughput() -> dict[str, Any]:
    dataset = load_dataset("digits")
    train_rows, validation_rows = validation_split(dataset, 0)
    bench = Bench(dataset, Cnn(), Budget(max_params=1500), train_rows, validation_rows, RunClock())
    points = bench.template.space(dataset.spec).sample_sobol(CANDIDATES, seed=0)
    ratios = []
    with tempfile.TemporaryDirectory() as folder, WorkerPool(1) as one, WorkerPool(2) as two:
        task = TrialTask(Parcel.of(bench, Path(folder)), Path(folder), 0, None, EPOCHS, None, best=0.0)

        def seconds(pool: WorkerPool) -> float:
            began = time.monotonic()
            for future in [pool.submit(task, number, values) for number, values in enumerate(points)]:
                future.result()
            return time.monotonic() - began

        seconds(one), seconds(two)
        for _ in range(TURNS):
            ratios.append(seconds(one) / seconds(two))
    return {"values": ratios}


def random_proposals(space: Space, history: object, *, n: int, seed: int, **_: object) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, len(history)])  # type: ignore[arg-type]
    return [space.normalize({gene.name: gene.from_unit(float(rng.random())) for gene in space.genes}) for _ in range(n)]


def no_round(*state: Any) -> RoundFinished:
    return RoundFinished(state[4], len(state[3]), None, None, None, 1.0)


def without_proposals(n_trials: int, at_each: Callable[[int], None], *, known: int = 0) -> None:
    """A search whose proposals and rounds cost nothing, from ``known`` trials on; ``at_each`` that finished."""
    kept = sampler.propose, search_run._round
    sampler.propose = random_proposals  # type: ignore[assignment]
    search_run._round = no_round
    try:
        with tempfile.TemporaryDirectory() as folder, study_file(Path(folder) / "study.db") as study:
            at_once(study, lambda: study.add_trials([known_trial(number) for number in range(known)]))
            for event in search(SPACE, dummy, study=study, n_trials=n_trials, again=0.0):
                if isinstance(event, TrialFinished):
                    at_each(event.number + 1)
    finally:
        sampler.propose, search_run._round = kept


def own_work(known: int, step: int, turns: int) -> list[float]:
    """Milliseconds of the processor per trial from number ``known`` + ``step`` on, ``turns`` means over ``step``."""
    marks: dict[int, float] = {}
    without_proposals(
        known + (turns + 1) * step, lambda done: marks.__setitem__(done, time.process_time()), known=known
    )
    begins = range(known + step, known + (turns + 1) * step, step)
    return [1000.0 * (marks[at + step] - marks[at]) / step for at in begins]


def driver() -> dict[str, Any]:
    return {"values": own_work(1000, 10, 5)}


def growth() -> dict[str, Any]:
    found: dict[str, Any] = {
        f"driver's own work per trial at {known:,} trials": own_work(known, 5, 4) for known in AFTER
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        with study_file(file) as study:
            at_once(study, lambda: study.add_trials([known_trial(number) for number in range(1000)]))
        found["bytes of study.db per trial"] = [sum(one.stat().st_size for one in Path(folder).iterdir()) / 1000]
    return found


def proposals() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for known in (100, 1000, *AFTER[1:]):
        trials = [known_trial(number) for number in range(known)]
        history = [Observation(one.params, float(one.value or 0.0)) for one in trials]
        times = []
        for turn in range(3):
            began = time.process_time()
            propose(SPACE, history, n=1, seed=turn)
            times.append(time.process_time() - began)
        found[f"a proposal after {known:,} trials"] = times
    return found


def known_trial(number: int) -> FrozenTrial:
    """A trial as the search would have left it."""
    rng = np.random.default_rng(number)
    values = {gene.name: gene.from_unit(float(rng.random())) for gene in SPACE.genes}
    outcome = dummy(number, values)
    attributes = {NUMBER: number, METRICS: dict(outcome.metrics), SECONDS: 1.0}
    return create_trial(
        params=values, distributions=dict(SPACE.distributions), value=outcome.error, user_attrs=attributes
    )


def memory() -> dict[str, Any]:
    marks: dict[int, float] = {}

    def look(done: int) -> None:
        if done % 1000 == 0:
            marks[done] = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
            print(f"{done} trials: {marks[done]:.0f} MB", file=sys.stderr, flush=True)

    without_proposals(10_000, look)
    return {"values": [1e6 * (marks[10_000] - marks[2000]) / 8000], "at": marks}


class Simulated(Executor):
    """Workers on a clock of their own, which adds the driver's processor time to theirs."""

    def __init__(self, workers: int, seed: int) -> None:
        self._rng, self._left = np.random.default_rng(seed), list[tuple[float, int, Future[Any], Callable[[], Any]]]()
        self.now, self._worked, self.idle = 0.0, time.process_time(), [(0.0, worker) for worker in range(workers)]
        self.waited, self.busy = [0.0] * workers, [0.0] * workers
        self._free: list[tuple[float, int]] = list(self.idle)

    def _tick(self) -> None:
        worked = time.process_time()
        self.now, self._worked = self.now + worked - self._worked, worked

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._tick()
        future: Future[Any] = Future()
        since, worker = heapq.heappop(self._free)
        if since > 0.0:  # at the very start all of them wait for the first proposals
            self.waited[worker] += self.now - since
        lasts = float(self._rng.uniform(300.0, 900.0))
        self.busy[worker] += lasts
        heapq.heappush(self._left, (self.now + lasts, worker, future, lambda: fn(*args, **kwargs)))
        return future

    def wait(self, futures: Collection[Future[Any]]) -> None:
        self._tick()
        self.now = max(self.now, self._left[0][0])
        while self._left and self._left[0][0] <= self.now:
            at, worker, future, work = heapq.heappop(self._left)
            heapq.heappush(self._free, (at, worker))
            future.set_result(work())
        self._worked = time.process_time()


def waiting() -> dict[str, Any]:
    workers = 200
    simulated, study = Simulated(workers, 0), open_study()
    done = 0
    team = Workers(simulated, workers, False, simulated.wait)
    for event in search(SPACE, dummy, study=study, n_trials=3 * workers, again=0.0, batch=workers // 4, workers=team):
        done += isinstance(event, TrialFinished)
        if done and done % 200 == 0 and isinstance(event, TrialFinished):
            print(f"{done} trials at {simulated.now:.0f} s", file=sys.stderr, flush=True)
    shares = [waited / (waited + busy) for waited, busy in zip(simulated.waited, simulated.busy, strict=True)]
    return {"values": [100.0 * max(shares)], "median": 100.0 * statistics.median(shares)}


def ray() -> dict[str, Any]:
    import ray as library
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    cluster.wait_for_nodes()
    library.init(address=cluster.address, log_to_driver=False)
    executor, straight, study = RayExecutor(), open_study(), open_study()
    options = {"n_trials": 24, "start": 8, "again": 0.0}
    list(search(SPACE, slow, study=straight, workers=Workers(ahead=3), **options))  # type: ignore[arg-type]
    finished: list[int] = []
    for event in search(SPACE, slow, study=study, workers=Workers(executor, 3), **options):  # type: ignore[arg-type]
        if isinstance(event, TrialFinished):
            finished.append(event.number)
            if len(finished) == 4:
                cluster.remove_node(nodes[0])
                cluster.remove_node(nodes[1])
            if len(finished) == 8:
                cluster.add_node(num_cpus=1)
    executor.shutdown()
    library.shutdown()
    cluster.shutdown()
    same = [[(one.number, one.values, one.error) for one in ranking(each)] for each in (straight, study)]
    once = sorted(finished) == list(range(24))
    return {"values": [float(once and same[0] == same[1])]}


def slow(number: int, values: Values) -> TrialOutcome:
    time.sleep(0.5)
    return dummy(number, values)


# Several figures each, without bars: names of rows, and units.
SEVERAL: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, str]]] = {
    "growth": (growth, {"driver's": "ms", "bytes": "bytes"}),
    "proposals": (proposals, {"a proposal": "s"}),
}
ROWS: dict[str, tuple[Callable[[], dict[str, Any]], str, str, float, bool]] = {
    "throughput": (throughput, "two workers' throughput over one's, candidates of cnn", "times", 1.8, True),
    "driver": (driver, "driver's own work per trial at 1,000 trials", "ms", 20.0, False),
    "memory": (memory, "driver's memory per trial, from 2,000 to 10,000 trials", "bytes", 10_000.0, False),
    "waiting": (waiting, "share of its time that a worker waits, the longest of 200", "%", 5.0, False),
    "ray": (ray, "two of three Ray nodes lost: each trial finished once, same results", "", 1.0, True),
}


def main() -> None:
    began, names = time.monotonic(), sys.argv[1:] or [*ROWS, *SEVERAL]
    for name in names:
        if MEASURED.get(name) is None:
            MEASURED.put(name, {**ROWS, **SEVERAL}[name][0]())
    rows = [
        row(text, kept["values"], unit=unit, bar=bar, at_least=at_least)
        for name, (_, text, unit, bar, at_least) in ROWS.items()
        if (kept := MEASURED.get(name, any_source=True)) is not None
    ]
    for name, (_, units) in SEVERAL.items():
        for text, values in (MEASURED.get(name, any_source=True) or {}).items():
            unit = next((unit for start, unit in units.items() if text.startswith(start)), None)
            if unit is not None:  # else it says where and when that was measured
                rows.append(row(text, values, unit=unit, bar=None))
    write("scale", rows, command="python benchmarks/scale.py", seconds=time.monotonic() - began)


if __name__ == "__main__":
    import scale  # by its name, under which the workers know it

    scale.main()
