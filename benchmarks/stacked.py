"""Candidates trained per minute: side by side in a stack, beside the loops that one would write for the same purpose.

    python benchmarks/stacked.py [TASK ...] [--cores N]

Tasks: letter, satellite (template mlp), digits, mnist (template cnn; 4,096 rows of MNIST). All loops train the same
candidates, feasible points of the template's Sobol sequence, dense, with the same recipe for as many epochs:

- stack: ours, ``SIDE_BY_SIDE`` candidates at a time; the cnn template's are trained one by one.
- alone: ours, one candidate after the other, as a search trains them that proposes one at a time.
- loader: an Optuna study (random sampler, ``n_jobs`` as many as cores) around a loop over a ``DataLoader``.
- memory: the same loop over batches sliced from tensors, in as many processes as cores.

Neither of the two has augmentation of its own: where images are changed they use ours, a batch at a time. Blocks of
candidates are trained by each in turn. On one core what counts are seconds of the processor, which neighbours do not
change; on several the wall's. ``same errors``: p-value of a Kolmogorov-Smirnov test that validation errors of the
stack and of the loop in memory are of one distribution. Blocks are kept in ``results/stacked.rows.json``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing.synchronize import Barrier
from typing import Any

import optuna
import torch
from common import SHARED, Measured, row, write
from scipy.stats import ks_2samp
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steerage.cost.budget import Budget
from steerage.data.augment import apply, scaled
from steerage.data.load import load_dataset
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained, build, candidate_training
from steerage.synthesis.clock import RunClock
from steerage.synthesis.driving import side_by_side
from steerage.synthesis.feasible import violation_of
from steerage.templates.registry import load_template
from steerage.training.evaluate import predict, scores_of
from steerage.training.recipe import Recipe
from steerage.training.split import validation_split

BLOCKS, SIDE_BY_SIDE, WARM_UP_ROWS = 5, 16, 1_024


@dataclass(frozen=True)
class Task:
    """Candidates of a block, their epochs, the budget that decides which are feasible, and the two bars."""

    source: str
    template: str
    max_params: int
    candidates: int
    epochs: int
    bars: tuple[float, float]
    rows: int | None = None


TASKS = {
    "letter": Task(f"{SHARED}/tabular/letter.csv.gz", "mlp", 20_000, 16, 4, (10.0, 4.0)),
    "satellite": Task(f"{SHARED}/tabular/satellite.csv.gz", "mlp", 2_000, 16, 9, (10.0, 4.0)),
    "digits": Task("digits", "cnn", 1_500, 8, 12, (8.0, 3.0)),
    "mnist": Task(f"{SHARED}/mnist.npz", "cnn", 5_300, 2, 1, (4.0, 1.3), rows=4_096),
}


@lru_cache(maxsize=1)
def bench_of(name: str) -> Bench:
    task = TASKS[name]
    dataset = load_dataset(task.source)
    rows, validation = validation_split(dataset, 0)
    rows = rows if task.rows is None else rows[:: len(rows) // task.rows][: task.rows]
    return Bench(dataset, load_template(task.template), Budget(task.max_params), rows, validation, RunClock())


def points(name: str) -> list[Values]:
    """Feasible points, of all blocks."""
    bench, task, found, skip = bench_of(name), TASKS[name], list[Values](), 0
    space, violation = bench.template.space(bench.dataset.spec), violation_of(bench)
    while len(found) < BLOCKS * task.candidates:
        found += [values for values in space.sample_sobol(64, seed=0, skip=skip) if violation(values) == 0.0]
        skip += 64
    return found[: BLOCKS * task.candidates]


def stack(name: str, candidates: Sequence[tuple[int, Values]], *, size: int = SIDE_BY_SIDE) -> list[float]:
    """Validation errors of the product's trainings."""
    bench, errors = bench_of(name), []
    for first in range(0, len(candidates), size):
        together = candidates[first : first + size]
        ended = side_by_side(
            [
                candidate_training(bench, values, name="", seed=seed, epochs=TASKS[name].epochs, scheme=None)
                for seed, values in together
            ],
            bench.dataset,
            bench.clock,
        )
        errors += [one.scores.error if isinstance(one, Trained) else 1.0 for one in ended]
    return errors


