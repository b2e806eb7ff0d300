"""CIFAR-10 (JPEG-75) inside the parameters and MACs of ResNet-20: synthesized, and what search and pruning each add.

    baseline      ResNet-20
    start         the template's densest first bet, grown and pruned to the budget: no search
    dense         the architecture that was found, as wide as fits the budget densely: no grow-and-prune
    synthesized   the architecture that was found, grown and pruned

All four have one recipe and ``EPOCHS`` epochs (or as many as asked: a row of its own) on all rows that are not test
rows, and the test rows are read once a training. The search chooses on validation rows: it is ``steerage search``, with
trials of an epoch, of which three are trained for six, called again until it is done (in trials of as many minutes,
small networks come first, which learn fast). Candidates with more than ``EXPANSION`` times the budget before they are
pruned are left out, since they train that much longer. First come the baseline and the synthesized, seed by seed, then
what the search and the pruning add. ``chance``: as many random candidates as the search had, trained as long.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from common import ROOT, SHARED, Measured, commits, row

from paper_rows import by_chance
from paper_rows.kept import put_into_zoo
from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.data.load import load_dataset
from steerage.growprune.choose import scheme_for
from steerage.space import Values
from steerage.synthesis.candidate import Bench, build, compacted, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.templates.like import Like, published_like

NAME = "cifar-resnet20"
SEARCH = f"{NAME}-search"
DATA = SHARED / "cifar10_jpeg75_train.parquet"
MAX_PARAMS, MAX_MACS = 272_474, 41_000_000
EPOCHS, SEARCH_EPOCHS, TRIALS, SEEDS = 30, 6, 10, (0, 1, 2)
JOBS = 2  # trainings of the search at a time
EXPANSION = 3
POINTS = 0.0252  # by which the paper's network is better than the one it is like
KINDS = ("baseline", "synthesized", "dense", "start")
# Figures of a final training: what they are called, where they are kept, and their unit.
OF_TRAINING = (
    ("test error", "error", "fraction"),
    ("parameters", "params", "parameters"),
    ("MACs", "macs", "parameters"),
    ("one training", "hours", "hours"),
)
CHANCE = "chance"
ALL = (*KINDS, CHANCE)


def named(epochs: int) -> str:
    """The row of so many epochs, whose runs, figures and file have this name."""
    return NAME if epochs == EPOCHS else f"{NAME}-{epochs}"


def options() -> list[str]:
    """Of ``steerage search``."""
    words = ["--like", "resnet20", "--max-params", str(MAX_PARAMS), "--max-macs", str(MAX_MACS)]
    words += ["--max-expansion", str(EXPANSION)]
    return [*words, "--epochs", str(SEARCH_EPOCHS), "--trials", str(TRIALS), "--jobs", str(JOBS)]


def searched(folder: Path) -> dict[str, Any]:
    """Summary of the run in ``folder``, which is called again while it says that it has not come to its end."""
    data = f"../{DATA.relative_to(ROOT.parent)}"
    words = ["search", data, *options(), "--minutes", "50", "--out", str(folder), "--json"]
    while True:
        done = subprocess.run([sys.executable, "-m", "steerage", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        if done.returncode != 3:
            raise SystemExit(f"{NAME}: exit code {done.returncode}")


def bench_of() -> Bench:
    dataset = load_dataset(str(DATA))
    rows = torch.arange(len(dataset.y))
    like = published_like("resnet20", dataset.spec)
    return Bench(dataset, like, Budget(MAX_PARAMS, MAX_MACS), rows, rows[:64], RunClock(), max_expansion=EXPANSION)


def densest(bench: Bench) -> Values:
    """The template's first bet that is denser than the others, of those that the search may train."""
    spec, allowed = bench.dataset.spec, violation_of(bench)
    starts = [values for values in bench.template.starts(spec) if allowed(values) == 0]
    return max(starts, key=lambda values: dense_cost(bench.template, values, spec).macs)


def fitting(bench: Bench, values: Values) -> Values:
    """``values`` made as narrow as the budget asks for, without any pruning."""
    spec = bench.dataset.spec
    for width in range(int(values["width"]), 0, -1):
        narrow = {**values, "width": width}
        if bench.budget.violation(dense_cost(bench.template, narrow, spec)) == 0:
            return narrow
    raise SystemExit(f"{values} fits at no width")


