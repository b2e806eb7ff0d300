"""One training of one candidate, from its first weights down to the budget; resumable where a file is given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterable
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from steerage import store
from steerage.cost.budget import Budget
from steerage.cost.count import Cost
from steerage.cost.device import Device
from steerage.cost.price import DEFAULT, Price
from steerage.data.dataset import Dataset
from steerage.errors import BadBundle, TrainingFailed
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.masks import Masks
from steerage.growprune.resize import follow_average_
from steerage.growprune.run import Edit, GrowPrune
from steerage.growprune.schemes import Scheme
from steerage.growprune.target import within
from steerage.nn.fit_inputs import fit_inputs
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis.clock import RunClock, Stopwatch
from steerage.synthesis.driving import side_by_side
from steerage.synthesis.latency import LatencyBound
from steerage.templates.template import Template
from steerage.training.evaluate import Scores, evaluate, predict, scores_of
from steerage.training.fit import Effort, Seconds, Steps, Tick, Training, loss_of
from steerage.training.recipe import Recipe, recipe_from
from steerage.training.stacked.loop import Run

SAVE_EVERY_SECONDS = 10.0
LATEST_REST = 0.8  # of a training: to rest later saves next to nothing
PROBED_ROWS = 1024
MEASURED_ROWS = 2048
# How much denser than the budget a candidate may be before grow-and-prune; far denser ones only waste training time.
MAX_EXPANSION = 25.0
FITTED_ROWS = 20_000  # training rows that quantiles and projections of the inputs are computed from


@dataclass(frozen=True)
class Bench:
    """What all trainings of a run share: data, template, budget, the rows to train on and to choose by, the clock.

    ``depth``: layers that every candidate is to have (``Template.depth``); None for as many as it likes. ``device``:
    the board or core that code is made for, of 8-bit integers if ``int8``; ``max_latency_ms``: the time for a row that
    was asked for, which is in the budget as instructions. ``latency``: what bounds and measures that time in ONNX
    Runtime, where that is the device. ``max_expansion``: how many times as dense as the budget candidates may be.
    ``lessons``: what networks learn from in place of ``dataset``, whose rows they are still judged by; trainings must
    then be told which of its rows.
    """

    dataset: Dataset
    template: Template
    budget: Budget
    train_rows: Tensor
    validation_rows: Tensor
    clock: RunClock
    on_tick: Callable[[str, Tick], None] = lambda name, tick: None
    depth: int | None = None
    device: Device | None = None
    latency: LatencyBound | None = None
    int8: bool = False
    max_latency_ms: float | None = None
    max_expansion: float = MAX_EXPANSION
    lessons: Dataset | None = None

    @property
    def learnt(self) -> Dataset:
        """What networks learn from."""
        return self.dataset if self.lessons is None else self.lessons

    @cached_property
    def price(self) -> Price:
        """What networks cost on this data, as code too where the budget bounds it."""
        core = (DEFAULT if self.device is None else self.device.core) if self.budget.on_device else None
        return Price(self.dataset, core, self.int8, "flash" if self.budget.max_instructions is None else "speed")

    @cached_property
    def price_told(self) -> Price:
        """The same for what a run tells, which has the code in any case."""
        return self.price if self.device is None else replace(self.price, core=self.device.core)

    def cost_told(self, trained: Trained) -> Cost:
        """The cost of ``trained`` with that of its code, if there is any, whether or not the budget asks for it."""
        code = self.price_told.if_any(trained.model, trained.masks)
        return replace(trained.cost, flash=code.flash, ram=code.ram, instructions=code.instructions)

    def scores(self, model: nn.Module) -> Scores:
        """On the validation rows."""
        rows = self.validation_rows
        with self.clock.counted():
            x, y, weights = self.dataset.x[rows], self.dataset.y[rows], self.dataset.weights_of(rows)
            return evaluate(model, self.dataset, x, y, weights)

    def test_scores(self, model: nn.Module) -> Scores:
        """On the test rows. Only for networks that nothing depends on any more."""
        return self.test_scores_of(self.test_outputs(model))

    def test_outputs(self, model: nn.Module) -> Tensor:
        """What ``model`` makes of the test rows: (n, outputs). As ``test_scores``."""
        with self.clock.counted():
            return predict(model, self.dataset, self.dataset.x_test)

    def test_scores_of(self, outputs: Tensor) -> Scores:
        """Scores of ``test_outputs``."""
        with self.clock.counted():
            return scores_of(outputs, self.dataset.y_test, self.dataset, self.dataset.weights_test)

    def recipe(self, values: Values) -> Recipe:
        return recipe_from(values, self.template.defaults(self.dataset.spec))


@dataclass(frozen=True)
class Trained:
    """A network that has been trained: ``masks`` hold what is active, ``edits`` how it came to that.

    ``epochs``: of all the training that its weights have seen; ``seconds``: of the last one, on the run's clock.
    ``stopped_at``: the rung, a share of its training, at which it rests; it is not inside the budget then.
    """

    model: nn.Module
    masks: Masks
    scores: Scores
    cost: Cost
    edits: tuple[Edit, ...]
    epochs: float
    seconds: float
    stopped_at: float | None = None

    def rate(self, own: int, macs: int) -> float:
        """Epochs in a second of a network of ``macs``, if a MAC takes as long as in this one, trained with ``own``."""
        return self.epochs / max(self.seconds, 1e-3) * own / max(1, macs)


P = ParamSpec("P")
Conduct: TypeAlias = "Generator[Run, Tick | None, Trained]"


class Hopeless(Protocol):
    """Asked now and then whether to give a training up. ``first``: what it remembers of it, saved beside it."""

    first: float | None

    def __call__(self, progress: float, scores: Scores) -> bool: ...


@dataclass(frozen=True)
class Rests:
    """Where a training may rest: ``judge(rung, scores)`` is told the scores at each of ``rungs``, and says when to.

    ``file`` then has the training as it is; with ``going_on`` it begins there, or anew if the file is lost.
    """

    rungs: tuple[float, ...]
    judge: Callable[[float, Scores], bool]
    file: Path
    going_on: bool = False

    def passed(self, seen: Iterable[float], progress: float) -> list[float]:
        """Rungs that are not among ``seen`` and not beyond ``progress``."""
        return [rung for rung in self.rungs if rung not in seen and rung <= progress]


def build(bench: Bench, values: Values, seed: int) -> nn.Module:
    """Network of ``values`` with fresh weights that depend on ``seed`` alone."""
    dataset = bench.dataset
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "weights"))
        try:
            model = bench.template.build(values, dataset.spec)
        except Exception as error:
            raise TrainingFailed(f"the template cannot build this candidate: {error}") from error
    rows = bench.train_rows[:FITTED_ROWS]
    fit_inputs(model, dataset.prepare(dataset.x[rows]), dataset.y[rows], seed=child_seed(seed, "inputs"))
    if len(dataset.spec.input_shape) == 3:
        # Convolutions of few channels are fastest with the channels last (and bfloat16 needs it).
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def candidate_training(
    bench: Bench,
    values: Values,
    *,
    name: str,
    seed: int,
    seconds: float | None = None,
    epochs: int | None = None,
    scheme: Scheme | None,
    rows: Tensor | None = None,
    start: Trained | None = None,
    recipe: Recipe | None = None,
    checkpoint: Path | None = None,
    hopeless: Hopeless | None = None,
    rests: Rests | None = None,
    exact: bool = True,
    watch: Callable[[GrowPrune], float] | None = None,
    teacher: nn.Module | None = None,
) -> Conduct:
    """Train ``values`` for ``seconds`` on the run's clock, or ``epochs``, and prune along ``scheme`` to the budget.

    What is returned is for ``side_by_side``, which trains it beside others; ``synthesize_candidate`` trains it alone.

    ``scheme=None`` trains without pruning. ``start`` goes on from a network with its masks held. ``rows`` are the
    training rows by default. With ``checkpoint`` the training goes on from the file, or the one before it if that is
    damaged, or begins anew if both are; it saves itself there every ten seconds, and when it is stopped between two
    steps. ``hopeless(progress, scores)`` is asked now and then whether to give the candidate up early.
    ``watch``: returns the error that an edit's record has, before it is made; ``validation_error`` for one.
    ``rests``: where it may stop, to go on another time as if it had not; between epochs, where those are counted.
    ``teacher``: a trained network that tells what else is to be learnt (``steerage.training.teaching``).
    Raises: TrainingFailed.
    """
    rows = bench.train_rows if rows is None else rows
    recipe = bench.recipe(values) if recipe is None else recipe
    model = build(bench, values, seed) if start is None else copy.deepcopy(start.model)
    training = Training(model, recipe, seed=seed, teacher=teacher)
    input_shape = bench.dataset.spec.input_shape
    kept = {} if start is None else start.masks
    editor = None
    if scheme is not None:
        probe = _probe(bench, rows, child_seed(seed, "probe"))
        editor = GrowPrune(
            model,
            bench.budget,
            input_shape,
            scheme,
            masks=dict(kept),
            exact=exact,
            probe=probe,
            seed=seed,
            price=bench.price,
        )
        if watch is not None:
            editor.measure = watch
    began = bench.clock()
    saved, asking = None if checkpoint is None else store.load_tree_if_whole(checkpoint), 0.0
    told: list[tuple[float, Scores]] = []  # at which rungs, and what
    if saved is None and rests is not None and rests.going_on:
        saved = store.load_tree_if_whole(rests.file)
    if saved is not None:
        try:
            if editor is not None:  # first: the network takes its shapes from it
                editor.load_state_dict(saved["editor"])
            training.restore(saved["training"])
            asking, told = float(saved["asking"]), [(rung, Scores(*scores)) for rung, *scores in saved["told"]]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise BadBundle(f"the checkpoint of {name} does not fit this run; begin in another folder") from error
        began = float(saved["began"])
        seconds = saved["seconds"]  # what it was given at its start; what is left by now is less
        if "elapsed" in saved:  # it rested: the time since then is not its own, and the trial that rested has the rungs
            began, told = bench.clock() - float(saved["elapsed"]), []
        if hopeless is not None:
            hopeless.first = saved["first"]
        for rung, scores in told:
            assert rests is not None
            rests.judge(rung, scores)  # so that the trial has them; what came of it is known
    effort = _effort(bench, rows, recipe, began, seconds, epochs)

    held = [(weight, kept[name].to(weight)) for name, weight in masking.weights(model).items() if name in kept]

    def hold(training: Training) -> None:
        if editor is not None:
            moves = editor.step(training.optimizer, training.progress)
            follow_average_(training.average, moves)
        else:
            with torch.no_grad():
                for weight, factor in held:
                    weight.mul_(factor)

    def state() -> dict[str, object]:
        tree = {"training": training.state(), "editor": editor.state_dict() if editor else {}}
        rungs = [[rung, *astuple(scores)] for rung, scores in told]
        first = None if hopeless is None else hopeless.first
        return {**tree, "began": began, "seconds": seconds, "asking": asking, "first": first, "told": rungs}

    def save() -> None:
        if checkpoint is not None:
            store.save_tree(checkpoint, state(), keep_previous=True)

    def rested(rests: Rests, progress: float) -> Trained | None:
        """The network as it is, if it is to rest at a rung that it has just passed."""
        for rung in rests.passed(seen, progress):
            seen.append(rung)
            if progress > LATEST_REST:
                continue
            now, masks = _as_it_is(training), editor.masks if editor is not None and editor.next_step > 0 else kept
            masking.apply_(now, masks)
            scores = bench.scores(now)
            told.append((rung, scores))
            if rests.judge(rung, scores):
                store.save_tree(rests.file, {**state(), "elapsed": bench.clock() - began})
                cost, edits = bench.price(now, masks), tuple(editor.edits) if editor is not None else ()
                epochs_done, took = training.step / batches, bench.clock() - began
                return Trained(now, masks, scores, cost, edits, epochs_done, took, stopped_at=rung)
        return None

    saving = Stopwatch(SAVE_EVERY_SECONDS)
    run = Run(training, rows, effort, hold)
    batches = recipe.batches(len(rows))
    seen = [] if rests is None else rests.passed([], effort.progress(training.step))
    at_rest: Trained | None = None
    try:
        while (tick := (yield run)) is not None:
            bench.on_tick(name, tick)
            if hopeless is not None and tick.epoch_done and tick.progress >= asking + 0.2:
                asking = tick.progress
                run.leaves = hopeless(tick.progress, bench.scores(model))
            if rests is not None and not run.leaves and (tick.epoch_done or seconds is not None):
                at_rest = rested(rests, effort.progress(tick.step))  # a tick's own is that before its last step
                run.leaves = at_rest is not None
            if saving.due() and not run.leaves:
                save()
    except KeyboardInterrupt:
        save()
        raise
    if at_rest is not None:
        return at_rest
    if editor is not None:
        bench.clock.training -= editor.seconds  # edits in the loop are the program's own work
        editor.finish(training.optimizer)
        kept = editor.masks
    training.use_average()
    masking.apply_(model, kept)
    cost = bench.price(model, kept)
    edits = tuple(editor.edits) if editor is not None else ()
    epochs_done = training.step / batches + (start.epochs if start is not None else 0.0)
    trained = Trained(model, kept, bench.scores(model), cost, edits, epochs_done, bench.clock() - began)
    if exact and (start is not None or (editor is not None and editor.needed)):
        return replace(trained, cost=compacted(trained, bench).cost)  # dead units do not count: they will leave
    return trained


def _alone(training: Callable[Concatenate[Bench, P], Conduct]) -> Callable[Concatenate[Bench, P], Trained]:
    def synthesize(bench: Bench, /, *args: P.args, **kwargs: P.kwargs) -> Trained:
        (ended,) = side_by_side([training(bench, *args, **kwargs)], bench.learnt, bench.clock)
        if isinstance(ended, Trained):
            return ended
        raise ended

    synthesize.__doc__ = training.__doc__
    return synthesize


synthesize_candidate = _alone(candidate_training)


def _probe(bench: Bench, rows: Tensor, seed: int) -> Callable[[nn.Module], Tensor]:
    """Loss on some of the rows to learn from, which shows what units do."""

    def probe(model: nn.Module) -> Tensor:
        dataset = bench.learnt
        picked = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:PROBED_ROWS]]
        outputs = model(dataset.prepare(dataset.x[picked]))
        return loss_of(outputs, dataset.y[picked], dataset, 0.0, dataset.loss_weights(picked))

    return probe


def validation_error(bench: Bench) -> Callable[[GrowPrune], float]:
    """Error of a network in training on up to ``MEASURED_ROWS`` validation rows."""
    every = max(1, len(bench.validation_rows) // MEASURED_ROWS)
    some = replace(bench, validation_rows=bench.validation_rows[::every])
    return lambda editor: some.scores(editor.model).error


def _as_it_is(training: Training) -> nn.Module:
    """A copy of the network in training, with the average of its weights where there is one, as at its end."""
    now = copy.deepcopy(training.model)
    if training.average:
        now.load_state_dict(training.average)
    return now


def compacted(trained: Trained, bench: Bench) -> Trained:
    """``trained`` without its dead units, inside the budget to the last parameter: the network to deliver."""
    shape = bench.dataset.spec.input_shape
    masks = within(trained.model, bench.budget, shape, trained.masks, price=bench.price)
    model = copy.deepcopy(trained.model)
    masking.apply_(model, masks)
    small, small_masks = compact(model, shape, masks=masks)
    return replace(trained, model=small, masks=small_masks, cost=bench.price(small, small_masks))


def _effort(
    bench: Bench, rows: Tensor, recipe: Recipe, began: float, seconds: float | None, epochs: int | None
) -> Effort:
    if seconds is not None:
        return Seconds(bench.clock, began, seconds)
    assert epochs is not None
    return Steps(epochs * recipe.batches(len(rows)))
