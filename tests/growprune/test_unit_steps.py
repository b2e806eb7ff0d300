"""Facts about schemes in which neurons and channels come and leave during a training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.cost import Budget, count
from steerage.data import Dataset
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.connections import Signals
from steerage.growprune.graph import unit_graph
from steerage.growprune.resize import follow_average_
from steerage.growprune.run import GrowPrune
from steerage.growprune.schemes import (
    Connections,
    OnlyAdjacent,
    Scheme,
    Step,
    Units,
    adjacent,
    constructive,
    destructive,
)
from steerage.nn.feedforward import FeedForward
from steerage.training.fit import Steps, Training, train
from steerage.training.recipe import Recipe
from tasks import convolutional, perceptron, pictures, table

TABLE, PICTURES = table(), pictures()
ROWS, STEPS = torch.arange(96), 40
RECIPE = Recipe(batch_size=16, lr=0.01, precision="float32")


def skipping() -> nn.Module:
    return FeedForward([24, 20], inputs=6, outputs=3, skips=True)


def probe_of(data: Dataset) -> Callable[[nn.Module], Tensor]:
    return lambda model: F.cross_entropy(model(data.prepare(data.x[ROWS])), data.y[ROWS])


def editor_of(model: nn.Module, data: Dataset, budget: Budget, scheme: Scheme, **options: Any) -> GrowPrune:
    return GrowPrune(model, budget, data.spec.input_shape, scheme, probe=probe_of(data), **options)


def followed(
    build: Callable[[], nn.Module],
    data: Dataset,
    budget: Budget,
    scheme: Scheme,
    *,
    recipe: Recipe = RECIPE,
    watch: Callable[[Training, GrowPrune], None] = lambda training, editor: None,
    **options: Any,
) -> GrowPrune:
    torch.manual_seed(0)
    training = Training(build(), recipe, seed=0)
    editor = editor_of(training.model, data, budget, scheme, **options)

    def after_step(training: Training) -> None:
        follow_average_(training.average, editor.step(training.optimizer, training.progress))
        watch(training, editor)

    for _ in train(training, data, ROWS, effort=Steps(STEPS), after_step=after_step):
        pass
    editor.finish(training.optimizer)
    training.use_average()
    masking.apply_(training.model, editor.masks)
    return editor


def assert_delivered(editor: GrowPrune, data: Dataset) -> None:
    shape = data.spec.input_shape
    small, masks = compact(editor.model.eval(), shape, masks=editor.masks)
    assert editor.budget.violation(count(small, shape, masks=masks)) == 0
    x = data.prepare(data.x[ROWS])
    assert torch.allclose(small(x), editor.model(x), atol=1e-5)
    for name, weight in masking.weights(editor.model).items():
        assert editor.masks[name].shape == weight.shape and not weight[~editor.masks[name]].any()


SCHEMES = [
    pytest.param(skipping, TABLE, constructive(), id="A-duplicate"),
    pytest.param(skipping, TABLE, constructive(by="bridge"), id="A-bridge"),
    pytest.param(skipping, TABLE, constructive(by="random"), id="A-random"),
    pytest.param(convolutional, PICTURES, constructive(), id="A-channels"),
    pytest.param(skipping, TABLE, destructive(), id="B"),
    pytest.param(convolutional, PICTURES, destructive(channels=0.2), id="B-channels"),
    pytest.param(skipping, TABLE, adjacent(), id="C"),
]
BUDGETS = [Budget(max_params=130), Budget(max_params=160, max_macs=4000)]


@pytest.mark.parametrize(("build", "data", "scheme"), SCHEMES)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_every_scheme_ends_inside_the_budget(
    build: Callable[[], nn.Module], data: Dataset, scheme: Scheme, budget: Budget
) -> None:
    editor = followed(build, data, budget, scheme)
    assert_delivered(editor, data)
    assert [edit.before for edit in editor.edits[1:]] == [edit.after for edit in editor.edits[:-1]]
    assert [edit.units_before for edit in editor.edits[1:]] == [edit.units_after for edit in editor.edits[:-1]]


def test_scheme_a_begins_tiny_and_grows_units_and_connections() -> None:
    editor = followed(skipping, TABLE, Budget(max_params=150), constructive(first=0.25, peak=0.8))
    first, largest = editor.edits[0], max(editor.edits, key=lambda edit: edit.after)
    assert first.units_after < 0.5 * first.units_before
    assert largest.units_after > 1.5 * first.units_after
    assert largest.after > 1.5 * first.after
    assert editor.edits[-1].after < largest.after
    assert sum(edit.grown for edit in editor.edits) > 0


def test_scheme_b_for_convolutions_takes_channels_and_connections() -> None:
    editor = followed(convolutional, PICTURES, Budget(max_params=130), destructive(channels=0.25))
    assert editor.edits[2].units_after < 0.7 * editor.edits[0].units_before
    assert editor.edits[-1].units_after == editor.edits[2].units_after  # then it is for connections


def test_scheme_c_leaves_a_perceptron() -> None:
    seen = []

    def watch(training: Training, editor: GrowPrune) -> None:
        net = training.model
        assert isinstance(net, FeedForward)
        for linear, columns in net.adjacent():
            assert not linear.weight[:, ~columns].any()
        seen.append(training.step)

    editor = followed(skipping, TABLE, Budget(max_params=130), adjacent(), watch=watch)
    assert len(seen) == STEPS
    assert sum(edit.grown for edit in editor.edits) > 0
    widths = [len(columns) - int(columns.sum()) for _, columns in editor.model.adjacent()]  # type: ignore[operator]
    assert widths[0] == 0 and min(widths[1:]) > 0  # there was something to leave out


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_is_remembered_of_parameters_follows(optimizer: str) -> None:
    shapes = []

    def watch(training: Training, editor: GrowPrune) -> None:
        for parameter in training.optimizer.parameters:
            for moment in training.optimizer.state[parameter].values():
                assert moment.shape == parameter.shape
        state = training.model.state_dict()
        assert all(value.shape == state[name].shape for name, value in training.average.items())
        shapes.append(sum(parameter.numel() for parameter in training.model.parameters()))

    recipe = Recipe(batch_size=16, lr=0.01, optimizer=optimizer, ema=0.9)  # type: ignore[arg-type]
    scheme = (Connections(0.1, 0.5), Units(0.6, 0.5, "duplicate"), Units(0.7, -0.2, "norm"), Connections(0.8, 1.0))
    followed(skipping, TABLE, Budget(max_params=130), scheme, recipe=recipe, watch=watch)
    assert len(set(shapes)) == 3


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_torch_optimizers_follow(name: str) -> None:
    torch.manual_seed(0)
    model, data = skipping(), TABLE
    makers: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.005),
    }
    optimizer = makers[name](model.parameters())
    editor = editor_of(model, data, Budget(max_params=130), constructive())
    for step in range(STEPS):
        optimizer.zero_grad()
        probe_of(data)(model).backward()
        optimizer.step()
        editor.step(optimizer, (step + 1) / STEPS)
    editor.finish(optimizer)
    assert_delivered(editor, data)


@pytest.mark.parametrize(("build", "data", "scheme"), SCHEMES)
@pytest.mark.parametrize("stop", [5, 17, 29])
def test_stopped_between_shapes_it_goes_on_bit_for_bit(
    build: Callable[[], nn.Module], data: Dataset, scheme: Scheme, stop: int
) -> None:
    budget = Budget(max_params=130)

    def fresh() -> tuple[Training, GrowPrune]:
        torch.manual_seed(0)
        model = build()
        return Training(model, RECIPE, seed=0), editor_of(model, data, budget, scheme)

    def go_on(training: Training, editor: GrowPrune, until: int) -> None:
        ticks = train(
            training,
            data,
            ROWS,
            effort=Steps(STEPS),
            after_step=lambda now: follow_average_(now.average, editor.step(now.optimizer, now.progress)),
        )
        for tick in ticks:
            if tick.step >= until:
                return

    straight, editor = fresh()
    go_on(straight, editor, stop)
    saved = copy.deepcopy((straight.state(), editor.state_dict()))
    go_on(straight, editor, STEPS)
    resumed, successor = fresh()
    successor.load_state_dict(saved[1])
    resumed.restore(saved[0])
    go_on(resumed, successor, STEPS)
    assert successor.edits == editor.edits
    ours, theirs = resumed.model.state_dict(), straight.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_bridges_are_where_the_loss_wants_them() -> None:
    """New neurons get larger gradients at their outgoing weights than random ones do."""

    def wanted(by: str) -> float:
        torch.manual_seed(0)
        model = perceptron()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        scheme = (Units(0.0, 0.2, by), Connections(0.5, 1.0))  # type: ignore[arg-type]
        editor = editor_of(model, TABLE, Budget(max_params=600), scheme)
        before = model(TABLE.prepare(TABLE.x[ROWS]))
        units = [len(weight) for weight in masking.weights(model).values()]
        editor.step(optimizer, 0.1)
        assert torch.allclose(model(TABLE.prepare(TABLE.x[ROWS])), before, atol=1e-5)
        assert [len(weight) for weight in masking.weights(model).values()] != units
        probe_of(TABLE)(model).backward()
        new = []
        for linear in [module for module in model if isinstance(module, nn.Linear)][1:]:  # type: ignore[attr-defined]
            assert linear.weight.grad is not None
            columns = ~linear.weight.detach().any(dim=0)
            new.append(linear.weight.grad[:, columns].norm(dim=0))
        return float(torch.cat(new).mean())

    assert wanted("bridge") > 1.3 * wanted("random")


@dataclass(frozen=True)
class Halve:
    """A step of one's own: half of the connections of every layer leave, and the target need not know."""

    at: float

    def apply(self, editor: GrowPrune) -> None:
        editor.connect(0.5, exchange=0.1)