def trained(kind: str, seed: int, values: Values, epochs: int, runs: Path) -> dict[str, Any]:
    """Test error of one of the four; goes on from its folder in ``runs``. The first that is pruned after a search
    goes into the zoo.
    """
    bench = bench_of()
    assert isinstance(bench.template, Like)
    pruned = kind in ("start", "synthesized")
    shape = bench.dataset.spec.input_shape
    scheme = scheme_for("auto", build(bench, values, 0), bench.budget, shape) if pruned else None
    directory = RunDirectory(runs / f"{named(epochs)}-{kind}-{seed}")
    directory.path.mkdir(exist_ok=True)
    clock, checkpoint = directory.clock(None), directory.path / "training.state"
    budget = bench.budget if pruned else Budget()
    free = replace(bench, budget=budget, clock=clock, on_tick=lambda name, tick: directory.heartbeat(clock))
    done = synthesize_candidate(free, values, name=kind, seed=seed, epochs=epochs, scheme=scheme, checkpoint=checkpoint)
    small = compacted(done, free)
    scores = bench.test_scores(small.model)
    if kind == "synthesized" and (epochs, seed) == (EPOCHS, SEEDS[0]):
        command = f"python benchmarks/paper.py {NAME}"
        put_into_zoo(NAME, bench, values, small, scores, runs / SEARCH, command, seed)
    return {"error": scores.error, "params": small.cost.params, "macs": small.cost.macs, "hours": done.seconds / 3600}


def figures(
    measured: Measured, runs: Path, *, kept: bool, epochs: int = EPOCHS, asked: Sequence[str] = KINDS
) -> list[dict[str, Any]]:
    """Rows of the result file; ``runs``: folder for the search and for trainings that were cut off.

    ``asked``: kinds that are to be measured, so that several processes can share the work; the search is for all of
    them but the baseline.
    """
    runs.mkdir(parents=True, exist_ok=True)
    name, folder = named(epochs), runs / SEARCH
    key = f"{NAME} search"
    if measured.get(key, any_source=True) is None and not kept and set(asked) != {"baseline"}:
        measured.put(key, searched(folder))
    summary = measured.get(key, any_source=True)
    key = f"{NAME} {CHANCE}"
    if summary is not None and measured.get(key, any_source=True) is None and not kept and CHANCE in asked:
        of_trial = Plan(Effort(trials=TRIALS, epochs=SEARCH_EPOCHS)).epochs("search")
        measured.put(key, by_chance.best_of(folder, DATA, epochs=of_trial, checkpoints=runs))
    chance = measured.get(key, any_source=True)
    bench, found = bench_of(), dict[str, list[dict[str, Any]]]()
    points: dict[str, Values] = {"baseline": bench.template.baseline(bench.dataset.spec), "start": densest(bench)}
    if summary is not None:
        points |= {"dense": fitting(bench, summary["values"]), "synthesized": summary["values"]}
    # What the search took can be the start itself: one training is both then, and the search added nothing.
    same = points["start"] == points.get("synthesized")
    for kinds in (KINDS[:2], KINDS[2:]):
        for seed, kind in product(SEEDS, kinds):
            training = "synthesized" if same and kind == "start" else kind
            key = f"{name} {training}-{seed}"
            if measured.get(key, any_source=True) is None and not kept and kind in asked and kind in points:
                measured.put(key, trained(training, seed, points[kind], epochs, runs))
            if (one := measured.get(key, any_source=True)) is not None:
                found.setdefault(kind, []).append(one)
                print(key, one["error"], flush=True)
    rows = [] if chance is None else [one | commits([chance]) for one in by_chance.figures(name, chance)]
    if summary is not None:
        of_search = {
            "trials of the search": (summary["trials"], "trials"),
            "search and its trainings": (summary["seconds"]["total"] / 3600, "hours"),
            "trainings of the search at a time": (JOBS, "trainings"),
        }
        for what, (value, unit) in of_search.items():
            rows.append(row(f"{name}: {what}", [value], unit=unit, bar=None) | commits([summary]))
    for kind, several in found.items():
        for what, key, unit in OF_TRAINING[:1] if same and kind == "start" else OF_TRAINING:
            told = [one for one in several if key in one]  # of one that went on without a clock, no hours
            if told:
                values = [one[key] for one in told]
                rows.append(row(f"{name}: {kind}, {what}", values, unit=unit, bar=None) | commits(told))
    if "synthesized" in found:
        for kind in ("baseline", "dense", "start"):
            pairs = list(zip(found.get(kind, []), found["synthesized"], strict=False))
            gains = [other["error"] - ours["error"] for other, ours in pairs]
            bar = POINTS if kind == "baseline" else 0.0
            if gains:
                what = f"{name}: synthesized better than {kind} by"
                compared = commits([one for pair in pairs for one in pair])
                rows.append(row(what, gains, unit="fraction", bar=bar, at_least=True) | compared)
    return rows
