from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steerage import store
from steerage.cost import Budget, Cost, count
from steerage.cost.count import least_cost
from steerage.data import Dataset
from steerage.errors import BadArgument, InfeasibleBudget
from steerage.growprune import connections
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.masks import Masks
from steerage.growprune.run import GrowPrune
from steerage.growprune.schemes import Connections, Scheme, destructive, gradual
from steerage.growprune.target import Target, counting, within
from steerage.templates import TEMPLATES
from steerage.training import fit
from steerage.training.fit import Steps, Training, train
from steerage.training.recipe import Recipe
from tasks import Branched, convolutional, perceptron, pictures, table

TABLE, PICTURES = table(), pictures()
ROWS = torch.arange(96)
EXCHANGING = gradual(start=0.1, end=0.7, steps=8, exchange=0.3)


def own() -> nn.Module:
    return Branched()


def following(editor: GrowPrune) -> Callable[[Training], None]:
    return lambda training: editor.step(training.optimizer, training.progress)


def grown_and_pruned(
    model: nn.Module,
    data: Dataset,
    budget: Budget,
    scheme: Scheme = EXCHANGING,
    *,
    steps: int = 40,
    seed: int = 0,
    watch: Callable[[Training, GrowPrune], None] = lambda training, editor: None,
    **options: object,
) -> tuple[Training, GrowPrune]:
    training = Training(model, Recipe(batch_size=16, lr=0.01, precision="float32"), seed=seed)
    editor = GrowPrune(model, budget, data.spec.input_shape, scheme, **options)  # type: ignore[arg-type]

    def after_step(training: Training) -> None:
        editor.step(training.optimizer, training.progress)
        watch(training, editor)

    for _ in train(training, data, ROWS, effort=Steps(steps), after_step=after_step):
        pass
    editor.finish(training.optimizer)
    return training, editor


def delivered(editor: GrowPrune) -> Cost:
    """What is left when dead units have gone."""
    model, masks = compact(editor.model, editor.input_shape, masks=editor.masks)
    return count(model, editor.input_shape, masks=masks)


def same(one: Masks, other: Masks) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


NETWORKS = [
    pytest.param(perceptron, TABLE, id="mlp"),
    pytest.param(convolutional, PICTURES, id="cnn"),
]
BUDGETS = [
    pytest.param(Budget(max_params=150), id="params"),
    pytest.param(Budget(max_macs=1800), id="macs"),
    pytest.param(Budget(max_params=190, max_macs=2200), id="both"),
]