def test_steps_of_ones_own_are_steps() -> None:
    scheme: tuple[Step, ...] = (Halve(0.2), Halve(0.4), Connections(0.6, 1.0))
    editor = followed(skipping, TABLE, Budget(max_params=130), scheme)
    assert len(editor.edits) == 3 and editor.edits[1].grown > 0
    assert editor.edits[1].before == editor.edits[1].after
    assert_delivered(editor, TABLE)


def test_a_score_finds_mean_squared_gradients_to_the_end() -> None:
    asked: list[int] = []

    def score(signals: Signals) -> dict[str, Tensor]:
        asked.append(len(signals.squares))
        return {name: weight.abs() * signals.squares[name].sqrt() for name, weight in signals.weights.items()}

    editor = followed(skipping, TABLE, Budget(max_params=130), destructive(), score=score)
    editor.budget = Budget(max_params=60)  # so that finishing has to prune once more
    training = Training(editor.model, RECIPE, seed=0)
    editor.finish(training.optimizer)
    assert len(asked) > 6 and set(asked) == {3}


def test_each_step_says_what_the_error_was() -> None:
    seen: list[int] = []

    def measure(editor: GrowPrune) -> float:
        seen.append(masking.active(editor.masks))
        return 0.25

    editor = followed(skipping, TABLE, Budget(max_params=130), destructive(), measure=measure)
    assert [edit.error for edit in editor.edits] == [0.25] * 6
    assert seen == [edit.before for edit in editor.edits]


