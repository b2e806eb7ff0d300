from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steerage import store
from steerage.data import Dataset
from steerage.errors import TrainingFailed
from steerage.training import fit
from steerage.training.fit import Seconds, Steps, Training, loss_of, train
from steerage.training.optimizer import Optimizer
from steerage.training.recipe import Recipe
from tasks import convolutional, numbers, perceptron, pictures, table

TABLE, PICTURES = table(), pictures()
ROWS = torch.arange(96)
Build = Callable[[], nn.Module]


def noisy() -> nn.Module:
    return perceptron(dropout=0.3)


def channels_last() -> nn.Module:
    model: nn.Module = convolutional().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


CASES = [
    pytest.param(noisy, TABLE, Recipe(batch_size=20, input_noise=0.1, ema=0.9, label_smoothing=0.1), id="table"),
    pytest.param(noisy, TABLE, Recipe(optimizer="sgd", lr=0.05, batch_size=20), id="sgd"),
    pytest.param(channels_last, PICTURES, Recipe(batch_size=20, ema=0.9, precision="float32"), id="images"),
    pytest.param(channels_last, PICTURES, Recipe(batch_size=20, ema=0.9, precision="bfloat16"), id="bfloat16"),
]


def fresh(build: Build, recipe: Recipe, seed: int = 0) -> Training:
    torch.manual_seed(seed)
    return Training(build(), recipe, seed=seed)


def trained(build: Build, data: Dataset, recipe: Recipe, *, seed: int = 0, steps: int = 14) -> Training:
    training = fresh(build, recipe, seed)
    for _ in train(training, data, ROWS, effort=Steps(steps)):
        pass
    return training


def flat(tree: object) -> list[Tensor]:
    if isinstance(tree, dict | list):
        items = tree.values() if isinstance(tree, dict) else tree
        return [tensor for value in items for tensor in flat(value)]
    return [tree] if isinstance(tree, Tensor) else [torch.tensor(tree)]


def same(one: object, other: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(flat(one), flat(other), strict=True))


def control_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)