@pytest.mark.parametrize(("build", "data"), NETWORKS)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(
    "scheme", [EXCHANGING, destructive(rounds=3), gradual(steps=1)], ids=["gradual", "rounds", "once"]
)
def test_the_network_ends_inside_the_budget(
    build: Callable[[], nn.Module], data: Dataset, budget: Budget, scheme: Scheme
) -> None:
    tight = Budget(max_params=budget.max_params, max_macs=budget.max_macs)
    if data is TABLE and budget.max_macs is not None:
        tight = Budget(max_params=budget.max_params, max_macs=budget.max_macs // 20)
    _, editor = grown_and_pruned(build(), data, tight, scheme)
    assert editor.needed
    assert tight.violation(delivered(editor)) == 0


@pytest.mark.parametrize(("build", "data"), NETWORKS)
def test_the_budget_is_used(build: Callable[[], nn.Module], data: Dataset) -> None:
    _, editor = grown_and_pruned(build(), data, Budget(max_params=150))
    assert 148 <= delivered(editor).params <= 150  # the next one may bring a dead unit back, with its bias


def test_where_macs_are_scarce_dear_connections_leave_for_the_parameters_to_be_used() -> None:
    # 72 connections of 64 MACs, 576 of 4.
    convolutions = (
        *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(4)),
        *(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, 2, bias=False),
    )
    dense = count(nn.Sequential(*convolutions), PICTURES.spec.input_shape)
    macs = dense.macs * 2 // 5
    used = {}
    for params in (None, dense.params // 2):
        _, editor = grown_and_pruned(nn.Sequential(*copy.deepcopy(convolutions)), PICTURES, Budget(params, macs))
        used[params] = delivered(editor)
        assert 0.8 * macs < used[params].macs <= macs
    assert used[dense.params // 2].params > 1.2 * used[None].params


def test_macs_count_no_more_than_they_have_to() -> None:
    masks = {"dear": torch.ones(10, dtype=torch.bool), "cheap": torch.ones(10, dtype=torch.bool)}
    scores = {"dear": torch.linspace(1.0, 2.0, 10), "cheap": torch.linspace(0.5, 1.5, 10)}
    target = Target(nn.Linear(2, 2), Budget(10, 800), (2,), {}, price=counting((2,)))
    target.macs, target.fixed_macs = {"dear": 100, "cheap": 1}, 0

    def kept(limit: int, count: int) -> tuple[int, int]:
        target.budget = Budget(count, limit)
        target.weigh(scores, count, masks, 1.0)
        chosen = connections.keep_best(target.weighed(scores), count, among=masks)
        return int(chosen["dear"].sum()), int(chosen["cheap"].sum())

    assert kept(2000, 10) == (7, 3) and target.macs_share == 0.0  # what the scores say, inside the MACs
    assert kept(510, 10) == (5, 5) and 0.0 < target.macs_share < 1.0
    kept(10, 15)  # not even the cheapest fifteen are inside them: MACs are all that counts
    assert target.macs_share == 1.0


@pytest.mark.parametrize("budget", [Budget(max_params=230), Budget(max_macs=120), Budget(max_params=230, max_macs=150)])
def test_a_network_of_ones_own_ends_inside_the_budget(budget: Budget) -> None:
    frozen = copy.deepcopy(own())
    _, editor = grown_and_pruned(frozen, TABLE, budget)
    assert budget.violation(delivered(editor)) == 0


def test_inputs_that_nothing_reads_are_no_obstacle() -> None:
    model = nn.Sequential(nn.Linear(6, 40, bias=False), nn.Tanh(), nn.Linear(40, 3, bias=False))
    _, editor = grown_and_pruned(model, TABLE, Budget(max_params=2 + 5))
    assert delivered(editor).params <= 7


@pytest.mark.parametrize(("build", "data"), [*NETWORKS, pytest.param(own, TABLE, id="own")])
def test_dormant_weights_are_exactly_zero_after_every_step(build: Callable[[], nn.Module], data: Dataset) -> None:
    seen = []

    def watch(training: Training, editor: GrowPrune) -> None:
        if editor.next_step > 0:
            seen.append(training.step)
            for name, weight in masking.weights(training.model).items():
                assert not weight[~editor.masks[name]].any()

    _, editor = grown_and_pruned(build(), data, Budget(max_params=230), watch=watch)
    assert len(seen) > 30
    assert not any(weight[~editor.masks[name]].any() for name, weight in masking.weights(editor.model).items())


def test_active_connections_go_down_to_the_target_and_stay_there() -> None:
    counts = []
    _, editor = grown_and_pruned(
        perceptron(), TABLE, Budget(max_params=200), watch=lambda _, editor: counts.append(masking.active(editor.masks))
    )
    assert counts[0] == 144 + 528 + 66
    assert counts[: len(counts) - 12] == sorted(counts[: len(counts) - 12], reverse=True)
    assert len(set(counts[-8:])) == 1
    assert editor.edits[-1].after == counts[-1]
    assert [edit.before for edit in editor.edits][1:] == [edit.after for edit in editor.edits][:-1]


def test_exchanges_grow_connections_and_keep_the_count() -> None:
    budget = Budget(max_params=200)
    plain = gradual(start=0.1, end=0.7, steps=8)
    _, without = grown_and_pruned(perceptron(), TABLE, budget, plain)
    _, editor = grown_and_pruned(perceptron(), TABLE, budget)
    assert [edit.after for edit in editor.edits[:-1]] == [edit.after for edit in without.edits[:-1]]
    assert sum(edit.grown for edit in editor.edits) > 0
    assert not any(edit.grown for edit in without.edits)


def test_grown_connections_are_those_with_the_largest_gradients() -> None:
    """A step that only exchanges: the weakest two leave, and the two dormant ones that the loss wants most come."""
    model = perceptron()
    _, editor = grown_and_pruned(
        model,
        TABLE,
        Budget(max_params=200),
        (Connections(0.2, 0.8), Connections(0.4, 0.8, 0.05), Connections(0.99, 1.0)),
        steps=10,
    )
    assert [edit.grown > 0 for edit in editor.edits] == [False, True, False]
    assert editor.edits[1].before == editor.edits[1].after


def moments(training: Training, name: str) -> list[Tensor]:
    weight = training.model.get_parameter(name)
    return [value for value in training.optimizer.state[weight].values() if value.shape == weight.shape]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_moments_of_edited_connections_are_cleared_and_all_others_kept(optimizer: str) -> None:
    model = perceptron()
    training = Training(model, Recipe(batch_size=16, optimizer=optimizer), seed=0)  # type: ignore[arg-type]
    editor = GrowPrune(model, Budget(max_params=200), (6,), EXCHANGING)
    edited = 0

    def after_step(training: Training) -> None:
        nonlocal edited
        old = editor.masks
        before = {name: [value.clone() for value in moments(training, name)] for name in old}
        editor.step(training.optimizer, training.progress)
        for name in old:
            changed = old[name] != editor.masks[name]
            edited += int(changed.sum())
            for value, earlier in zip(moments(training, name), before[name], strict=True):
                assert not value[changed].any()
                assert torch.equal(value[~changed], earlier[~changed])

    for _ in train(training, TABLE, ROWS, effort=Steps(40), after_step=after_step):
        pass
    assert edited > 500


@pytest.mark.parametrize("budget", [Budget(), Budget(max_params=787), Budget(max_macs=10**6)])
def test_networks_inside_the_budget_are_left_dense(budget: Budget) -> None:
    dense, model = perceptron(), perceptron()
    model.load_state_dict(dense.state_dict())
    _, editor = grown_and_pruned(model, TABLE, budget)
    training = Training(dense, Recipe(batch_size=16, lr=0.01, precision="float32"), seed=0)
    for _ in train(training, TABLE, ROWS, effort=Steps(40)):
        pass
    assert not editor.needed
    assert editor.edits == []
    assert all(mask.all() for mask in editor.masks.values())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), dense.parameters(), strict=True))