def sliced(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of an epoch, from tensors in memory."""
    order = torch.randperm(len(x))
    for batch in range(len(x) // size):
        picked = order[batch * size : (batch + 1) * size]
        yield x[picked], y[picked]


def usual(name: str, seed: int, values: Values, *, loader: bool) -> float:
    """Validation error after the loop that everybody writes."""
    bench, task = bench_of(name), TASKS[name]
    dataset, recipe = bench.dataset, bench.recipe(values)
    model = build(bench, values, seed).to(memory_format=torch.contiguous_format).train()
    x, y = dataset.x[bench.train_rows], dataset.y[bench.train_rows]
    size = min(recipe.batch_size, len(x))
    batches = DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True, drop_last=True) if loader else None
    steps = task.epochs * (len(x) // size)
    optimizer, schedule = optimizer_of(model, recipe, steps)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    change = changes(bench, recipe, seed)
    for _ in range(task.epochs):
        for inputs, target in batches if batches is not None else sliced(x, y, size):
            optimizer.zero_grad()
            loss = criterion(model(change(inputs)), target)
            loss.backward()
            optimizer.step()
            schedule.step()
    rows = bench.validation_rows
    return scores_of(predict(model, dataset, dataset.x[rows]), dataset.y[rows], dataset).error


def optimizer_of(
    model: nn.Module, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    decayed = [one for one in model.parameters() if one.ndim > 1]
    plain = [one for one in model.parameters() if one.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.99))
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda at: recipe.lr_at(at / steps) / recipe.lr)


def changes(bench: Bench, recipe: Recipe, seed: int) -> Callable[[Tensor], Tensor]:
    dataset, generator = bench.dataset, torch.Generator().manual_seed(seed)
    if dataset.spec.kind == "image":
        augment = scaled(dataset.augment, recipe.augment)
        return lambda x: dataset.prepare(apply(x, augment, generator))
    return lambda x: x + recipe.input_noise * torch.randn_like(x) if recipe.input_noise else x


def in_study(name: str, candidates: Sequence[tuple[int, Values]], jobs: int) -> list[float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space, left = bench_of(name).template.space(bench_of(name).dataset.spec), [*candidates]
    for _, values in candidates:
        study.enqueue_trial(dict(values))

    def objective(trial: optuna.Trial) -> float:
        for gene, distribution in space.distributions.items():
            trial._suggest(gene, distribution)
        seed, values = left[trial.number]
        return usual(name, seed, values, loader=True)

    study.optimize(objective, n_trials=len(candidates), n_jobs=jobs)
    return [one.value if one.value is not None else 1.0 for one in study.trials]


def in_memory(name: str, candidates: Sequence[tuple[int, Values]]) -> list[float]:
    return [usual(name, seed, values, loader=False) for seed, values in candidates]


def get_ready(name: str, all_ready: Barrier | None = None) -> None:
    """What a process does once, before anything is measured; it then waits for the others."""
    torch.set_num_threads(1)
    warm_up(name)
    if all_ready is not None:
        all_ready.wait()


def shared_out(
    work: Callable[[str, Sequence[tuple[int, Values]]], list[float]],
    name: str,
    candidates: Sequence[tuple[int, Values]],
    pool: Any,
    cores: int,
) -> list[float]:
    """``work`` on all candidates, in ``cores`` processes."""
    if pool is None:
        return work(name, candidates)
    parts = pool.starmap(work, [(name, candidates[core::cores]) for core in range(cores)])
    return [error for part in parts for error in part]


def block(name: str, index: int, cores: int, pool: Any) -> dict[str, Any]:
    """Seconds and errors of one block of candidates, by each kind of training."""
    task = TASKS[name]
    candidates = [*enumerate(points(name))][index * task.candidates : (index + 1) * task.candidates]
    now = time.process_time if cores == 1 else time.monotonic
    kinds: dict[str, Callable[[], list[float]]] = {
        "stack": lambda: shared_out(stack, name, candidates, pool, cores),
        "alone": lambda: shared_out(partial(stack, size=1), name, candidates, pool, cores),
        "memory": lambda: shared_out(in_memory, name, candidates, pool, cores),
        "loader": lambda: in_study(name, candidates, cores),
    }
    found: dict[str, Any] = {}
    for kind, train in kinds.items():
        began = now()
        errors = train()
        found[kind] = {"seconds": now() - began, "errors": errors}
        print(name, index, kind, round(found[kind]["seconds"], 2), round(statistics.median(errors), 4), flush=True)
    return found


def warm_up(name: str) -> None:
    """Load data, compile kernels, import PyTorch's optimizers."""
    task = TASKS[name]
    TASKS[name] = replace(task, epochs=1, rows=WARM_UP_ROWS)
    bench_of.cache_clear()
    values = [*enumerate(points(name)[:2])]
    stack(name, values)
    in_memory(name, values[:1])
    TASKS[name] = task
    bench_of.cache_clear()
    bench_of(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--cores", type=int, default=1)
    options = parser.parse_args()
    measured, rows, began = Measured("stacked"), [], time.monotonic()
    for name, task in TASKS.items():
        asked = not options.tasks or name in options.tasks
        blocks = [measured.get(f"{name}-{index}-{options.cores}", any_source=not asked) for index in range(BLOCKS)]
        if asked and None in blocks:
            blocks = blocks_of(name, blocks, measured, options.cores)
        whole = [one for one in blocks if one is not None]
        if whole:
            rows += figures(name, task, whole)
    command = "python benchmarks/stacked.py" + (f" --cores {options.cores}" if options.cores > 1 else "")
    print(write("stacked", rows, command=command, seconds=time.monotonic() - began))


def blocks_of(
    name: str, blocks: Sequence[dict[str, Any] | None], measured: Measured, cores: int
) -> list[dict[str, Any] | None]:
    """``blocks`` with those measured that are missing, each process being warm before."""
    context = multiprocessing.get_context("spawn")
    all_ready = context.Barrier(cores + 1) if cores > 1 else None
    with context.Pool(cores, get_ready, (name, all_ready)) if cores > 1 else nullcontext() as pool:
        get_ready(name, all_ready)
        found = []
        for index, kept in enumerate(blocks):
            if kept is None:
                measured.put(f"{name}-{index}-{cores}", kept := block(name, index, cores, pool))
            found.append(kept)
    return found


def figures(name: str, task: Task, blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the result file for one task."""
    found = []
    for kind in ("stack", "alone", "memory", "loader"):
        speeds = [60.0 * task.candidates / one[kind]["seconds"] for one in blocks]
        found.append(row(f"{name}: {kind}", speeds, unit="candidates/min", bar=None))
    for kind, bar in zip(("loader", "memory"), task.bars, strict=True):
        ratios = [one[kind]["seconds"] / one["stack"]["seconds"] for one in blocks]
        found.append(row(f"{name}: stack, over {kind}", ratios, unit="ratio", bar=bar, at_least=True))
    ratios = [one["memory"]["seconds"] / one["alone"]["seconds"] for one in blocks]
    found.append(row(f"{name}: alone, over memory", ratios, unit="ratio", bar=1.0, at_least=True))
    errors = {kind: [error for one in blocks for error in one[kind]["errors"]] for kind in ("stack", "memory")}
    for kind, values in errors.items():
        found.append(row(f"{name}: validation error, {kind}", values, unit="fraction", bar=None))
    same = float(ks_2samp(errors["stack"], errors["memory"]).pvalue)
    found.append(row(f"{name}: same errors", [same], unit="p-value", bar=0.05, at_least=True))
    return found


if __name__ == "__main__":
    main()