@pytest.mark.parametrize(("build", "data", "recipe"), CASES)
@pytest.mark.parametrize("stop", [1, 4, 6, 10])  # of 14 steps, 4 an epoch: within and between epochs
def test_a_training_that_was_stopped_goes_on_bit_for_bit(
    build: Build, data: Dataset, recipe: Recipe, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_after_every_step(monkeypatch)
    straight = trained(build, data, recipe)
    stopped = fresh(build, recipe)
    for tick in train(stopped, data, ROWS, effort=Steps(14)):
        if tick.step == stop:
            store.save_tree(tmp_path / "state", stopped.state())
            break
    resumed = fresh(build, recipe)
    with torch.no_grad():
        for tensor in resumed.model.parameters():
            tensor.add_(1.0)  # nothing of it may survive
    resumed.restore(store.load_tree(tmp_path / "state"))
    for _ in train(resumed, data, ROWS, effort=Steps(14)):
        pass
    assert resumed.step == 14
    assert same(resumed.state(), straight.state())


def test_a_state_that_is_taken_after_the_loop_was_left_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    control_after_every_step(monkeypatch)
    build, recipe = noisy, Recipe(batch_size=20)
    training = fresh(build, recipe)
    for tick in train(training, TABLE, ROWS, effort=Steps(14)):
        if tick.step == 6:
            break
    torch.manual_seed(123)  # the caller's own business
    for _ in train(training, TABLE, ROWS, effort=Steps(14)):
        torch.rand(3)
    assert same(training.state(), trained(build, TABLE, recipe).state())


def test_handing_back_control_within_epochs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(batch_size=20, input_noise=0.1)
    seldom = trained(noisy, TABLE, recipe)
    control_after_every_step(monkeypatch)
    assert same(trained(noisy, TABLE, recipe).state(), seldom.state())


@pytest.mark.parametrize(("build", "data", "recipe"), CASES)
def test_the_seed_decides_everything(build: Build, data: Dataset, recipe: Recipe) -> None:
    first = trained(build, data, recipe)
    assert same(trained(build, data, recipe).state(), first.state())
    assert not same(trained(build, data, recipe, seed=1).state()["model"], first.state()["model"])


ELSEWHERE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
torch.set_num_threads(1)
from steerage import store
from test_fit import CASES, trained
for number, case in enumerate(CASES):
    store.save_tree(f"{sys.argv[2]}/{number}", trained(*case.values).state())
"""


def test_another_process_gives_the_same_bit_for_bit(tmp_path: Path) -> None:
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parents[1] / "src")]
    script = f"import sys; sys.path[:0] = {paths!r}\n{ELSEWHERE}"
    subprocess.run([sys.executable, "-c", script, str(here), str(tmp_path)], check=True)
    for number, case in enumerate(CASES):
        build, data, recipe = case.values
        assert same(store.load_tree(tmp_path / str(number)), trained(build, data, recipe).state()), case.id  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "outputs"), [(TABLE, 3), (numbers(), 1)], ids=["classes", "a number"])
def test_whole_weights_lose_what_repeated_rows_lose(data: Dataset, outputs: int) -> None:
    times = torch.arange(120) % 4
    rows = torch.arange(120).repeat_interleave(times)
    weighted = replace(data, weights=times / times.float().mean())
    out = perceptron(outputs=outputs)(data.x)
    loss = loss_of(out, data.y, weighted, 0.1, weighted.weights_of(torch.arange(120)))
    assert torch.allclose(loss, loss_of(out[rows], data.y[rows], data, 0.1))
    assert torch.allclose(loss_of(out, data.y, data, 0.1, torch.ones(120)), loss_of(out, data.y, data, 0.1))


def test_a_batch_of_light_rows_moves_a_network_less() -> None:
    out, weights = perceptron()(TABLE.x[:8]), torch.full((8,), 0.01)
    light, heavy = (loss_of(out, TABLE.y[:8], TABLE, 0.0, factor * weights) for factor in (1.0, 100.0))
    assert torch.allclose(100.0 * light, heavy)


@pytest.mark.parametrize("times", [torch.arange(120) % 2, torch.arange(120) % 3], ids=["none or once", "up to twice"])
def test_a_training_with_whole_weights_is_one_with_repeated_rows(times: Tensor) -> None:
    recipe = Recipe(batch_size=10_000)
    weighted, repeated = fresh(perceptron, recipe), fresh(perceptron, recipe)
    data = replace(TABLE, weights=times / times.float().mean())
    rows = torch.arange(120).repeat_interleave(times)
    for training, learnt, of in ((weighted, data, torch.arange(120)), (repeated, TABLE, rows)):
        for _ in train(training, learnt, of, effort=Steps(15)):
            pass
    for one, other in zip(weighted.model.parameters(), repeated.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    plain = trained(perceptron, TABLE, recipe, steps=15)
    assert not torch.allclose(
        plain.model.get_parameter("0.weight"), weighted.model.get_parameter("0.weight"), atol=1e-3
    )


@pytest.mark.parametrize("steps", [2, 4, 40])  # within the first epoch, at its end, and later
def test_a_loss_that_is_not_finite_is_named(steps: int) -> None:
    training = fresh(perceptron, Recipe(batch_size=20, optimizer="sgd", lr=1e30))
    with pytest.raises(TrainingFailed, match="learning rate"):
        for _ in train(training, TABLE, ROWS, effort=Steps(steps)):
            pass


def test_the_callers_random_state_is_untouched() -> None:
    training = fresh(noisy, Recipe(batch_size=20, input_noise=0.1))
    torch.manual_seed(5)
    expected = [torch.rand(4) for _ in range(4)]
    torch.manual_seed(5)
    drawn = [torch.rand(4) for _ in train(training, TABLE, ROWS, effort=Steps(12))]
    assert len(drawn) == 3
    assert same([*drawn, torch.rand(4)], expected)


def test_the_callers_random_state_survives_leaving_early_and_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    control_after_every_step(monkeypatch)
    torch.manual_seed(5)
    expected = [torch.rand(4) for _ in range(3)]
    training, failing = fresh(noisy, Recipe(batch_size=20)), fresh(noisy, Recipe(lr=1e30, optimizer="sgd"))
    torch.manual_seed(5)
    for _ in train(training, TABLE, ROWS, effort=Steps(12)):
        first = torch.rand(4)
        break
    second = torch.rand(4)
    with pytest.raises(TrainingFailed):
        for _ in train(failing, TABLE, ROWS, effort=Steps(12)):
            pass
    assert same([first, second, torch.rand(4)], expected)


def test_ticks_tell_epochs_steps_and_progress() -> None:
    training = fresh(perceptron, Recipe(batch_size=20))
    ticks = list(train(training, TABLE, ROWS, effort=Steps(12)))
    assert [(tick.step, tick.epoch, tick.epoch_done) for tick in ticks] == [(4, 1, True), (8, 2, True), (12, 3, True)]
    assert [tick.progress for tick in ticks] == [3 / 12, 7 / 12, 11 / 12]  # of when the last step began
    assert ticks[-1].loss < ticks[0].loss
    assert training.progress == 1.0


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    training = fresh(perceptron, Recipe(batch_size=1000))
    assert [tick.step for tick in train(training, TABLE, ROWS, effort=Steps(3))] == [1, 2, 3]


def test_weight_decay_spares_biases_and_normalization() -> None:
    model = convolutional()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    Optimizer(model, Recipe(lr=0.1, weight_decay=0.5)).step()
    decayed = {name for name, parameter in model.named_parameters() if (parameter != 1).any()}
    assert decayed == {"0.weight", "4.weight", "9.weight"}


def test_frozen_parameters_stay_as_they_are() -> None:
    training = fresh(perceptron, Recipe(batch_size=20))
    frozen = training.model.get_parameter("0.weight").requires_grad_(False)
    training.optimizer = Optimizer(training.model, training.recipe)
    before = frozen.clone()
    for _ in train(training, TABLE, ROWS, effort=Steps(4)):
        pass
    assert torch.equal(frozen, before)


def test_the_running_average_replaces_the_weights() -> None:
    training = trained(noisy, TABLE, Recipe(batch_size=20, ema=0.9))
    average = {name: value.clone() for name, value in training.average.items()}
    assert not same(training.model.state_dict(), average)
    training.use_average()
    assert same(training.model.state_dict(), average)
    assert training.average == {}


def test_without_a_running_average_the_weights_stay() -> None:
    training = trained(perceptron, TABLE, Recipe(batch_size=20))
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.use_average()
    assert same(training.model.state_dict(), before)


def test_seconds_end_a_training_on_their_clock() -> None:
    now = 100.0

    def clock() -> float:
        return now

    def second_passes(training: Training) -> None:
        nonlocal now
        now += 1.0

    training = fresh(perceptron, Recipe(batch_size=20))
    effort = Seconds(clock, start=100.0, total=10.0)
    ticks = list(train(training, TABLE, ROWS, effort=effort, after_step=second_passes))
    assert training.step == 10
    assert [tick.step for tick in ticks] == [4, 8]  # the third epoch was cut off


def test_no_seconds_at_all_is_no_training() -> None:
    training = fresh(perceptron, Recipe(batch_size=20))
    assert list(train(training, TABLE, ROWS, effort=Seconds(lambda: 1.0, start=0.0, total=0.0))) == []
    assert training.step == 0


def test_edits_after_a_step_are_seen_by_the_next_one() -> None:
    def zeroed(training: Training) -> None:
        with torch.no_grad():
            training.model.get_parameter("0.weight")[:, 0] = 0.0

    training = fresh(perceptron, Recipe(batch_size=20))
    for _ in train(training, TABLE, ROWS, effort=Steps(5), after_step=zeroed):
        assert not training.model.get_parameter("0.weight")[:, 0].any()