@pytest.mark.parametrize(
    ("budget", "name", "smallest"),
    [
        (Budget(max_params=51), "max_params", 49 + 3),  # the biases, and a connection per layer
        (Budget(max_macs=2), "max_macs", 3),
        (Budget(max_params=400, max_macs=2), "max_macs", 3),
    ],
)
def test_a_budget_that_is_too_small_is_refused_at_once(budget: Budget, name: str, smallest: int) -> None:
    with pytest.raises(InfeasibleBudget) as refusal:
        GrowPrune(perceptron(), budget, (6,), EXCHANGING)
    assert (refusal.value.constraint, refusal.value.smallest) == (name, smallest)


def test_the_smallest_budget_can_be_met() -> None:
    budget = Budget(max_params=52)
    _, editor = grown_and_pruned(perceptron(), TABLE, budget)
    assert budget.violation(delivered(editor)) == 0
    assert [int(mask.sum()) > 0 for mask in editor.masks.values()] == [True, True, True]


def test_schemes_without_a_target_are_refused() -> None:
    with pytest.raises(BadArgument, match="done=1"):
        GrowPrune(perceptron(), Budget(max_params=100), (6,), (Connections(0.1, 0.5),))


def test_a_training_that_ends_before_its_scheme_still_meets_the_budget() -> None:
    model, budget = perceptron(), Budget(max_params=120)
    training = Training(model, Recipe(batch_size=16), seed=0)
    editor = GrowPrune(model, budget, (6,), EXCHANGING)
    for tick in train(training, TABLE, ROWS, effort=Steps(40), after_step=following(editor)):
        if tick.progress > 0.3:
            break
    assert 0 < editor.next_step < len(EXCHANGING)
    editor.finish(training.optimizer)
    assert editor.next_step == len(EXCHANGING)
    assert budget.violation(delivered(editor)) == 0
    edits = len(editor.edits)
    editor.finish(training.optimizer)
    assert len(editor.edits) == edits


def test_steps_that_fall_into_one_optimizer_step_are_one_edit() -> None:
    _, editor = grown_and_pruned(perceptron(), TABLE, Budget(max_params=120), gradual(steps=64), steps=6)
    assert 1 <= len(editor.edits) <= 4
    assert 110 <= delivered(editor).params <= 120


@pytest.mark.parametrize(("build", "data"), NETWORKS)
@pytest.mark.parametrize("stop", [3, 13, 26])
def test_a_scheme_that_was_stopped_goes_on_bit_for_bit(
    build: Callable[[], nn.Module], data: Dataset, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)
    budget, recipe = Budget(max_params=150), Recipe(batch_size=16, lr=0.01, precision="float32")

    def fresh() -> tuple[Training, GrowPrune]:
        torch.manual_seed(0)
        model = build().to(memory_format=torch.channels_last) if data is PICTURES else build()  # type: ignore[call-overload]
        return Training(model, recipe, seed=0), GrowPrune(model, budget, data.spec.input_shape, EXCHANGING)

    straight, editor = fresh()
    for tick in train(straight, data, ROWS, effort=Steps(40), after_step=following(editor)):
        if tick.step == stop:
            store.save_tree(tmp_path / "state", {"training": straight.state(), "editor": editor.state_dict()})
    resumed, successor = fresh()
    saved = store.load_tree(tmp_path / "state")
    resumed.restore(saved["training"])
    successor.load_state_dict(saved["editor"])
    for _ in train(resumed, data, ROWS, effort=Steps(40), after_step=following(successor)):
        pass
    assert same(editor.masks, successor.masks)
    assert editor.edits == successor.edits
    assert all(torch.equal(a, b) for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True))