@pytest.mark.parametrize(
    "step",
    [
        {"at": 1.0, "change": 0.5, "by": "duplicate"},
        {"at": 0.5, "change": -1.0, "by": "norm"},
        {"at": 0.5, "change": 0.0, "by": "norm"},
        {"at": 0.5, "change": 0.5, "by": "norm"},
        {"at": 0.5, "change": -0.5, "by": "duplicate"},
    ],
)
def test_unit_steps_outside_their_ranges_are_refused(step: dict[str, Any]) -> None:
    with pytest.raises(BadArgument, match="outside its ranges"):
        Units(**step)


def test_without_rows_to_look_at_units_cannot_be_duplicated() -> None:
    with pytest.raises(BadArgument, match="probe"):
        GrowPrune(perceptron(), Budget(max_params=100), (6,), constructive())


def test_a_network_that_cannot_be_traced_is_refused_at_once() -> None:
    class Forking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.sum() > 0 else -self.layer(x)

    with pytest.raises(UnsupportedLayer, match="Forking"):
        GrowPrune(Forking(), Budget(max_params=10), (6,), (Units(0.1, -0.5, "norm"), Connections(0.5, 1.0)))


def test_no_bridge_leads_over_convolutions() -> None:
    torch.manual_seed(0)
    model = convolutional()
    editor = editor_of(model, PICTURES, Budget(max_params=130), constructive(by="bridge"))
    with pytest.raises(BadArgument, match="between linear layers"):
        for step in range(STEPS):
            editor.step(torch.optim.SGD(model.parameters(), lr=0.1), step / STEPS)


shares = st.floats(0.0, 1.0)
steps = st.one_of(
    st.builds(lambda done, exchange: Connections(0.0, done, exchange), shares, st.floats(0.0, 0.5)),
    st.builds(lambda change: Units(0.0, change, "duplicate"), st.floats(0.05, 1.0)),
    st.builds(lambda change: Units(0.0, change, "random"), st.floats(0.05, 1.0)),
    st.builds(lambda change: Units(0.0, -change, "gain"), st.floats(0.05, 0.9)),
    st.just(OnlyAdjacent(0.0)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(steps, min_size=1, max_size=5),
    which=st.sampled_from(["skips", "cnn"]),
    bound=st.integers(120, 400),
    seed=st.integers(0, 5),
)
def test_any_sequence_of_steps_is_consistent(kinds: list[Any], which: str, bound: int, seed: int) -> None:
    """Masks and shapes agree, the budget is kept, and a copy that is saved and loaded half-way does the same."""
    build, data = (skipping, TABLE) if which == "skips" else (convolutional, PICTURES)
    torch.manual_seed(seed)
    model = build()
    scheme = (*(type(kind)(**{**vars(kind), "at": 0.0}) for kind in kinds), Connections(0.9, 1.0))
    if count(model, data.spec.input_shape).params <= bound:
        return
    probe = probe_of(data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    editor = editor_of(model, data, Budget(max_params=bound), scheme, seed=seed)
    for at in (0.05, 0.5, 0.95):
        optimizer.zero_grad()
        probe(model).backward()
        optimizer.step()
        editor.step(optimizer, at)
        for name, weight in masking.weights(model).items():
            assert editor.masks[name].shape == weight.shape and not weight[~editor.masks[name]].any()
        again = build()
        twin = editor_of(again, data, Budget(max_params=bound), scheme, seed=seed)
        twin.load_state_dict(copy.deepcopy(editor.state_dict()))
        again.load_state_dict(model.state_dict())
        x = data.prepare(data.x[ROWS])
        assert torch.equal(again.eval()(x), model.eval()(x))
        model.train()
    editor.finish(optimizer)
    assert_delivered(editor, data)
    assert unit_graph(model.eval(), data.spec.input_shape) is not None
