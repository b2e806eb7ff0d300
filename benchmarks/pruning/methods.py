"""The methods that are compared: each trains the network of a task down to its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from pruning.distilled import distil
from pruning.rigl import RigL
from pruning.tasks import Task, bench_of, sized, unbounded
from steerage.cost.count import count
from steerage.growprune import connections, schemes
from steerage.growprune import masks as masking
from steerage.growprune.choose import scheme_for
from steerage.growprune.run import GrowPrune
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained, build, compacted, synthesize_candidate
from steerage.training.evaluate import Scores
from steerage.training.fit import Steps, Training, train

ONE_SHOT = (schemes.Connections(0.5, 1.0),)
ZHU_GUPTA = schemes.gradual()


def ours(task: Task, seed: int) -> Trained:
    """What the product does with a candidate that it delivers."""
    return _product(task, seed, _scheme(task))


def without_growth(task: Task, seed: int) -> Trained:
    """The same, and nothing grows."""
    return _product(task, seed, _still(_scheme(task)))


def one_shot(task: Task, seed: int) -> Trained:
    """Dense for half of the epochs, then all pruning at once by magnitude over all layers, then fine-tuning."""
    return _pruned(task, seed, ONE_SHOT)


def gradual(task: Task, seed: int) -> Trained:
    """Zhu & Gupta (arXiv 1710.01878): the cubic schedule, by magnitude over all layers."""
    return _pruned(task, seed, ZHU_GUPTA)


def rigl(task: Task, seed: int) -> Trained:
    """Sparse all the time, connections exchanged."""
    bench, values = bench_of(task)
    training, batches = _training(bench, values, seed)
    steps = task.epochs * batches
    hold = RigL(training, task.size, bench.dataset.spec.input_shape, steps, seed)
    _run(training, bench, steps, hold)
    return _finished(training, bench, hold.masks)


def small(task: Task, seed: int) -> Trained:
    """The widest dense network of the same kind that has no more parameters; narrower than the template goes, if so."""
    bench, values = bench_of(task)
    width = 1
    while _dense(bench, sized(values, width + 1)) <= task.size:
        width += 1
    bench = unbounded(bench)
    training, batches = _training(bench, sized(values, width), seed)
    _run(training, bench, task.epochs * batches, None)
    return _finished(training, bench, masking.full(training.model))


def _dense(bench: Bench, values: Values) -> int:
    return count(bench.template.build(values, bench.dataset.spec), bench.dataset.spec.input_shape).params


METHODS: dict[str, Callable[[Task, int], Trained]] = {
    "ours": ours,
    "ours without growth": without_growth,
    "one-shot magnitude": one_shot,
    "gradual magnitude": gradual,
    "RigL": rigl,
    "small dense": small,
}


def _scheme(task: Task) -> schemes.Scheme:
    bench, values = bench_of(task)
    spec = bench.dataset.spec
    return scheme_for(task.scheme, bench.template.build(values, spec), bench.budget, spec.input_shape)


def _still(scheme: schemes.Scheme) -> schemes.Scheme:
    """``scheme`` in which nothing is grown in place of something else."""
    return tuple(replace(one, exchange=0.0) if isinstance(one, schemes.Connections) else one for one in scheme)


def _named(name: str) -> Callable[[Task, int], Trained]:
    return lambda task, seed: ours(replace(task, scheme=name), seed)


def _scored(score: connections.Score, growth: connections.Score | None = None) -> Callable[[Task, int], Trained]:
    """Ours with another score of connections, or another growth."""

    def method(task: Task, seed: int) -> Trained:
        bench, values = bench_of(task)
        training, batches = _training(bench, values, seed)
        editor = GrowPrune(training.model, bench.budget, bench.dataset.spec.input_shape, _scheme(task), score=score)
        if growth is not None:
            editor.growth = growth
        _run(training, bench, task.epochs * batches, lambda now: _step(editor, now))
        editor.finish(training.optimizer)
        return _finished(training, bench, editor.masks)

    return method


def distilled(task: Task, seed: int) -> Trained:
    """Half of the epochs train a dense teacher, from whose weights the student begins."""
    bench, values = bench_of(task)
    teacher, batches = _training(bench, values, seed)
    student, _ = _training(bench, values, seed)
    editor = GrowPrune(student.model, bench.budget, bench.dataset.spec.input_shape, _scheme(task))
    distil(teacher, student, editor, bench.dataset, bench.train_rows, task.epochs * batches)
    editor.finish(student.optimizer)
    return _finished(student, bench, editor.masks)


def _step(editor: GrowPrune, training: Training) -> None:
    editor.step(training.optimizer, training.progress)


ABLATION: dict[str, Callable[[Task, int], Trained]] = {
    "ours": ours,
    "ours without growth": without_growth,
    "ours, scheme A": _named("A"),
    "ours, scheme B": _named("B"),
    "ours, scheme C": _named("C"),
    "ours, pruning by LAMP": _scored(connections.layer_adaptive),
    "ours, pruning by magnitude": _scored(connections.magnitude),
    "ours, distilled": distilled,
    "ours, growth by gradient over all layers": _scored(connections.sensitive, connections.gradient),
    "ours, random growth": _scored(connections.sensitive, connections.random(torch.Generator().manual_seed(0))),
}


def _product(task: Task, seed: int, scheme: schemes.Scheme) -> Trained:
    bench, values = bench_of(task)
    trained = synthesize_candidate(
        _blind(bench), values, name="ours", seed=_seed(seed), epochs=task.epochs, scheme=scheme
    )
    return compacted(trained, bench)


def _pruned(task: Task, seed: int, scheme: schemes.Scheme) -> Trained:
    bench, values = bench_of(task)
    training, batches = _training(bench, values, seed)
    shape = bench.dataset.spec.input_shape
    editor = GrowPrune(training.model, bench.budget, shape, scheme, score=connections.magnitude)
    _run(training, bench, task.epochs * batches, lambda now: editor.step(now.optimizer, now.progress))
    editor.finish(training.optimizer)
    return _finished(training, bench, editor.masks)


def _training(bench: Bench, values: Values, seed: int) -> tuple[Training, int]:
    model = build(bench, values, _seed(seed))
    recipe = bench.recipe(values)
    rows = bench.train_rows
    return Training(model, recipe, seed=_seed(seed)), recipe.batches(len(rows))


def _run(training: Training, bench: Bench, steps: int, hold: Callable[[Training], None] | None) -> None:
    for _ in train(training, bench.dataset, bench.train_rows, effort=Steps(steps), after_step=hold):
        pass


def _finished(training: Training, bench: Bench, masks: masking.Masks) -> Trained:
    training.use_average()
    masking.apply_(training.model, masks)
    cost = count(training.model, bench.dataset.spec.input_shape, masks=masks)
    return compacted(Trained(training.model, masks, Scores(0.0, 0.0, 0), cost, (), 0.0, 0.0), bench)


def _blind(bench: Bench) -> Bench:
    """``bench`` with a few rows to score on, whose scores nobody reads."""
    return replace(bench, validation_rows=torch.arange(min(64, len(bench.train_rows))))


def _seed(seed: int) -> int:
    """The same first weights and order of the rows for all methods."""
    return child_seed(seed, "benchmark of grow-and-prune")