def half_zero() -> tuple[nn.Module, Masks]:
    model = perceptron()
    masks = {name: torch.rand_like(weight) < 0.5 for name, weight in masking.weights(model).items()}
    masking.apply_(model, masks)
    return model, masks


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("bound", [150, 600])
def test_a_sparse_network_starts_from_its_own_count_and_ends_inside_the_budget(given: bool, bound: int) -> None:
    model, masks = half_zero()
    _, editor = grown_and_pruned(model, TABLE, Budget(max_params=bound), masks=dict(masks) if given else {})
    assert all(edit.before <= masking.active(masks) for edit in editor.edits)
    assert delivered(editor).params <= bound
    assert same(masking.from_weights(model), editor.masks)


def test_a_sparse_network_inside_the_budget_keeps_its_masks() -> None:
    model, masks = half_zero()
    budget = Budget(max_params=600)
    assert count(model, (6,)).params > 600 > count(model, (6,), masks=masks).params

    def watch(training: Training, editor: GrowPrune) -> None:
        assert same(masking.from_weights(model), masks)

    _, editor = grown_and_pruned(model, TABLE, budget, watch=watch, masks=dict(masks))
    assert not editor.needed
    assert budget.violation(delivered(editor)) == 0


def test_layers_without_a_given_mask_are_wholly_active() -> None:
    model = perceptron()
    masks = {"0.weight": torch.rand(24, 6) < 0.5}
    masking.apply_(model, masks)
    _, editor = grown_and_pruned(model, TABLE, Budget(max_params=150), masks=masks)
    assert editor.edits[0].before == masking.active(masks) + 528 + 66
    assert 148 <= delivered(editor).params <= 150


def test_given_masks_hold_from_the_first_step_on() -> None:
    model, masks = half_zero()
    counts = []

    def watch(training: Training, editor: GrowPrune) -> None:
        counts.append(masking.active(masking.from_weights(model)))

    grown_and_pruned(model, TABLE, Budget(max_params=150), gradual(start=0.5, end=0.9), watch=watch, masks=dict(masks))
    assert counts[:10] == [masking.active(masks)] * 10


def test_a_layer_that_starts_at_zero_can_learn() -> None:
    """Residual branches often do; their zeros are no wish of the user's."""
    model = perceptron()
    nn.init.zeros_(model.get_parameter("5.weight"))
    _, editor = grown_and_pruned(model, TABLE, Budget(max_params=787))
    assert model.get_parameter("5.weight").any()
    assert editor.masks["5.weight"].any()
    model = perceptron()
    nn.init.zeros_(model.get_parameter("5.weight"))
    _, editor = grown_and_pruned(model, TABLE, Budget(max_params=200))
    assert editor.masks["5.weight"].any()


def test_scores_of_ones_own_decide() -> None:
    model = perceptron()

    def first_ones(weights: object) -> dict[str, Tensor]:
        layers = masking.weights(model).items()
        return {name: -torch.arange(w.numel(), dtype=torch.float64).view_as(w) for name, w in layers}

    _, editor = grown_and_pruned(
        model, TABLE, Budget(max_params=49 + 30), gradual(steps=2), score=first_ones, growth=connections.gradient
    )
    assert all(mask.flatten()[:10].all() for mask in editor.masks.values())


def test_a_dead_unit_that_comes_to_life_after_the_last_edit_does_not_break_the_budget() -> None:
    """Without inputs and with a negative bias it was zero and cost nothing; with a positive one padding sees it."""
    model = convolutional()
    masks = masking.full(model)
    masks["0.weight"][0] = False
    masking.apply_(model, masks)
    norm = model.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.bias[0] = -1.0
    small, small_masks = compact(model, (1, 8, 8), masks=masks)
    budget = Budget(max_params=count(small, (1, 8, 8), masks=small_masks).params)
    assert within(model, budget, (1, 8, 8), masks) == masks
    with torch.no_grad():
        norm.bias[0] = 1.0
    small, small_masks = compact(model, (1, 8, 8), masks=masks)
    assert budget.violation(count(small, (1, 8, 8), masks=small_masks)) > 0
    tightened = within(model, budget, (1, 8, 8), masks)
    small, small_masks = compact(model, (1, 8, 8), masks=tightened)
    assert budget.violation(count(small, (1, 8, 8), masks=small_masks)) == 0
    assert not any((tightened[name] & ~masks[name]).any() for name in masks)


@pytest.mark.parametrize("bins", [0, 16])
def test_what_a_template_says_a_candidate_costs_at_least_can_be_reached(bins: int) -> None:
    template = TEMPLATES["mlp"]
    values = {**template.baseline(TABLE.spec), "bins": bins}
    least = least_cost(template, values, TABLE.spec)
    for budget in (Budget(max_params=least.params), Budget(max_macs=least.macs)):
        _, editor = grown_and_pruned(template.build(values, TABLE.spec), TABLE, budget, steps=10)
        assert budget.violation(delivered(editor)) == 0
